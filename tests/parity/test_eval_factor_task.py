"""Factors task against plain loops, and how annotations find their pictures."""

import json
from pathlib import Path

import numpy as np
import pytest

from eval.data.dataset import EvalDataset
from eval.data.folders import open_dataset
from eval.embedding.decode import StreamingDecoder
from eval.embedding.embedder import StreamingEmbedder
from eval.embedding.store import StoredEmbedder
from eval.errors import EvaluationError
from eval.robustness.factor_annotations import NAMES_FILE, PROTOTYPES_FILE, annotations_for
from eval.robustness.factors import FactorAccuracy
from eval.task_choices import TaskChoices
from tests.support.embedding_model import SmallClip
from tests.support.evaluation_data import labelled, write_evaluation_folder
from tests.support.picture_folders import write_pictures

EMBEDDER = StreamingEmbedder(decoder=StreamingDecoder(batch_size=16, workers=2))
NAMES = ("cat", "dog", "boat")
TEMPLATES = ("a photo of a {c}.",)


def _is_right(model: SmallClip, dataset: EvalDataset) -> list[bool]:
    prototypes = EMBEDDER.class_embeds(model, NAMES, TEMPLATES).double().numpy()
    embeds = EMBEDDER.images(model, dataset).embeds.double().numpy()
    assert dataset.labels is not None
    return [
        int(np.argmax(prototypes @ embed)) == label
        for embed, label in zip(embeds, dataset.labels.tolist(), strict=True)
    ]


def _sampled(root: Path, factors: list[dict]) -> EvalDataset:
    samples = [
        sample | {"json": json.dumps({"factors": own}).encode()}
        for sample, own in zip(labelled(len(factors), num_classes=3), factors, strict=True)
    ]
    folder = write_evaluation_folder(root, samples, class_names=NAMES, templates=TEMPLATES)
    return open_dataset(str(folder))


def test_factors_of_the_samples(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    factors = [
        {
            "pose": bool(rng.random() < 0.4),
            "style": 0,
            "light": str(rng.choice(["dim", "day"])),
        }
        for _ in range(40)
    ]
    factors[7] = {}
    dataset = _sampled(tmp_path / "x", factors)
    model = SmallClip(seed=3)
    task = FactorAccuracy.build(dataset, TaskChoices())

    result = task.run(model, EMBEDDER)

    pairs = [p for p in zip(_is_right(model, dataset), factors, strict=True) if p[1]]
    all_right = np.mean([right for right, _ in pairs])
    posed = np.mean([right for right, own in pairs if own["pose"]])
    lit = [np.mean([r for r, own in pairs if own["light"] == level]) for level in ("day", "dim")]
    value = {name: score.value for name, score in result.scores.items()}
    assert value["top1"] == all_right
    assert value["accuracy_pose"] == posed
    assert value["error_ratio_pose"] == pytest.approx((1 - posed) / (1 - all_right))
    assert value["best_light"] == max(lit)
    assert value["worst_light"] == min(lit)
    assert value["spread_light"] == pytest.approx(max(lit) - min(lit))
    assert result.details["factors_never_active"] == ["style"]
    assert result.details["levels"] == {"light": {"day": lit[0], "dim": lit[1]}}
    assert result.num_samples == 39
    stored = StoredEmbedder(EMBEDDER, tmp_path / "store", batch_size=16)
    assert task.run(model, stored).scores == result.scores


def _annotate(path: Path, rows: list[tuple[str, int, int]]) -> str:
    lines = [
        json.dumps({"file_name": name, "class": label, "pose": pose, "one_word": "x"})
        for name, label, pose in rows
    ]
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def test_imagenet_x_by_file_name_without_prototypes(tmp_path: Path) -> None:
    files = ["cat/a.JPEG", "cat/b.JPEG", "dog/c.JPEG"]
    dataset = open_dataset(str(write_pictures(tmp_path / "data", files)))
    rows = [("c.JPEG", 1, 1), ("other.JPEG", 0, 1), ("a.JPEG", 0, 0), ("b.JPEG", 0, 1)]
    path = _annotate(tmp_path / "x.jsonl", rows)
    found = annotations_for(dataset, path)
    assert found.rows.tolist() == [0, 1, 2]
    assert [own["pose"] for own in found.factors] == [0, 1, 1]
    assert set(found.factors[0]) == {"pose"}
    assert "prototypes included" in found.source
    (tmp_path / PROTOTYPES_FILE).write_text("file_name\nb.JPEG\n")
    assert annotations_for(dataset, path).rows.tolist() == [0, 2]


def test_exported_imagenet_is_matched_by_class_and_name(tmp_path: Path) -> None:
    samples = [
        s | {"cls": str(c).encode()}
        for s, c in zip(labelled(4, num_classes=3), (0, 0, 1, 2), strict=True)
    ]
    dataset = open_dataset(
        str(write_evaluation_folder(tmp_path / "wds_imagenet1k", samples, class_names=NAMES))
    )
    rows = [("val_9.JPEG", 0, 1), ("val_3.JPEG", 2, 0), ("val_1.JPEG", 1, 1)]
    listed = ["file_name,label", "val_9.JPEG,0", "val_2.JPEG,0", "val_1.JPEG,1", "val_3.JPEG,2"]
    (tmp_path / NAMES_FILE).write_text("\n".join(listed) + "\n")
    found = annotations_for(dataset, _annotate(tmp_path / "x.jsonl", rows))
    assert found.rows.tolist() == [1, 2, 3]
    assert [own["pose"] for own in found.factors] == [1, 1, 0]
    (tmp_path / NAMES_FILE).write_text("\n".join(listed[:-1]) + "\n")
    other = str(tmp_path / "x.jsonl")
    with pytest.raises(EvaluationError, match=r"no file_name of .* is the name of a picture"):
        annotations_for(dataset, other)


@pytest.mark.parametrize(
    ("text", "part"),
    [("{", "line 1, is no JSON"), ('\n{"pose": 1}', "line 2, names no file_name")],
)
def test_broken_annotations(tmp_path: Path, text: str, part: str) -> None:
    dataset = _sampled(tmp_path / "x", [{}, {}])
    (tmp_path / "x.jsonl").write_text(text)
    lack = FactorAccuracy.missing(dataset, TaskChoices(factors_file=str(tmp_path / "x.jsonl")))
    assert lack is not None
    assert part in lack
    lack = FactorAccuracy.missing(dataset, TaskChoices())
    assert lack is not None
    assert "--factors" in lack
