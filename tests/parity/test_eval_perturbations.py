"""Perturbation sequences against torchvision, scikit-image and loops over the published sums.

The references follow ImageNet-P/create_p of hendrycks/robustness in words, with libraries that
the product does not use for it.
"""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision.transforms.functional as tv
from PIL import Image
from scipy.ndimage import zoom
from skimage.color import hsv2rgb, rgb2hsv
from skimage.transform import ProjectiveTransform, warp
from torchvision.transforms import InterpolationMode

from eval.corruptions.draws import Draws, keys_of
from eval.data.dataset import EvalDataset
from eval.data.folders import open_dataset
from eval.data.raw_image import RawImage
from eval.embedding.decode import StreamingDecoder
from eval.embedding.embedder import StreamingEmbedder
from eval.embedding.store import StoredEmbedder
from eval.metrics.perturbation_flips import PERTURBATIONS
from eval.robustness.perturbation_frames import CROPS, SWEEPS, PerturbationSet, view_of
from eval.robustness.perturbations import PerturbationOptions, Perturbations
from eval.task_choices import TaskChoices
from tests.support.embedding_model import SmallClip
from tests.support.evaluation_data import labelled, noise_png, write_evaluation_folder
from tests.support.pictures import encoded, scene

EMBEDDER = StreamingEmbedder(decoder=StreamingDecoder(batch_size=16, workers=2))
NAMES = ("cat", "dog", "boat", "tree", "lamp", "hat", "car")
PICTURE = scene(640, 400)  # resized to 409 x 256, cropped at 92 and 16
SMALL = scene(320, 320).resize((32, 32))


def _shown(kind: str, number: int, constants: PerturbationSet = "imagenet-p") -> np.ndarray:
    picture = PICTURE if constants == "imagenet-p" else SMALL
    view = view_of(kind, number, constants, seed=3)
    frame = view.frame(RawImage({"png": encoded(picture)}, 5), SmallClip().image_transform)
    return view.apply(frame[None], [5])[0].permute(1, 2, 0).numpy().astype(int)


def _resized(constants: PerturbationSet = "imagenet-p") -> Image.Image:
    return PICTURE.resize((409, 256), Image.Resampling.BILINEAR) if constants[0] == "i" else SMALL


def _crop(picture: Image.Image, constants: PerturbationSet = "imagenet-p") -> np.ndarray:
    return np.asarray(tv.center_crop(picture, [CROPS[constants].crop] * 2)).astype(int)


@pytest.mark.parametrize("number", [0, 15, 24, 30])
@pytest.mark.parametrize("constants", ["imagenet-p", "cifar-p"])
def test_turned_and_scaled_pictures_equal_torchvision(
    constants: PerturbationSet, number: int
) -> None:
    scale = (number * 2.5 + 40) / 100 if constants == "imagenet-p" else (number * 2 + 70) / 100
    for kind, angle, factor in (("rotate", number - 15, 1.0), ("scale", 0.0, scale)):
        changed = tv.affine(
            _resized(constants), angle, [0, 0], factor, [0.0], InterpolationMode.BILINEAR
        )
        error = np.abs(_shown(kind, number, constants) - _crop(changed, constants))
        assert error.max() <= 1


@pytest.mark.parametrize(
    ("number", "constants"), [(0, "imagenet-p"), (33, "imagenet-p"), (15, "cifar-p")]
)
def test_translated_pictures_equal_torchvision(number: int, constants: PerturbationSet) -> None:
    right = number - (20 if constants == "imagenet-p" else 7)
    changed = tv.affine(_resized(constants), 0, [right, 0], 1, [0.0])
    np.testing.assert_array_equal(_shown("translate", number, constants), _crop(changed, constants))


