"""3D Common Corruptions against the authors' formulas in float64 NumPy (arXiv 2203.01441)."""

import numpy as np
import pytest
import torch
from PIL import ImageOps
from scipy import ndimage
from scipy.stats import poisson

from eval.corruptions.camera_motion import moved
from eval.corruptions.depth import (
    CORRUPTIONS_3D,
    FARTHEST,
    NEEDS_DEPTH,
    corrupt_3d,
    describe_3d,
    shading,
)
from eval.corruptions.draws import Draws, keys_of
from eval.errors import EvaluationError
from tests.support.pictures import scene

SEVERITIES = (1, 2, 3, 4, 5)


@pytest.fixture(scope="module")
def image() -> torch.Tensor:
    return torch.from_numpy(np.asarray(scene(72, 64)).transpose(2, 0, 1).copy())


@pytest.fixture(scope="module")
def depth() -> torch.Tensor:
    """A floor that rises towards a wall, with a box on it, in metres."""
    down, right = torch.meshgrid(torch.arange(64.0), torch.arange(72.0), indexing="ij")
    depth = 9 - 0.1 * down
    depth[20:50, 30:50] = 2.5
    return depth + 0.01 * right


def unit(image: torch.Tensor) -> np.ndarray:
    return image.numpy().transpose(1, 2, 0) / 255.0


def scaled(depth: torch.Tensor) -> np.ndarray:
    return depth.double().numpy() / float(depth.max()) * FARTHEST


def assert_close(ours: torch.Tensor, theirs: np.ndarray) -> None:
    expected = (np.clip(theirs, 0, 1) * 255).astype(np.uint8).astype(int)
    assert np.abs(ours.numpy().transpose(1, 2, 0).astype(int) - expected).max() <= 1


@pytest.mark.parametrize("severity", SEVERITIES)
def test_fog(image: torch.Tensor, depth: torch.Tensor, severity: int) -> None:
    ours = corrupt_3d(image, depth, "fog_3d", severity, image_id=1)
    t = np.exp(-[4, 8, 12, 16, 20][severity - 1] * scaled(depth))[..., None]
    assert_close(ours, t * unit(image) + unit(image).mean() * (1 - t))


@pytest.mark.parametrize("severity", SEVERITIES)
def test_flash(image: torch.Tensor, depth: torch.Tensor, severity: int) -> None:
    ours = corrupt_3d(image, depth, "flash", severity, image_id=1)
    shade = shading(torch.from_numpy(scaled(depth)).float()).double().numpy()[..., None]
    x = unit(image)
    assert_close(ours, x + x * shade / [2.4, 1.4, 0.9, 0.6, 0.4][severity - 1])


def test_shading_is_brightest_where_the_surface_faces_the_camera() -> None:
    shade = shading(torch.ones(65, 65))
    assert shade[32, 32].item() == pytest.approx(1)
    # a wall seen 45 degrees to the side under a focal length of the picture's width
    corner = 32 / 65
    assert shade[32, 0].item() == pytest.approx(1 / np.hypot(1, corner), abs=1e-4)


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize(("name", "focus", "extra"), [("near_focus", 0, 2), ("far_focus", 7, 0.5)])
def test_focus(
    image: torch.Tensor, depth: torch.Tensor, severity: int, name: str, focus: int, extra: float
) -> None:
    ours = corrupt_3d(image, depth, name, severity, image_id=1)
    d, x = scaled(depth), unit(image)
    q = np.quantile(d, np.arange(9) / 8)
    q[0] -= 1e-4
    q[-1] += 1e-4
    blurred = []
    for r in (severity + extra) * np.abs(q - q[focus]) / q:
        taps = np.arange(int(r * 3) | 1) - (int(r * 3) | 1) // 2
        k = np.exp(-(taps**2) / (2 * r * r)) if r >= 0.1 else (taps == 0).astype(float)
        k = k / k.sum()
        rows = ndimage.correlate1d(x, k, axis=0, mode="nearest")
        blurred.append(ndimage.correlate1d(rows, k, axis=1, mode="nearest"))
    mixed = np.zeros_like(x)
    for i in range(d.shape[0]):
        for j in range(d.shape[1]):
            after = int(np.searchsorted(q, d[i, j]))
            left = (d[i, j] - q[after - 1]) / (q[after] - q[after - 1])
            a, b = 1 - left**2, 1 - (1 - left) ** 2
            mixed[i, j] = (a * blurred[after - 1][i, j] + b * blurred[after][i, j]) / (a + b)
    assert_close(ours, mixed)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_colour_quantisation_is_pillows_posterize(image: torch.Tensor, severity: int) -> None:
    ours = corrupt_3d(image, None, "color_quant", severity, image_id=1)
    theirs = ImageOps.posterize(scene(72, 64), 6 - severity)
    assert np.array_equal(ours.numpy().transpose(1, 2, 0), np.asarray(theirs))


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("name", ["iso_noise", "low_light"])
def test_sensor_noise(image: torch.Tensor, severity: int, name: str) -> None:
    ours = corrupt_3d(image, None, name, severity, image_id=4, seed=2)
    draws = Draws(keys_of([4], name, severity, seed=2))
    uniforms, normals = (
        numbers[0].double().numpy().transpose(1, 2, 0)
        for numbers in (draws.uniform(3, 64, 72, stream=0), draws.normal(3, 64, 72, stream=1))
    )
    x, photons, sigma = unit(image), 25, 0.7 * [0.08, 0.12, 0.18, 0.26, 0.38][severity - 1]
    if name == "low_light":
        ceiling = [0.6, 0.5, 0.4, 0.3, 0.2][severity - 1]
        x = ((x - x.min()) / (x.max() - x.min())) ** 2 * ceiling
        photons, sigma = 10 * 12, 0.1 * 0.18
    shot = np.clip(np.maximum(poisson.ppf(uniforms, x * photons), 0) / photons, 0, 1)
    assert_close(ours, shot + sigma * normals)


