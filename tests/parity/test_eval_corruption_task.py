"""The corruption task: each cell is what corrupting by hand gives, and mCE is the formula."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.transforms.functional import to_pil_image

from eval.contract import ImageEmbeddings
from eval.corruptions.apply import corrupt
from eval.corruptions.severities import ALL_CORRUPTIONS, CORRUPTIONS
from eval.data.dataset import EvalDataset
from eval.data.folders import open_dataset
from eval.data.imagenet_layouts import CLASS_NAMES
from eval.data.raw_image import RawImage
from eval.data.views import CropFrame
from eval.embedding.decode import StreamingDecoder
from eval.embedding.embedder import StreamingEmbedder
from eval.embedding.store import StoredEmbedder
from eval.metrics.alexnet_error import ALEXNET_CLEAN_ERROR, ALEXNET_ERROR
from eval.results import PerImage
from eval.robustness.corruptions import NOT_TO_BE_MIXED, CorruptionOptions, Corruptions
from eval.task_choices import TaskChoices
from tests.support.embedding_model import SmallClip
from tests.support.evaluation_data import labelled, noise_png, write_evaluation_folder

EMBEDDER = StreamingEmbedder(decoder=StreamingDecoder(batch_size=16, workers=2))
NAMES = tuple(f"{word} {i}" for i in range(3) for word in ("cat", "dog", "boat", "tree", "lamp"))
TEMPLATES = ("a photo of a {c}.",)


def _dataset(
    root: Path, count: int, *, side: int, names: tuple[str, ...] = NAMES, broken: int | None = 2
) -> EvalDataset:
    samples = labelled(count, num_classes=len(names))
    for number, sample in enumerate(samples):
        sample["png"] = noise_png(number, side=side)
    if broken is not None:
        samples[broken]["png"] = b"broken"
    return open_dataset(str(write_evaluation_folder(root / "c", samples, class_names=names)))


def _task(dataset: EvalDataset, **options) -> Corruptions:
    request = TaskChoices(templates=TEMPLATES, options=(CorruptionOptions(**options),))
    task = Corruptions.build(dataset, request)
    assert isinstance(task, Corruptions)
    return task


def _hits(
    model: SmallClip, dataset: EvalDataset, names: tuple[str, ...], kind: str | None, severity: int
) -> dict[int, bool]:
    """One picture at a time: crop, corrupt, the model's own transform, nearest class."""
    is_small = min(RawImage(dataset.images.members(0), 0).rgb.size) <= 64
    frame = CropFrame(32, 32) if is_small else CropFrame()
    constants = "cifar-c" if is_small else "imagenet-c"
    classes = EMBEDDER.class_embeds(model, names, TEMPLATES).double().numpy()
    found = {}
    assert dataset.labels is not None
    for row in range(len(dataset)):
        members = dataset.images.members(row)
        if members["png"] == b"broken":
            continue
        image_id = int(dataset.images.image_ids[row])
        pixels = frame(RawImage(members, image_id), model.image_transform)[None]
        if kind is not None:
            pixels = corrupt(pixels, kind, severity, image_ids=[image_id], constants=constants)
        shown = model.image_transform(to_pil_image(pixels[0]))
        embed = model.embed_images(shown[None])[0].double().numpy()
        found[row] = int(np.argmax(classes @ embed)) == int(dataset.labels[row])
    return found


def _unpacked(one: PerImage) -> dict[int, bool]:
    hits, scored = one.unpack()
    return {row: bool(hits[row]) for row in np.flatnonzero(scored).tolist()}


@pytest.mark.parametrize("side", [40, 90])
def test_cells_equal_corrupting_by_hand(tmp_path: Path, side: int) -> None:
    model = SmallClip(seed=5)
    dataset = _dataset(tmp_path, 14, side=side)
    kinds = ("gaussian_noise", "motion_blur", "contrast", "spatter")
    task = _task(dataset, kinds=kinds, severities=(4, 2))

    result = task.run(model, EMBEDDER)

    assert task.constants == ("cifar-c" if side == 40 else "imagenet-c")
    assert _unpacked(result.per_image["top1_clean"]) == _hits(model, dataset, NAMES, None, 0)
    everything = {}
    for kind in kinds:
        for severity in (2, 4):
            expected = _hits(model, dataset, NAMES, kind, severity)
            assert _unpacked(result.per_image[f"top1_{kind}_{severity}"]) == expected
            accuracy = result.details["accuracy"][kind][str(severity)]  # type: ignore[index,call-overload]
            assert accuracy == pytest.approx(np.mean(list(expected.values())))
            everything[kind, severity] = list(expected.values())
    for kind in kinds:
        mean = np.mean(everything[kind, 2] + everything[kind, 4])
        assert result.scores[f"top1_{kind}"].value == pytest.approx(mean)
    of_15 = [value for (kind, _), own in everything.items() if kind != "spatter" for value in own]
    assert result.scores["mean_corrupted_top1"].value == pytest.approx(np.mean(of_15))
    for name, units in result.per_unit.items():
        values, _ = units.unpack()
        assert values.mean() == pytest.approx(result.scores[name].value, abs=1e-6)
    assert (result.num_samples, result.num_skipped) == (13, 1)
    assert "mean_corruption_error" not in result.scores
    assert result.details["source"] == "memory"
    assert NOT_TO_BE_MIXED in result.origin.interval
    stored = StoredEmbedder(EMBEDDER, tmp_path / "store", batch_size=16)
    stored.prepare(model, task.needs())
    before = len(model.image_batch_sizes)
    assert task.run(model, stored) == result
    assert len(model.image_batch_sizes) == before