@pytest.mark.parametrize("number", [0, 9, 15, 30])
@pytest.mark.parametrize("constants", ["imagenet-p", "cifar-p"])
def test_tilted_pictures_equal_scikit_image(constants: PerturbationSet, number: int) -> None:
    pixels = np.asarray(_resized(constants)).astype(float)
    height, width = pixels.shape[:2]
    angle = np.deg2rad((1 if constants == "imagenet-p" else 0.75) * (number - 15))
    depth, cos, sin = np.sqrt(width**2 + height**2), np.cos(angle), np.sin(angle)
    lift = np.array([[1, 0, -width / 2], [0, 1, -height / 2], [0, 0, 1], [0, 0, 1]])
    about_x = np.array([[1, 0, 0, 0], [0, cos, -sin, 0], [0, sin, cos, 0], [0, 0, 0, 1]])
    about_y = np.array([[cos, 0, -sin, 0], [0, 1, 0, 0], [sin, 0, cos, 0], [0, 0, 0, 1]])
    away = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, depth], [0, 0, 0, 1]])
    project = np.array([[depth, 0, width / 2, 0], [0, depth, height / 2, 0], [0, 0, 1, 0]])
    back = ProjectiveTransform(np.linalg.inv(project @ away @ about_x @ about_y @ lift))
    changed = warp(pixels, back, order=1, cval=-1e6, clip=False)
    side = CROPS[constants].crop
    top, left = (height - side) // 2, round((width - side) / 2)
    expected = changed[top : top + side, left : left + side]
    is_inside = expected.min(axis=2) >= 0  # mixed with what lies outside at the border
    error = np.abs(_shown("tilt", number, constants) - expected)[is_inside]
    assert is_inside.mean() > 0.8
    assert error.max() <= 1.001


def test_zoom_blur_equals_the_running_average() -> None:
    # An even width: the scripts zoom about the picture's middle, not the crop's.
    total = _crop(_resized().crop((0, 0, 408, 256))) / 255
    view = view_of("zoom_blur", 7, "imagenet-p", seed=0)
    frame = torch.from_numpy(np.uint8(np.round(total * 255))).permute(2, 0, 1)
    for i in range(1, 8):
        factor = 1 + 0.004 * i
        larger = tv.affine(
            _resized().crop((0, 0, 408, 256)), 0, [0, 0], factor, [0.0], InterpolationMode.BILINEAR
        )
        total = total + _crop(larger) / 255
    shown = view.apply(frame[None], [0])[0].permute(1, 2, 0).numpy()
    assert np.abs(shown.astype(int) - np.floor(total / 8 * 255)).max() <= 1


@pytest.mark.parametrize(("constants", "step"), [("imagenet-p", 0.02), ("cifar-p", 0.015)])
def test_brightness_equals_scikit_image(constants: PerturbationSet, step: float) -> None:
    for number in (0, 14, 30):
        hsv = rgb2hsv(_crop(_resized(constants), constants) / 255)
        hsv[..., 2] = np.clip(hsv[..., 2] + (number - 15) * step, 0, 1)
        expected = np.uint8(hsv2rgb(hsv) * 255).astype(int)
        assert np.abs(_shown("brightness", number, constants) - expected).max() <= 1


@pytest.mark.parametrize(
    ("constants", "sigma", "photons"), [("imagenet-p", 0.03, 300), ("cifar-p", 0.02, 700)]
)
def test_noise_has_the_published_strength_and_is_new_in_every_frame(
    constants: PerturbationSet, sigma: float, photons: float
) -> None:
    clean = _crop(_resized(constants), constants) / 255
    for kind in ("gaussian_noise", "shot_noise"):
        np.testing.assert_array_equal(_shown(kind, 0, constants), np.round(255 * clean))
        first, second = (_shown(kind, i, constants) for i in (1, 2))
        np.testing.assert_array_equal(first, _shown(kind, 1, constants))
        is_middle = (clean > 0.3) & (clean < 0.7)
        for noisy in (first, second, (first - second) / np.sqrt(2) + 255 * clean):
            error = ((noisy - 255 * clean) / 255)[is_middle]
            spread = (
                sigma if kind == "gaussian_noise" else np.sqrt(clean[is_middle].mean() / photons)
            )
            assert error.std() == pytest.approx(spread, rel=0.08)


