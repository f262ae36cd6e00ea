"""One-pixel shifts against crops cut by hand and loops over the definitions."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from data_pipelines.errors import BadSampleError
from eval.data.dataset import EvalDataset
from eval.data.folders import open_dataset
from eval.data.raw_image import RawImage
from eval.embedding.decode import StreamingDecoder
from eval.embedding.embedder import StreamingEmbedder
from eval.embedding.store import StoredEmbedder
from eval.errors import EvaluationError
from eval.metrics.consistency import ONE_PIXEL_SHIFTS
from eval.robustness.rics import rics_crops
from eval.robustness.rics_frame import RicsCrop, smallest_picture
from eval.robustness.translation import TranslationConsistency, TranslationOptions
from eval.robustness.window_frames import MovedPicture, Window
from eval.task_choices import TaskChoices
from tests.support.embedding_model import IMAGE_SIDE, SmallClip
from tests.support.evaluation_data import labelled, write_evaluation_folder, write_tar
from tests.support.pictures import encoded, scene
from vlsuite.batches.decode import decode_image

EMBEDDER = StreamingEmbedder(decoder=StreamingDecoder(batch_size=16, workers=2))
NAMES = tuple(
    f"{word} {number}"
    for number in range(3)
    for word in ("cat", "dog", "boat", "tree", "lamp", "hat", "car", "sea", "house", "rose")
)
SIDE = 24  # of the resized picture that RICS chooses from: 1.5 times the model's input
RICS_SIDE = SIDE / IMAGE_SIDE
Cut = Callable[[Image.Image], np.ndarray]


def _picture(number: int) -> bytes:
    """Noise on top of shades, of another size each time."""
    rng = np.random.default_rng(number)
    width, height = rng.integers(30, 60, size=2).tolist()
    blocks = rng.integers(0, 256, size=(7, 7, 3), dtype=np.uint8)
    noise = Image.fromarray(blocks).resize((width, height), Image.Resampling.BICUBIC)
    return encoded(Image.blend(noise, scene(width, height), 0.3))


def _dataset(root: Path, count: int = 24) -> EvalDataset:
    model = SmallClip(seed=1)
    classes = EMBEDDER.class_embeds(model, NAMES, ("a photo of a {c}.",))
    samples = labelled(count, num_classes=len(NAMES))
    for number, sample in enumerate(samples):
        sample["png"] = _picture(number)
        # Labels that the model is often right about.
        pixels = model.image_transform(decode_image(sample["png"]))
        scores = classes @ model.embed_images(pixels[None])[0]
        sample["cls"] = str(int(scores.argmax())).encode()
    samples[6]["png"] = b"broken"
    samples[11]["png"] = encoded(Image.new("RGB", (2, 9)))
    folder = write_evaluation_folder(root / "t", samples, class_names=NAMES)
    return open_dataset(str(folder))


def _window(image: Image.Image, side: int, free: int, down: int, right: int) -> np.ndarray:
    """Shorter side bicubic to side + free, then the middle moved; the original lost its rim."""
    image = image.crop((1, 1, image.width - 1, image.height - 1))
    width, height = image.size
    short = side + free
    if min(width, height) != short:
        size = (short * width // min(width, height), short * height // min(width, height))
        image = image.resize(size, Image.Resampling.BICUBIC)
    left = round((image.width - side) / 2) + right
    top = round((image.height - side) / 2) + down
    pixels = np.asarray(image)[top : top + side, left : left + side]
    assert pixels.shape == (side, side, 3)
    return pixels


def _moved(image: Image.Image, down: int, right: int) -> Image.Image:
    pixels = np.pad(np.asarray(image), ((1, 1), (1, 1), (0, 0)))
    rows, columns = (
        slice(1 + down, 1 + down + image.height),
        slice(1 + right, 1 + right + image.width),
    )
    return Image.fromarray(pixels[rows, columns])


def _chosen(pixels: np.ndarray) -> np.ndarray:
    """Best window of all of the picture, then squashed to the model's input."""
    crop_size = round(min(pixels.shape[:2]) / RICS_SIDE)
    whole = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None]
    crop = rics_crops(whole, crop_size=crop_size).crops[0].permute(1, 2, 0).numpy()
    return np.asarray(Image.fromarray(crop).resize((IMAGE_SIDE, IMAGE_SIDE)))


