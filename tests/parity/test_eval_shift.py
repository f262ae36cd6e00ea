"""Natural shift against a float64 loop over both sets, and which line belongs to which pair."""

import math
from pathlib import Path

import numpy as np
import pytest

from eval.data.dataset import EvalDataset
from eval.data.folders import open_dataset
from eval.data.imagenet_layouts import CLASS_NAMES
from eval.data.shifted_sets import base_of, baseline_of, is_imagenet, matching_classes
from eval.embedding.decode import StreamingDecoder
from eval.embedding.embedder import StreamingEmbedder
from eval.embedding.store import StoredEmbedder
from eval.errors import EvaluationError
from eval.metrics.intervals import wilson_score
from eval.metrics.unpaired import independent_difference
from eval.robustness.shift import NaturalShift
from eval.task_choices import Companions, TaskChoices
from tests.support.embedding_model import SmallClip
from tests.support.evaluation_data import labelled, write_evaluation_folder
from tests.support.picture_folders import write_objectnet, write_pictures

EMBEDDER = StreamingEmbedder(decoder=StreamingDecoder(batch_size=16, workers=2))
TEMPLATES = ("a photo of a {c}.", "the {c}")


def _dataset(root: Path, names, count: int, **options) -> EvalDataset:
    samples = labelled(count, num_classes=len(names))
    folder = write_evaluation_folder(root, samples, class_names=names, **options)
    return open_dataset(str(folder))


def _request(*bases: EvalDataset) -> TaskChoices:
    return TaskChoices(templates=TEMPLATES, companions=Companions(bases=bases))


def _accuracy(model: SmallClip, dataset: EvalDataset, names, labels: dict[int, int]) -> float:
    """Over the images whose label is a key; the value is its place in ``names``."""
    prototypes = EMBEDDER.class_embeds(model, names, TEMPLATES).double().numpy()
    embeds = EMBEDDER.images(model, dataset).embeds.double().numpy()
    assert dataset.labels is not None
    hits = [
        int(np.argmax(prototypes @ embed)) == labels[label]
        for embed, label in zip(embeds, dataset.labels.tolist(), strict=True)
        if label in labels
    ]
    return float(np.mean(hits))


def test_shift_equals_a_loop_over_both_sets(tmp_path: Path) -> None:
    names = CLASS_NAMES[:9]
    chosen = (names[7], names[1], names[4])
    base = _dataset(tmp_path / "wds_imagenet1k", names, 60)
    shifted = _dataset(tmp_path / "wds_imagenet-r", sorted(chosen, key=names.index), 40)
    model = SmallClip(seed=1)

    result = NaturalShift.build(shifted, _request(base)).run(model, EMBEDDER)

    ranked = tuple(sorted(chosen, key=names.index))
    expected = _accuracy(model, shifted, ranked, {0: 0, 1: 1, 2: 2})
    on_base = _accuracy(model, base, ranked, {1: 0, 4: 1, 7: 2})
    assert result.scores["top1"].value == expected
    assert result.scores["base_top1"].value == on_base
    assert result.scores["drop_under_shift"].value == pytest.approx(on_base - expected)
    line = -2.1077 + 0.6368 * math.log(on_base / (1 - on_base))
    rho = result.scores["effective_robustness"]
    assert rho.value == pytest.approx(expected - 1 / (1 + math.exp(-line)))
    assert rho.unit == "points"
    assert result.chance == {"top1": 1 / 3, "base_top1": 1 / 3}


def test_stored_embeddings_give_the_same(tmp_path: Path) -> None:
    base = _dataset(tmp_path / "one", ("cat", "dog", "boat"), 30)
    shifted = _dataset(tmp_path / "two", ("dog", "boat"), 30, shift_of="one")
    task = NaturalShift.build(shifted, _request(base))
    model = SmallClip(seed=1)
    stored = StoredEmbedder(EMBEDDER, tmp_path / "store", batch_size=16)
    plain = task.run(model, EMBEDDER)
    assert task.run(model, stored).scores == plain.scores
    assert set(plain.scores) == {"top1", "base_top1", "drop_under_shift"}
    assert "no line" in str(plain.details["line"])