def _motion_loop(pixels: np.ndarray, radius: int, sigma: float, degrees: float) -> np.ndarray:
    """Sum of shifted copies, weights half a normal, borders repeated."""
    count = 2 * radius + 1
    weights = np.exp(-(np.arange(count) ** 2) / (2 * sigma**2))
    weights /= weights.sum()
    height, width = pixels.shape[:2]
    total = np.zeros(pixels.shape)
    for tap, weight in enumerate(weights):
        down = int(np.ceil(tap * np.sin(np.deg2rad(degrees)) - 0.5))
        right = int(np.ceil(tap * np.cos(np.deg2rad(degrees)) - 0.5))
        rows = np.clip(np.arange(height) + down, 0, height - 1)
        columns = np.clip(np.arange(width) + right, 0, width - 1)
        total += weight * pixels[rows][:, columns]
    return total


@pytest.mark.parametrize(
    ("constants", "radius", "sigma", "angle"),
    [("imagenet-p", 10, 3.0, -92), ("cifar-p", 6, 1.8, -117)],
)
def test_motion_blur_equals_a_loop(
    constants: PerturbationSet, radius: int, sigma: float, angle: float
) -> None:
    pixels = _crop(_resized(constants), constants)
    error = _shown("motion_blur", 7, constants) - _motion_loop(pixels, radius, sigma, angle)
    assert np.abs(error).max() <= 1


