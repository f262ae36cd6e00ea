import subprocess
import sys
from pathlib import Path

import pytest

from data_pipelines.registry import Registry
from eval.embedding.decode import StreamingDecoder
from eval.embedding.embedder import StreamingEmbedder
from eval.errors import EvaluationError
from eval.running.runner import run_benchmarks
from eval.running.selection import benchmarks_for, select, task_names
from eval.task_choices import TaskChoices
from eval.tasks import registry
from tests.support.embedding_model import SmallClip
from tests.support.evaluation_data import captioned, labelled, write_evaluation_folder, write_tar
from vlsuite.cli.main import main
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


def _mixed(root: Path) -> str:
    """Forty pictures with a class, of which 24 have a caption too."""
    samples = labelled(40, num_classes=4)
    samples = [s | {"txt": f"number {i}".encode()} if i < 24 else s for i, s in enumerate(samples)]
    (root / "classnames.txt").write_text("cat\ndog\ncar\ntree\n")
    return str(write_tar(root / "mix-000000.tar", samples))


@pytest.mark.parametrize(
    "tasks",
    [
        ("zero_shot",),
        ("retrieval", "zero_shot"),
        ("zero_shot", "retrieval"),
        ("captioning", "calibration", "retrieval", "zero_shot"),
        ("zero_shot", "all"),
        ("retrieval", "all"),
        ("auto",),
    ],
)
def test_each_task_takes_its_own_rows_whatever_is_beside_it(
    tmp_path: Path, tasks: tuple[str, ...]
) -> None:
    path = _mixed(tmp_path)
    size = {b.name: len(b.dataset) for b in benchmarks_for([path], tasks=tasks)}
    captioned_tasks = {"retrieval", "captioning", "retrieval_rerank"}
    for name, count in size.items():
        assert count == (24 if name in captioned_tasks else 40), name
    alone = {
        name: benchmarks_for([path], tasks=(name,))[0].dataset
        for name in ("zero_shot", "retrieval")
    }
    for benchmark in benchmarks_for([path], tasks=tasks):
        if benchmark.name in alone:
            assert benchmark.dataset.revision == alone[benchmark.name].revision
            assert benchmark.dataset.num_skipped == alone[benchmark.name].num_skipped


def test_scores_do_not_depend_on_neighbours(tmp_path: Path) -> None:
    path, embedder = (
        _mixed(tmp_path),
        StreamingEmbedder(decoder=StreamingDecoder(batch_size=8, workers=1)),
    )
    scores = []
    for tasks in (("zero_shot",), ("retrieval", "zero_shot"), ("zero_shot", "retrieval")):
        found = run_benchmarks(
            SmallClip(),
            benchmarks_for([path], tasks=tasks),
            embedder=embedder,
            out_dir=tmp_path / "-".join(tasks),
        )
        (own,) = (one.result for one in found if one.result.benchmark == "zero_shot")
        assert own.num_samples == 40
        scores.append((own.scores, own.origin.config_hash))
    assert scores[0] == scores[1] == scores[2]


def test_equal_rows_are_one_data_set(tmp_path: Path) -> None:
    samples = [s | {"txt": b"caption"} for s in labelled(6, num_classes=2)]
    root = write_evaluation_folder(tmp_path / "a", samples, class_names=("cat", "dog"))
    found = benchmarks_for([str(root)], tasks=("retrieval", "zero_shot", "calibration"))
    assert len({id(benchmark.dataset) for benchmark in found}) == 1
    mixed = benchmarks_for([_mixed(tmp_path)], tasks=("retrieval", "zero_shot", "calibration"))
    assert mixed[1].dataset is mixed[2].dataset
    assert mixed[0].dataset is not mixed[1].dataset


def test_no_sample_for_a_task_among_others(tmp_path: Path) -> None:
    pairs = write_evaluation_folder(tmp_path / "pairs", captioned([["x"], ["y"]]))
    with pytest.raises(EvaluationError, match="no class labels"):
        benchmarks_for([str(pairs)], tasks=("retrieval", "zero_shot"))
    empty = str(write_tar(tmp_path / "empty.tar", []))
    with pytest.raises(EvaluationError, match="no usable sample"):
        benchmarks_for([empty])


def test_a_half_written_task_takes_only_its_own_name_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    package = tmp_path / "own_tasks"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "half.py").write_text(
        "import not_there\nfrom own_tasks import registry\n\n@registry.register('half')\n"
        "class Half:\n    pass\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    shown = Registry("evaluation task", package=("own_tasks", "eval.zero_shot"))
    for known in ("zero_shot", "retrieval", "multilabel", "worst_group", "identity_retrieval"):
        shown._entries[known] = registry.get(known)
    monkeypatch.setattr("eval.tasks.registry", shown)
    assert main(["eval", "--list-tasks"]) == 0
    lines = capsys.readouterr().out.splitlines()
    (half,) = (line for line in lines if line.startswith("half"))
    assert half.startswith("half               not available: own_tasks.half cannot be imported")
    assert "not_there" in half
    assert any(line.startswith("zero_shot          Each image takes") for line in lines)
    assert any("attack.eps=1.0,2.0,4.0,8.0" in line for line in lines)

    monkeypatch.setattr("eval.running.selection.registry", shown)
    root = write_evaluation_folder(tmp_path / "a", labelled(3, num_classes=3), class_names="abc")
    chosen = select([str(root)], tasks=("zero_shot", "all"))
    assert any(
        line.startswith("half: evaluation task 'half' is not") for line in chosen.not_possible
    )
    with pytest.raises(UnknownNameError, match="'half' is not available"):
        select([str(root)], tasks=("half",))


def test_settings_of_one_group_import_its_task_alone() -> None:
    script = (
        "import sys\n"
        "from eval.task_choices import options_from, TASK_PACKAGES\n"
        "assert options_from(['ood.neighbour=3'])[0].neighbour == 3\n"
        "loaded = {m for m in sys.modules if m.startswith(TASK_PACKAGES)}\n"
        "print(sorted(m for m in loaded if m.startswith('eval.safety.')))\n"
        "print(sorted(m for m in loaded if m.startswith(('eval.robustness.', 'eval.xmai.'))))\n"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines() == ["['eval.safety.ood']", "[]"]