def test_objectnet_is_matched_by_class_number(tmp_path: Path) -> None:
    files = {
        f"{name}/a.png": data["png"]
        for name, data in zip(("alarm_clock", "tie"), labelled(2, num_classes=2), strict=True)
    }
    shifted = open_dataset(str(write_objectnet(tmp_path / "objectnet-1.0", files)))
    base = _dataset(tmp_path / "imagenet1k", CLASS_NAMES, 1000)
    classes = matching_classes(shifted, base)
    assert classes is not None
    assert classes.tolist() == [409, 457, 530, 906]
    assert base_of(shifted, (base,)) is base
    result = NaturalShift.build(shifted, _request(base)).run(SmallClip(), EMBEDDER)
    assert result.details["base_classes"] == 4
    assert result.scores["base_top1"].n == 4


def test_sets_selected_by_errors_get_no_effective_robustness(tmp_path: Path) -> None:
    base = _dataset(tmp_path / "imagenet", CLASS_NAMES[:3], 30)
    shifted = _dataset(tmp_path / "imagenet-a", CLASS_NAMES[:3], 20)
    result = NaturalShift.build(shifted, _request(base)).run(SmallClip(seed=1), EMBEDDER)
    assert "effective_robustness" not in result.scores
    assert "selected by one model's errors" in str(result.details["line"])


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("wds_imagenetv2", "imagenetv2-matched-frequency"),
        ("imagenetv2-matched-frequency-format-val", "imagenetv2-format-val"),
        ("imagenetv2-top-images-format-val", None),
        ("wds_imagenet_sketch_test", "imagenet-sketch"),
        ("sketch", "imagenet-sketch"),
        ("imagenet-r", "imagenet-r"),
        ("wds_imagenet-a", "imagenet-a"),
        ("objectnet-1.0", "objectnet"),
        ("wds_imagenet-o", None),
        ("imagenet-real", None),
        ("cifar10", None),
    ],
)
def test_lines_by_name(name: str, key: str | None) -> None:
    assert baseline_of(name) == key


def test_imagenet_itself() -> None:
    assert all(is_imagenet(n) for n in ("wds_imagenet1k", "imagenet", "ILSVRC2012_img_val"))
    assert not any(is_imagenet(n) for n in ("imagenet-r", "imagenetv2", "imagenet21k"))


def test_base_named_but_not_given(tmp_path: Path) -> None:
    other = _dataset(tmp_path / "other", ("cat", "dog"), 4)
    shifted = _dataset(tmp_path / "x", ("cat", "dog"), 6, shift_of="wds_pets")
    lack = NaturalShift.missing(shifted, _request(other))
    assert lack is not None
    assert "give wds_pets with --base" in lack
    assert "\n" not in lack


def test_base_without_images_of_the_classes(tmp_path: Path) -> None:
    base = _dataset(tmp_path / "base", ("cat", "dog", "boat"), 2)
    shifted = _dataset(tmp_path / "x", ("boat",), 3)
    with pytest.raises(EvaluationError, match="no image of the 1 classes"):
        NaturalShift.build(shifted, _request(base)).run(SmallClip(), EMBEDDER)


def test_newcombe_for_independent_shares() -> None:
    # Newcombe 1998, table II, case (a): 56/70 and 48/80, method 10: 0.0524 to 0.3339.
    first = wilson_score(np.arange(70) < 56)
    second = wilson_score(np.arange(80) < 48)
    found = independent_difference(first, second)
    assert (found.low, found.high) == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_folder_of_pictures_as_base(tmp_path: Path) -> None:
    base = open_dataset(str(write_pictures(tmp_path / "b", ["cat/a.png", "dog/b.png"])))
    shifted = _dataset(tmp_path / "x", ("dog",), 3)
    assert base_of(shifted, (base,)) is base