@pytest.mark.parametrize(
    ("constants", "factor", "radius", "sigma"), [("imagenet-p", 3, 14, 4), ("cifar-p", 2, 10, 2)]
)
def test_snow_turns_and_its_flakes_stay(
    constants: PerturbationSet, factor: int, radius: int, sigma: float
) -> None:
    side = CROPS[constants].crop
    keys = keys_of([5], f"{constants} snow", 0, seed=3)
    normals = Draws(keys).normal(side, side, stream=0)[0].double().numpy()
    part = -(-side // factor)
    top = (side - part) // 2
    field = zoom(0.05 + 0.3 * normals[top : top + part, top : top + part], factor, order=1)
    trim = (len(field) - side) // 2
    field = field[trim : trim + side, trim : trim + side]
    field[field < 0.5] = 0
    flakes = np.uint8(np.clip(field, 0, 1) * 255).astype(float)
    x = _crop(_resized(constants), constants) / 255
    gray = (x @ [0.299, 0.587, 0.114])[..., None] * 1.5 + 0.5
    for number in (0, 11):
        layer = _motion_loop(flakes, radius, sigma, number * 4 - 150)[..., None] / 255
        snowy = 0.85 * x + 0.15 * np.maximum(x, gray) + layer + layer[::-1, ::-1]
        expected = np.floor(np.clip(snowy, 0, 1) * 255)
        assert np.abs(_shown("snow", number, constants) - expected).max() <= 2


def test_frames_are_consecutive_and_include_the_clean_one() -> None:
    for sweeps in SWEEPS.values():
        assert tuple(sweeps) == PERTURBATIONS
        for sweep in sweeps.values():
            for count in (2, 10, sweep.length, 100):
                numbers = sweep.numbers(count)
                assert len(numbers) == min(count, sweep.length)
                assert sweep.clean in numbers
                assert 0 <= numbers[0] <= numbers[-1] < sweep.length
    assert SWEEPS["imagenet-p"]["translate"].numbers(10) == range(15, 25)
    assert SWEEPS["imagenet-p"]["scale"].strength(24) == pytest.approx(1)


def _dataset(root: Path, count: int = 14, side: int = 24) -> EvalDataset:
    samples = labelled(count, num_classes=len(NAMES))
    for number, sample in enumerate(samples):
        sample["png"] = noise_png(number, side=side)
    samples[4]["png"] = b"broken"
    return open_dataset(str(write_evaluation_folder(root / "p", samples, class_names=NAMES)))


def _request(**options) -> TaskChoices:
    return TaskChoices(options=(PerturbationOptions(**options),))


def test_scores_equal_loops_over_the_frames(tmp_path: Path) -> None:
    dataset, model = _dataset(tmp_path), SmallClip(seed=2)
    kinds = ("gaussian_noise", "rotate", "brightness")
    task = Perturbations.build(dataset, _request(kinds=kinds, num_frames=4, max_images=0))

    result = task.run(model, EMBEDDER)

    prototypes = EMBEDDER.class_embeds(model, NAMES, task.templates).double().numpy()
    expected: dict[str, float] = {}
    for kind in kinds:
        flips, distances = [], []
        numbers = SWEEPS["cifar-p"][kind].numbers(4)
        orders = np.stack([
            np.argsort(-embeds.double().numpy() @ prototypes.T, axis=1, kind="stable")
            for number in numbers
            for embeds in [
                EMBEDDER.images(model, dataset, view_of(kind, number, "cifar-p", seed=0)).embeds
            ]
        ])  # fmt: skip
        for sequence in orders.transpose(1, 0, 2):
            steps = list(pairwise(sequence))
            if kind == "gaussian_noise":
                steps = [(sequence[0], frame) for frame in sequence[1:]]
            flips += [before[0] != after[0] for before, after in steps]
            for before, after in steps:
                ranks = [1 + after.tolist().index(c) for c in before[:5]]
                distances.append(sum(abs(i + 1 - min(r, 6)) for i, r in enumerate(ranks)))
        expected[f"flip_probability_{kind}"] = float(np.mean(flips))
        expected[f"top5_distance_{kind}"] = float(np.mean(distances))
    values = {name: score.value for name, score in result.scores.items()}
    mean = values.pop("mean_flip_probability")
    assert values == pytest.approx(expected)
    assert mean == pytest.approx(np.mean([expected[f"flip_probability_{kind}"] for kind in kinds]))
    assert mean > 0
    assert all(s.low <= s.value <= s.high and s.lower_is_better for s in result.scores.values())
    assert (result.num_samples, result.num_skipped) == (13, 1)
    assert result.details["frames"] == {
        "gaussian_noise": [0, 3], "rotate": [13, 16], "brightness": [13, 16],
    }  # fmt: skip
    stored = StoredEmbedder(EMBEDDER, tmp_path / "store", batch_size=16)
    stored.prepare(model, task.needs())
    assert task.run(model, stored).scores == result.scores
    assert task.run(model, EMBEDDER) == result


def test_all_ten_run_on_large_pictures_and_need_what_they_ask_for(tmp_path: Path) -> None:
    dataset = _dataset(tmp_path, count=6, side=70)
    task = Perturbations.build(dataset, _request(num_frames=2, max_images=3))
    assert (task.constants, len(task.dataset), task.kinds) == ("imagenet-p", 3, PERTURBATIONS)
    stored = StoredEmbedder(EMBEDDER, tmp_path / "store", batch_size=16)
    result = task.run(SmallClip(), stored)
    assert len(result.scores) == 21
    # Clean frames of both noises and of zoom blur are one view.
    assert len(task.needs()[0].views) == 18


def test_mistakes_are_one_line_each(tmp_path: Path) -> None:
    dataset = _dataset(tmp_path)
    for options, said in (
        ({"kinds": ("rotated",)}, "closest: rotate"),
        ({"kinds": ()}, "known: all"),
        ({"num_frames": 1}, "at least 2"),
        ({"max_images": -1}, "negative"),
    ):
        lack = Perturbations.missing(dataset, _request(**options))
        assert lack is not None
        assert said in lack
        assert "\n" not in lack
    assert Perturbations.missing(dataset, _request()) is None