def _resized(image: Image.Image, short: int) -> Image.Image:
    """Without its rim, shorter side bicubic to ``short``."""
    image = image.crop((1, 1, image.width - 1, image.height - 1))
    width, height = image.size
    size = (short * width // min(width, height), short * height // min(width, height))
    return image if min(image.size) == short else image.resize(size, Image.Resampling.BICUBIC)


def _families() -> dict[str, tuple[Cut, list[Cut]]]:
    """Base and neighbours; a moved original is cut by its rim afterwards, so all of it is real."""

    def window(down: int = 0, right: int = 0, free: int = 2, side: int = IMAGE_SIDE) -> Cut:
        return lambda image: _window(image, side, free, down, right)

    def moved(down: int, right: int) -> Cut:
        def cut(image: Image.Image) -> np.ndarray:
            shifted = _moved(image, down, right)
            inner = shifted.crop((1, 1, image.width - 1, image.height - 1))
            return np.asarray(inner.resize((IMAGE_SIDE, IMAGE_SIDE)))

        return cut

    def rics(down: int = 0, right: int = 0) -> Cut:
        def cut(image: Image.Image) -> np.ndarray:
            pixels = np.asarray(image)
            bottom, end = image.height - 1 + down, image.width - 1 + right
            return _chosen(pixels[1 + down : bottom, 1 + right : end])

        return cut

    def rics_resized(down: int = 0, right: int = 0, free: int = 2) -> Cut:
        return lambda image: rics(down, right)(_resized(image, SIDE + free))

    zooms = (-2, -1, 1, 2)
    return {
        "after_resize": (window(), [window(*s) for s in ONE_PIXEL_SHIFTS]),
        "before_resize": (moved(0, 0), [moved(*s) for s in ONE_PIXEL_SHIFTS]),
        "rescaled": (window(), [window(free=2 + z) for z in zooms]),
        "rics_after_resize": (rics_resized(), [rics_resized(*s) for s in ONE_PIXEL_SHIFTS]),
        "rics_before_resize": (rics(), [rics(*s) for s in ONE_PIXEL_SHIFTS]),
        "rics_rescaled": (rics_resized(), [rics_resized(free=2 + z) for z in zooms]),
    }  # fmt: skip


def test_windows_are_the_crops_one_would_cut_by_hand() -> None:
    image = decode_image(_picture(3))
    raw, transform = RawImage({"png": _picture(3)}, 0), SmallClip().image_transform

    def shown(frame) -> np.ndarray:
        return frame(raw, transform).permute(1, 2, 0).numpy()

    for down, right in ((0, 0), (1, -1), (-1, 1)):
        by_hand = _window(image, IMAGE_SIDE, 2, down, right)
        np.testing.assert_array_equal(shown(Window(0, down, right)), by_hand)
        box = (1 + right, 1 + down, image.width - 1 + right, image.height - 1 + down)
        moved = np.asarray(image.crop(box).resize((IMAGE_SIDE, IMAGE_SIDE)))
        np.testing.assert_array_equal(shown(MovedPicture(down, right)), moved)
    inner = shown(Window())
    right_of_it = shown(Window(0, 0, 1))
    np.testing.assert_array_equal(inner[:, 1:], right_of_it[:, :-1])


@pytest.mark.parametrize("side", [1.125, 1.5, 2.0])
def test_a_camera_that_moves_by_whole_pixels_finds_the_same_pixels(side: float) -> None:
    """What a choice after the resize never did: the crop is the same, bit for bit."""
    transform = SmallClip().image_transform
    rng = np.random.default_rng(0)
    same = 0
    for number in range(20):
        noise = rng.integers(0, 256, size=(9, 12, 3), dtype=np.uint8)
        picture = Image.fromarray(noise).resize((160, 120), Image.Resampling.BICUBIC)
        raw = RawImage({"png": encoded(picture)}, number)
        base = RicsCrop(side)(raw, transform)
        same += all(
            torch.equal(RicsCrop(side, *shift)(raw, transform), base) for shift in ONE_PIXEL_SHIFTS
        )
    assert same >= {1.125: 8, 1.5: 14, 2.0: 16}[side]


def test_the_choice_of_the_default_changes_in_fewer_than_one_of_twenty_photos() -> None:
    """254 x 340 pixels have K x L = 128 x 214 places: 1 - (126 x 212) / (130 x 216) is 4.9 %."""
    side = TranslationOptions().rics_side
    crop = round(254 / side)
    down, across = 254 - crop + 1, 340 - crop + 1
    assert 1 - (down - 2) * (across - 2) / ((down + 2) * (across + 2)) < 0.05


@pytest.mark.parametrize("side", [1.125, 1.5, 2.0, 3.0])
def test_the_smallest_picture_is_said_and_is_right(side: float) -> None:
    needed = smallest_picture(side)
    transform = SmallClip().image_transform

    def shown(pixels: int) -> torch.Tensor:
        picture = RawImage({"png": encoded(scene(pixels, pixels + 9))}, 0)
        return RicsCrop(side)(picture, transform)

    shown(needed)
    said = f"{needed - 1} x {needed + 8} pixels; the task translation needs {needed} a side"
    with pytest.raises(BadSampleError, match=said):
        shown(needed - 1)


def _sized(root: Path, sides: list[int]) -> EvalDataset:
    samples = labelled(len(sides), num_classes=len(NAMES))
    for sample, side in zip(samples, sides, strict=True):
        sample["png"] = encoded(scene(side, side)) if side else b"broken"
    return open_dataset(str(write_evaluation_folder(root / "t", samples, class_names=NAMES)))


@pytest.mark.parametrize("is_stored", [False, True])
def test_pictures_too_small_are_named_with_their_size(tmp_path: Path, *, is_stored: bool) -> None:
    embedder = StoredEmbedder(EMBEDDER, tmp_path / "e", batch_size=8) if is_stored else EMBEDDER
    task = TranslationConsistency.build(_sized(tmp_path, [18, 16]), TaskChoices())
    with pytest.raises(EvaluationError, match="18 x 18 pixels; the task translation needs 21 a"):
        task.run(SmallClip(seed=1), embedder)


def test_pictures_too_small_are_counted_apart_from_broken_ones(tmp_path: Path) -> None:
    dataset = _sized(tmp_path, [40, 18, 0, 2, 21])
    task = TranslationConsistency.build(dataset, TaskChoices())
    result = task.run(SmallClip(seed=1), EMBEDDER)
    assert result.num_samples == 2
    assert result.details["left_out"] == {
        "pictures too small for translation, which needs 21 pixels a side at rics_side 2": 2,
        "image cannot be decoded": 1,
    }


def test_flip_rates_and_accuracy_equal_loops(tmp_path: Path) -> None:
    dataset, model = _dataset(tmp_path), SmallClip(seed=1)
    request = TaskChoices(options=(TranslationOptions(rics_side=RICS_SIDE),))
    task = TranslationConsistency.build(dataset, request)

    result = task.run(model, EMBEDDER)

    classes = EMBEDDER.class_embeds(model, NAMES, task.templates).double().numpy()
    rows = [row for row in range(len(dataset)) if row not in (6, 11)]
    images = [decode_image(dataset.images.read(row)) for row in rows]

    def embeds_of(cut: Cut) -> np.ndarray:
        pixels = torch.from_numpy(np.stack([cut(image) for image in images]))
        return model.embed_images(pixels.permute(0, 3, 1, 2)).double().numpy()

    hits = {}
    for name, (base, neighbours) in _families().items():
        embeds = embeds_of(base)
        predicted = (embeds @ classes.T).argmax(axis=1)
        flips = np.zeros((len(rows), len(neighbours)), dtype=bool)
        smallest = np.ones(len(rows))
        for number, neighbour in enumerate(neighbours):
            moved = embeds_of(neighbour)
            flips[:, number] = (moved @ classes.T).argmax(axis=1) != predicted
            smallest = np.minimum(smallest, (moved * embeds).sum(axis=1))
        assert result.scores[f"flip_rate_{name}"].value == flips.any(axis=1).mean()
        assert result.scores[f"mean_flip_rate_{name}"].value == pytest.approx(flips.mean())
        cosine = result.scores[f"mean_min_cosine_{name}"]
        assert cosine.value == pytest.approx(smallest.mean(), abs=1e-6)
        assert not cosine.lower_is_better
        kept, scored = result.per_image[f"flip_rate_{name}"].unpack()
        np.testing.assert_array_equal(np.flatnonzero(scored), rows)
        np.testing.assert_array_equal(kept[rows], flips.any(axis=1))
        assert dataset.labels is not None
        hits[name] = predicted == dataset.labels[rows]
    plain, rics = hits["before_resize"].mean(), hits["rics_before_resize"].mean()
    assert result.scores["top1_plain"].value == plain
    assert result.scores["top1_rics"].value == rics
    change = result.scores["rics_accuracy_change"]
    assert change.value == pytest.approx(rics - plain)
    assert change.unit == "points"
    assert change.low <= change.value <= change.high
    assert all(result.scores[f"flip_rate_{name}"].value > 0 for name in hits)
    assert (hits["before_resize"] != hits["rics_before_resize"]).any()
    assert (result.num_samples, result.num_skipped) == (22, 2)
    stored = StoredEmbedder(EMBEDDER, tmp_path / "store", batch_size=16)
    stored.prepare(model, task.needs())
    before = len(model.image_batch_sizes)
    assert task.run(model, stored) == result
    assert len(model.image_batch_sizes) == before


def test_equal_classes_are_no_flips(tmp_path: Path) -> None:
    samples = labelled(12, num_classes=2)
    for number, sample in enumerate(samples):
        sample["png"] = _picture(number)
    folder = write_evaluation_folder(tmp_path / "t", samples, class_names=("cat",) * 9)
    task = TranslationConsistency.build(open_dataset(str(folder)), TaskChoices())
    result = task.run(SmallClip(), EMBEDDER)
    assert {s.value for n, s in result.scores.items() if "flip_rate" in n} == {0.0}
    assert result.scores["top1_plain"].value == 0.5


def test_choices_are_checked_and_a_choice_of_images_is_taken(tmp_path: Path) -> None:
    dataset = _dataset(tmp_path)
    for side in (1.0, 4.5):
        request = TaskChoices(options=(TranslationOptions(rics_side=side),))
        lack = TranslationConsistency.missing(dataset, request)
        assert lack is not None
        assert "above 1 and up to 4" in lack
    request = TaskChoices(options=(TranslationOptions(max_images=5),))
    assert TranslationConsistency.missing(dataset, request) is None
    task = TranslationConsistency.build(dataset, request)
    assert isinstance(task, TranslationConsistency)
    assert len(task.dataset) == 5


def test_pictures_too_small_to_move_are_refused_when_there_are_no_others(tmp_path: Path) -> None:
    samples = [{"png": encoded(Image.new("RGB", (2, 2 + i))), "cls": b"0"} for i in range(3)]
    path = write_tar(tmp_path / "x.tar", samples)
    names = tmp_path / "names.txt"
    names.write_text("cat\ndog\n")
    dataset = open_dataset(str(path), class_names=str(names))
    task = TranslationConsistency.build(dataset, TaskChoices())
    with pytest.raises(EvaluationError, match="none of the 3 images"):
        task.run(SmallClip(), EMBEDDER)
