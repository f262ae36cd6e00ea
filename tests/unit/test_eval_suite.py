from pathlib import Path

import pytest

from eval.errors import EvaluationError
from eval.running.selection import benchmarks_for, task_names
from eval.task_choices import TaskChoices
from tests.support.evaluation_data import captioned, labelled, write_evaluation_folder, write_tar
from vlsuite.errors import UnknownNameError


def test_tasks_follow_the_folders_and_splits(tmp_path: Path) -> None:
    root = write_evaluation_folder(tmp_path / "a", labelled(3, num_classes=3), class_names="abc")
    write_evaluation_folder(
        tmp_path / "b", labelled(3, num_classes=3), class_names="abc", split="val"
    )
    (tmp_path / "b" / "val").rename(root / "val")
    pairs = write_evaluation_folder(tmp_path / "pairs", captioned([["x"]]))
    plain = write_tar(tmp_path / "plain.tar", captioned([["x"]]))

    found = benchmarks_for([str(root)], split="test,val")
    assert [(b.name, b.dataset.split) for b in found] == [
        ("zero_shot", "test"),
        ("zero_shot", "val"),
    ]
    found = benchmarks_for([str(pairs), str(plain)])
    assert [(b.name, b.dataset.title) for b in found] == [
        ("retrieval", "pairs (test)"),
        ("retrieval", "plain (all)"),
    ]


def test_known_tasks() -> None:
    names = task_names()
    assert names[:2] == ["auto", "all"]
    assert {"retrieval", "zero_shot"} < set(names)
    assert names[2:] == sorted(names[2:])


def test_unknown_task_is_named_with_the_closest(tmp_path: Path) -> None:
    pairs = write_evaluation_folder(tmp_path / "pairs", captioned([["x"]]))
    with pytest.raises(UnknownNameError, match="closest: retrieval"):
        benchmarks_for([str(pairs)], tasks=("retrival",))


@pytest.mark.parametrize(
    ("request_", "part"),
    [
        (TaskChoices(templates=("a {c}",)), "templates given"),
        (TaskChoices(captions_per_image=1), None),
    ],
)
def test_choices_that_nothing_uses_are_refused(
    tmp_path: Path, request_: TaskChoices, part: str | None
) -> None:
    pairs = write_evaluation_folder(tmp_path / "pairs", captioned([["x"]]))
    if part is None:
        assert benchmarks_for([str(pairs)], choices=request_)
        return
    with pytest.raises(EvaluationError, match=part):
        benchmarks_for([str(pairs)], choices=request_)


def test_task_without_captions(tmp_path: Path) -> None:
    root = write_evaluation_folder(tmp_path / "a", labelled(3, num_classes=3), class_names="abc")
    with pytest.raises(EvaluationError, match="without captions"):
        benchmarks_for([str(root)], tasks=("zero_shot", "retrieval"))


def test_task_forced_for_one_path(tmp_path: Path) -> None:
    samples = [s | {"txt": b"caption"} for s in labelled(4, num_classes=2)]
    root = write_evaluation_folder(tmp_path / "a", samples, class_names=("cat", "dog"))
    found = benchmarks_for([f"retrieval={root}", str(root)])
    assert [b.name for b in found] == ["retrieval", "zero_shot"]
