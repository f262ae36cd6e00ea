"""One-pixel shifts against crops cut by hand and loops over the definitions."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from eval.data.dataset import EvalDataset
from eval.data.folders import open_dataset
from eval.data.raw_image import RawImage
from eval.embedding.decode import StreamingDecoder
from eval.embedding.embedder import StreamingEmbedder
from eval.embedding.store import StoredEmbedder
from eval.errors import EvaluationError
from eval.metrics.consistency import ONE_PIXEL_SHIFTS
from eval.robustness.rics import rics_crops
from eval.robustness.translation import RicsView, TranslationConsistency, TranslationOptions
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
SIDE = 24  # of the window that RICS chooses from: 1.5 times the model's input
Cut = Callable[[Image.Image], np.ndarray]


def _picture(number: int) -> bytes:
    """Noise on top of shades, of another size each time."""
    rng = np.random.default_rng(number)
    width, height = rng.integers(30, 60, size=2).tolist()
    blocks = rng.integers(0, 256, size=(7, 7, 3), dtype=np.uint8)
    noise = Image.fromarray(blocks).resize((width, height), Image.Resampling.BICUBIC)
    return encoded(Image.blend(noise, scene(width, height), 0.3))


def _dataset(root: Path, count: int = 40) -> EvalDataset:
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


def _chosen(window: np.ndarray) -> np.ndarray:
    frame = torch.from_numpy(window.copy()).permute(2, 0, 1)[None]
    return rics_crops(frame, crop_size=IMAGE_SIDE).crops[0].permute(1, 2, 0).numpy()


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

    def rics(cut: Cut, down: int = 0, right: int = 0) -> Cut:
        return lambda image: _chosen(cut(_moved(image, down, right)))

    zooms = (-2, -1, 1, 2)
    return {
        "after_resize": (window(), [window(*s) for s in ONE_PIXEL_SHIFTS]),
        "before_resize": (moved(0, 0), [moved(*s) for s in ONE_PIXEL_SHIFTS]),
        "rescaled": (window(), [window(free=2 + z) for z in zooms]),
        "rics_after_resize": (
            rics(window(side=SIDE)), [rics(window(*s, side=SIDE)) for s in ONE_PIXEL_SHIFTS],
        ),
        "rics_before_resize": (
            rics(window(side=SIDE)), [rics(window(side=SIDE), *s) for s in ONE_PIXEL_SHIFTS],
        ),
        "rics_rescaled": (
            rics(window(side=SIDE)), [rics(window(side=SIDE, free=2 + z)) for z in zooms],
        ),
    }  # fmt: skip


def test_windows_are_the_crops_one_would_cut_by_hand() -> None:
    image = decode_image(_picture(3))
    raw, transform = RawImage({"png": _picture(3)}, 0), SmallClip().image_transform

    def shown(frame) -> np.ndarray:
        return frame(raw, transform).permute(1, 2, 0).numpy()

    for down, right in ((0, 0), (1, -1), (-1, 1)):
        by_hand = _window(image, IMAGE_SIDE, 2, down, right)
        np.testing.assert_array_equal(shown(Window(1.0, 0, down, right)), by_hand)
        wide = _window(image, SIDE, 2, down, right)
        np.testing.assert_array_equal(shown(Window(1.5, 0, down, right)), wide)
        box = (1 + right, 1 + down, image.width - 1 + right, image.height - 1 + down)
        moved = np.asarray(image.crop(box).resize((IMAGE_SIDE, IMAGE_SIDE)))
        np.testing.assert_array_equal(shown(MovedPicture(down, right)), moved)
    inner = shown(Window(1.0, 0, 0, 0))
    right_of_it = shown(Window(1.0, 0, 0, 1))
    np.testing.assert_array_equal(inner[:, 1:], right_of_it[:, :-1])


@pytest.mark.parametrize("scale", [1.0625, 1.25, 1.5, 2.0])
def test_rics_view_is_the_crop_of_the_window(scale: float) -> None:
    raw, transform = RawImage({"png": _picture(5)}, 0), SmallClip().image_transform
    window = Window(scale, 0, 1, 0)
    frames = torch.stack([window(raw, transform)] * 2)
    view = RicsView(window, scale)
    expected = rics_crops(frames, crop_size=IMAGE_SIDE).crops
    assert frames.shape[-1] == round(scale * IMAGE_SIDE)
    assert torch.equal(view.apply(frames, [0, 1]), expected)


def test_flip_rates_and_accuracy_equal_loops(tmp_path: Path) -> None:
    dataset, model = _dataset(tmp_path), SmallClip(seed=1)
    request = TaskChoices(options=(TranslationOptions(rics_side=SIDE / IMAGE_SIDE),))
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
    plain, rics = hits["after_resize"].mean(), hits["rics_after_resize"].mean()
    assert result.scores["top1_central_window"].value == plain
    assert result.scores["top1_rics"].value == rics
    change = result.scores["rics_accuracy_change"]
    assert change.value == pytest.approx(rics - plain)
    assert change.unit == "points"
    assert change.low <= change.value <= change.high
    assert all(result.scores[f"flip_rate_{name}"].value > 0 for name in hits)
    assert (hits["after_resize"] != hits["rics_after_resize"]).any()
    assert (result.num_samples, result.num_skipped) == (38, 2)
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
    assert result.scores["top1_central_window"].value == 0.5


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