def test_sideways_motion_over_a_flat_wall_is_a_mean_of_shifts(image: torch.Tensor) -> None:
    """At one depth every pixel moves alike: 59 frames move by a pixel each in a frame of 72."""
    shift = 59 * 512 / 72
    ours = moved(image, torch.full((64, 72), 0.3), shift=(shift, 0.0), closer=1.0, num_frames=4)
    x = image.numpy().transpose(1, 2, 0).astype(float)
    columns = np.arange(72)
    theirs = np.mean([x[:, np.clip(columns + frame, 0, 71)] for frame in range(4)], axis=0)
    # each frame is cut to bytes after reading between pixels that lie a rounding error apart
    assert np.abs(ours.numpy().transpose(1, 2, 0) - np.floor(theirs)).max() <= 2


def test_forward_motion_leaves_the_middle_and_near_things_smear_farther() -> None:
    stripes = torch.zeros(3, 65, 65, dtype=torch.uint8)
    stripes[:, :, ::8] = 255
    depth = torch.full((65, 65), 0.5)
    depth[:32] = 0.1
    ours = moved(stripes, depth, shift=(0.0, 0.0), closer=0.5, num_frames=60).int()
    # the column through the middle is read from itself in every frame, and smears to both sides
    assert ours[0, 10, 32] == ours[0, 60, 32] == 255
    assert ours[0, 60, 31] == ours[0, 60, 33]
    assert ours[0, 10, 33] > 4 * ours[0, 60, 33] > 0


@pytest.mark.parametrize("name", CORRUPTIONS_3D)
def test_every_name_works_and_grows(image: torch.Tensor, depth: torch.Tensor, name: str) -> None:
    given = depth if name in NEEDS_DEPTH else None
    shown = [corrupt_3d(image, given, name, s, image_id=9).float() for s in SEVERITIES]
    again = corrupt_3d(image, given, name, 3, image_id=9)
    assert torch.equal(again.float(), shown[2])
    distances = [(picture - image).abs().mean().item() for picture in shown]
    assert 0 < distances[0] < distances[-1]
    assert describe_3d(name, 3)["source"] == "memory"


def test_what_cannot_be_used_is_named(image: torch.Tensor, depth: torch.Tensor) -> None:
    with pytest.raises(EvaluationError, match="unknown 3D corruption 'fog3d'; closest: fog_3d"):
        corrupt_3d(image, depth, "fog3d", 1, image_id=0)
    with pytest.raises(EvaluationError, match="fog_3d needs a depth map"):
        corrupt_3d(image, None, "fog_3d", 1, image_id=0)
    with pytest.raises(EvaluationError, match="give both in one size"):
        corrupt_3d(image, depth[1:], "fog_3d", 1, image_id=0)
    with pytest.raises(EvaluationError, match="not positive distances"):
        corrupt_3d(image, depth * torch.nan, "fog_3d", 1, image_id=0)
    with pytest.raises(EvaluationError, match="it goes from 1 to 5"):
        corrupt_3d(image, depth, "fog_3d", 0, image_id=0)