def test_mce_of_imagenets_classes_in_all_cells_is_the_formula(tmp_path: Path) -> None:
    """The hits are planted: 75 cells of real corruptions are tested elsewhere."""
    dataset = _dataset(tmp_path, 6, side=90, names=CLASS_NAMES, broken=None)
    task = _task(dataset, kinds=("all",))
    classes = torch.eye(1000)
    rng = np.random.default_rng(0)
    planted = {view.key: rng.random(6) < 0.5 for view in task.needs()[0].views}

    class Planted(StreamingEmbedder):
        def images(self, model, dataset, view):
            labels = torch.from_numpy(dataset.labels)
            shown = torch.where(torch.from_numpy(planted[view.key]), labels, (labels + 1) % 1000)
            return ImageEmbeddings(classes[shown], np.arange(6), 0)

        def class_embeds(self, model, class_names, templates):
            return classes

    result = task.run(SmallClip(), Planted(decoder=EMBEDDER.decoder))

    views = task.needs()[0].views
    assert len(views) == 76
    clean_error = 1 - planted[views[0].key].mean()
    errors = {
        kind: [1 - planted[view.key].mean() for view in views[1 + 5 * i : 6 + 5 * i]]
        for i, kind in enumerate(CORRUPTIONS)
    }
    ces = {kind: sum(own) / (5 * ALEXNET_ERROR[kind] / 100) for kind, own in errors.items()}
    relative = [
        sum(error - clean_error for error in own)
        / (5 * (ALEXNET_ERROR[kind] - ALEXNET_CLEAN_ERROR) / 100)
        for kind, own in errors.items()
    ]
    scores = result.scores
    assert scores["mean_corruption_error"].value == pytest.approx(np.mean(list(ces.values())))
    assert scores["relative_mean_corruption_error"].value == pytest.approx(np.mean(relative))
    for kind, ce in ces.items():
        assert scores[f"corruption_error_{kind}"].value == pytest.approx(ce)
        assert scores[f"top1_{kind}"].value == pytest.approx(1 - np.mean(errors[kind]))
    for score in scores.values():
        assert score.low <= score.value <= score.high


def test_no_mce_with_cells_missing_or_other_constants(tmp_path: Path) -> None:
    dataset = _dataset(tmp_path, 3, side=90, names=CLASS_NAMES, broken=None)
    assert _task(dataset).is_comparable
    assert not _task(dataset, constants="cifar-c").is_comparable
    result = _task(dataset, kinds=("contrast",)).run(SmallClip(), EMBEDDER)
    assert "mean_corruption_error" not in result.scores
    assert not _task(_dataset(tmp_path / "other", 3, side=90)).is_comparable


def test_groups_of_kinds_and_a_choice_of_images(tmp_path: Path) -> None:
    dataset = _dataset(tmp_path, 8, side=40)
    task = _task(dataset, kinds=("all", "extra", "fog"), severities=(3, 1, 3), max_images=4)
    assert task.kinds == ALL_CORRUPTIONS
    assert task.severities == (1, 3)
    assert len(task.dataset) == 4
    assert len(task.needs()[0].views) == 1 + 2 * 19


def test_mistakes_are_one_line_each(tmp_path: Path) -> None:
    dataset = _dataset(tmp_path, 3, side=40, broken=None)
    for options, said in (
        ({"kinds": ("gausian_noise",)}, "closest: gaussian_noise"),
        ({"kinds": ()}, "known: all"),
        ({"severities": (0, 1)}, "some of 1,2,3,4,5"),
        ({"severities": ()}, "some of 1,2,3,4,5"),
        ({"constants": "imagenet"}, "choose auto, imagenet-c, cifar-c"),
        ({"max_images": -1}, "negative"),
        ({"frost_dir": str(tmp_path / "none")}, "is no folder"),
    ):
        lack = Corruptions.missing(dataset, TaskChoices(options=(CorruptionOptions(**options),)))
        assert lack is not None
        assert said in lack
        assert "\n" not in lack
    assert Corruptions.missing(dataset, TaskChoices()) is None
