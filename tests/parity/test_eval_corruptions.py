"""All corruptions against the published definitions in float64, with the draws handed to both.

Definitions: ``benchmarks/peers/corruption_reference.py``, from hendrycks/robustness (arXiv
1903.12261). One level of 255 is allowed where results are cut to bytes: float32 and float64 can
fall on different sides of a whole level.
"""

import numpy as np
import pytest
import torch

from benchmarks.peers.corruption_reference import diamond_square, draws_of, glass_loop, reference
from eval.corruptions import glass
from eval.corruptions.catalogue import KERNELS
from eval.corruptions.draws import Draws, keys_of
from eval.corruptions.pixels import DrawContext
from eval.corruptions.severities import (
    ALL_CORRUPTIONS,
    SEVERITIES,
    ConstantSet,
    Glass,
    constants_of,
)
from eval.corruptions.weather import FogDraws, plasma
from tests.support.pictures import scene

#: Every step is integer arithmetic or the same library.
EXACT = ("shot_noise", "impulse_noise", "glass_blur", "pixelate", "jpeg_compression")


def pictures(height: int, width: int) -> torch.Tensor:
    """A scene with plain areas and edges, the same with noise, and one that is nearly black."""
    plain = np.asarray(scene(width, height)).astype(int)
    noisy = plain + np.random.default_rng(0).integers(-30, 30, plain.shape)
    stack = np.clip(np.stack([plain, noisy, plain // 40]), 0, 255).astype(np.uint8)
    return torch.from_numpy(np.ascontiguousarray(stack.transpose(0, 3, 1, 2)))


def differences(
    images: torch.Tensor, corruption: str, severity: int, constants: ConstantSet
) -> list[int]:
    """Largest difference in levels for each picture."""
    strength = constants_of(corruption, severity, constants)
    kernel = KERNELS[corruption]
    keys = keys_of(range(len(images)), corruption, severity, seed=0)
    context = DrawContext(images.shape[2], images.shape[3], constants)
    drawn = None if kernel.draw is None else kernel.draw(Draws(keys), context, strength)
    ours = kernel.apply(images, strength, *(() if drawn is None else (drawn,)))
    found = []
    for number, image in enumerate(images):
        picture = np.ascontiguousarray(image.numpy().transpose(1, 2, 0))
        theirs = reference(corruption, picture, strength, draws_of(drawn, number))
        shown = ours[number].numpy().transpose(1, 2, 0).astype(int)
        found.append(int(np.abs(shown - theirs).max()))
    return found


@pytest.mark.parametrize("corruption", ALL_CORRUPTIONS)
def test_equals_the_published_definition(corruption: str) -> None:
    images = pictures(112, 112)
    largest = [max(differences(images, corruption, s, "imagenet-c")) for s in SEVERITIES]
    assert max(largest) <= (0 if corruption in EXACT else 1), largest


@pytest.mark.parametrize("corruption", ALL_CORRUPTIONS)
def test_equals_the_definition_for_cifar(corruption: str) -> None:
    images = pictures(32, 32)
    largest = [max(differences(images, corruption, s, "cifar-c")) for s in SEVERITIES]
    assert max(largest) <= (0 if corruption in EXACT else 1), largest


@pytest.mark.parametrize("corruption", ["glass_blur", "zoom_blur", "snow", "fog", "spatter"])
def test_frames_need_not_be_square(corruption: str) -> None:
    assert max(differences(pictures(48, 80), corruption, 3, "imagenet-c")) <= 1


@pytest.mark.parametrize("severity", SEVERITIES)
def test_glass_shuffle_is_the_loop_bit_for_bit(severity: int) -> None:
    strength: Glass = constants_of("glass_blur", severity)
    images = pictures(224, 224)[1:2]
    keys = keys_of([7], "glass_blur", severity, seed=0)
    shifts = glass.draw_shifts(Draws(keys), DrawContext(224, 224), strength)

    ours = glass.shuffle(images, strength.max_shift, shifts)

    looped = np.ascontiguousarray(images[0].numpy().transpose(1, 2, 0))
    glass_loop(looped, strength.max_shift, draws_of(shifts, 0))
    assert np.array_equal(ours[0].numpy().transpose(1, 2, 0), looped)
    assert not np.array_equal(images[0].numpy().transpose(1, 2, 0), looped)


def test_plasma_is_made_of_diamonds_and_squares() -> None:
    generator = torch.Generator().manual_seed(0)
    scales = tuple(torch.rand(2, 3, n, n, generator=generator) * 2 - 1 for n in (1, 2, 4, 8))
    ours = plasma(FogDraws(scales), 1.7)
    for number in range(2):
        looped = diamond_square([s[number].double().numpy() for s in scales], 1.7)
        # float32 against float64 on a map of range 1
        np.testing.assert_allclose(ours[number].numpy(), looped, atol=1e-6)
