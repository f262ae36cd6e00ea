"""Entailment before and after insertions, by every kind of model, and by given predictions."""

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

from eval.data.folders import open_dataset
from eval.embedding.decode import StreamingDecoder
from eval.embedding.embedder import StreamingEmbedder
from eval.errors import EvaluationError
from eval.task_choices import TaskChoices
from eval.xmai.entailment import EntailmentOptions, InsertionEntailment
from eval.xmai.hypotheses import LABELS, read_hypotheses
from eval.xmai.judging import fitting_half, label_of_answer
from eval.xmai.records import PerturbedCaption, uids_of, write_perturbed
from tests.support.embedding_model import SmallClip
from tests.support.evaluation_data import noise_png, write_tar
from tests.support.reading_model import SmallReader

EMBEDDER = StreamingEmbedder(decoder=StreamingDecoder(batch_size=7, workers=2))
NUM_IMAGES, BROKEN = 12, 3


def _stated(image: int) -> list[dict[str, str]]:
    return [
        {"text": f"thing {image} {k}", "label": LABELS[(image * k + k) % 3]}
        for k in range(1 + image % 3)
    ]


@pytest.fixture(scope="module")
def tar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    samples = [
        {
            "png": b"broken" if i == BROKEN else noise_png(i),
            "json": json.dumps({"hypotheses": _stated(i)}).encode(),
        }
        for i in range(NUM_IMAGES)
    ]
    return write_tar(tmp_path_factory.mktemp("d") / "d.tar", samples)


def _rows() -> list[tuple[int, str, str, str]]:
    rows = []
    for image in range(NUM_IMAGES):
        for number, own in enumerate(_stated(image)):
            changed = own["text"] if (image + number) % 4 == 0 else f"red {own['text']}"
            rows.append((image, own["text"], changed, own["label"]))
    return rows


def _csv(path: Path, rows: list[tuple[int, str, str, str]]) -> str:
    lines = [f"{label},{before},{after}" for _, before, after, label in rows]
    path.write_text("\n".join(["label,hypothesis,modified", *lines]) + "\n")
    return str(path)


def _task(tar: Path, **options) -> InsertionEntailment:
    dataset = open_dataset(str(tar), task="images")
    request = TaskChoices(options=(EntailmentOptions(**options),), seed=1)
    return InsertionEntailment.build(dataset, request)


def _jsonl(tar: Path, path: Path, *, with_labels: bool) -> str:
    uids = uids_of(open_dataset(str(tar), task="images"))
    counts: dict[int, int] = {}
    captions = []
    for image, before, after, label in _rows():
        number = counts.setdefault(image, 0)
        counts[image] += 1
        captions.append(
            PerturbedCaption(
                uid=uids[image], caption_number=number, original=before, perturbed=after,
                method="eda", label=label if with_labels else None,
            )
        )  # fmt: skip
    write_perturbed(path, {"method": "eda"}, captions)
    return str(path)


def test_three_ways_to_the_same_rows(tar: Path, tmp_path: Path) -> None:
    dataset = open_dataset(str(tar), task="images")
    files = [
        _csv(tmp_path / "eda.csv", _rows()),
        _jsonl(tar, tmp_path / "with.jsonl", with_labels=True),
        _jsonl(tar, tmp_path / "without.jsonl", with_labels=False),
    ]
    for found in (read_hypotheses(path, dataset) for path in files):
        assert found.images.tolist() == [row[0] for row in _rows()]
        assert [LABELS[i] for i in found.labels] == [row[3] for row in _rows()]
        assert list(found.before) == [row[1] for row in _rows()]
        assert list(found.after) == [row[2] for row in _rows()]
        assert found.method == "eda"


def test_given_predictions_equal_scikit_learn(tar: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = _rows()
    given = rng.integers(3, size=(len(rows), 2))
    lines = [
        json.dumps({"row": i, "before": LABELS[a], "after": LABELS[b]})
        for i, (a, b) in enumerate(given.tolist())
    ]
    (tmp_path / "given.jsonl").write_text("\n".join(lines))
    path = _csv(tmp_path / "eda.csv", rows)
    task = _task(tar, hypotheses=(path,), predictions=str(tmp_path / "given.jsonl"))
    result = task.run(SmallClip(), EMBEDDER)
    labels = np.array([LABELS.index(row[3]) for row in rows])
    changed = np.array([row[1] != row[2] for row in rows])
    for side, own in (("before", given[:, 0]), ("after", given[:, 1])):
        assert result.scores[f"accuracy_{side}"].value == pytest.approx(accuracy_score(labels, own))
        macro = f1_score(labels, own, average="macro", zero_division=0)
        assert result.scores[f"macro_f1_{side}"].value == pytest.approx(macro)
        each = f1_score(labels, own, average=None, zero_division=0)
        for label, value in zip(LABELS, each, strict=True):
            assert result.scores[f"f1_{label}_{side}"].value == pytest.approx(value)
    drop = result.scores["accuracy_drop_changed"]
    right = given == labels[:, None]
    expected = right[changed, 0].mean() - right[changed, 1].mean()
    assert drop.value == pytest.approx(expected)
    assert drop.low <= drop.value <= drop.high
    flow = result.details["flow"]
    assert isinstance(flow, dict)
    assert sum(sum(counts.values()) for counts in flow.values()) == len(rows)  # pyright: ignore
    assert result.details["judged_by"] == "file"


@pytest.mark.parametrize("judge", ["cosine", "matching"])
def test_scores_become_labels_on_the_other_half(tar: Path, tmp_path: Path, judge: str) -> None:
    path = _csv(tmp_path / "eda.csv", _rows())
    result = _task(tar, hypotheses=(path,), judge=judge).run(SmallReader(seed=1), EMBEDDER)
    dataset = open_dataset(str(tar), task="images")
    images = np.array([row[0] for row in _rows()])
    half = fitting_half(dataset, images, seed=1)
    assert 0 < half.sum() < len(half)
    scored = ~half & (images != BROKEN)
    assert result.details["num_scored"] == scored.sum()
    assert result.details["judged_by"] == judge
    assert result.scores["accuracy_before"].n == scored.sum()


def test_answers_are_read_and_asked_once(tar: Path, tmp_path: Path) -> None:
    class Sure(SmallReader):
        """Says yes to everything that is not red."""

        def answer(self, images, questions, *, max_tokens):
            asked.extend(questions)
            return ["Maybe not." if "red" in q else "Yes!" for q in questions]

    asked: list[str] = []
    path = _csv(tmp_path / "eda.csv", _rows())
    result = _task(tar, hypotheses=(path,)).run(Sure(), EMBEDDER)
    kept = [row for row in _rows() if row[0] != BROKEN]
    assert len(asked) == len({(row[0], text) for row in kept for text in row[1:3]})
    entailed = [row[3] == "entailment" for row in kept]
    assert result.scores["accuracy_before"].value == pytest.approx(np.mean(entailed))
    assert result.details["judged_by"] == "answers"
    answers = ("no, it is not", "YES", "maybe", "a dog", "")
    assert [label_of_answer(a) for a in answers] == [0, 2, 1, -1, -1]
    answers = ("No doubt: yes.", "yes or no", "The answer is no.", "**Yes**", "Is it yes?", "B")
    assert [label_of_answer(a) for a in answers] == [2, -1, 0, 2, -1, -1]


def test_what_does_not_fit_is_refused(tar: Path, tmp_path: Path) -> None:
    rows = _rows()
    with pytest.raises(EvaluationError, match="hypotheses=FILE"):
        _task(tar)
    with pytest.raises(EvaluationError, match="rows are joined by order"):
        _task(tar, hypotheses=(_csv(tmp_path / "a.csv", rows[:-1]),))
    swapped = [rows[1], rows[0], *rows[2:]]
    with pytest.raises(EvaluationError, match="row 1 is"):
        _task(tar, hypotheses=(_csv(tmp_path / "b.csv", swapped),))
    odd = [(*rows[0][:3], "perhaps"), *rows[1:]]
    with pytest.raises(EvaluationError, match="label 'perhaps'"):
        _task(tar, hypotheses=(_csv(tmp_path / "c.csv", odd),))
    (tmp_path / "p.jsonl").write_text('{"row": 99, "before": "neutral", "after": "neutral"}')
    path = _csv(tmp_path / "d.csv", rows)
    task = _task(tar, hypotheses=(path,), predictions=str(tmp_path / "p.jsonl"))
    with pytest.raises(EvaluationError, match="row 99"):
        task.run(SmallClip(), EMBEDDER)
    lack = _task(tar, hypotheses=(path,), judge="answers").model_lacks(SmallClip())
    assert lack is not None
    assert "cannot judge by answers" in lack
