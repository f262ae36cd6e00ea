"""Corrupt a batch of pictures by name, reproducibly and within bounded memory."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from eval.corruptions.catalogue import KERNELS, Kernel
from eval.corruptions.draws import Draws, keys_of
from eval.corruptions.pixels import DrawContext, Images
from eval.corruptions.severities import FRAME_SIZES, ConstantSet, constants_of
from eval.errors import EvaluationError

#: Smallest height and width; kernels reach up to 20 pixels.
MIN_SIDE = 32

#: Values of one picture of 224 pixels.
_USUAL_VALUES = 3 * 224 * 224
#: Pictures of 224 pixels at a time on a GPU; temporaries stay below about 4 GiB.
_NUM_ON_ACCELERATORS = 256


def corrupt(
    images: Images,
    corruption: str,
    severity: int,
    *,
    image_ids: Sequence[int],
    seed: int = 0,
    constants: ConstantSet = "imagenet-c",
    frost_dir: Path | None = None,
) -> Images:
    """Apply one of ImageNet-C's corruptions to pictures in memory.

    Hendrycks and Dietterich 2019, arXiv 1903.12261. A picture's result depends on its pixels,
    its id, the corruption, the severity and the seed; not on the batch, its order, or any
    generator's state. The published files were compressed as JPEG after corruption and these
    are not, so results on the two must not be mixed.

    Args:
        images: cropped to the size the model sees; published constants are for 224 pixels a
            side (``cifar-c``: 32). At least 32 pixels a side; on any device.
        corruption: one of :data:`eval.corruptions.severities.ALL_CORRUPTIONS`.
        severity: 1 to 5.
        image_ids: one integer a picture, for example of its content hash.
        seed: of all draws.
        frost_dir: folder of the six original frost pictures. Without it ``frost`` uses ice
            ferns of our own and is not the published corruption.
    Returns:
        Bytes on the device of ``images``, fractions cut off as in the published scripts.
    Raises:
        EvaluationError: unknown name, severity or set; pictures too small; ids that do not
            match the pictures; frost pictures missing.
    """
    strength = constants_of(corruption, severity, constants)
    height, width = images.shape[-2:]
    _check(images, image_ids)
    kernel = KERNELS[corruption]
    context = DrawContext(height, width, constants, frost_dir)
    keys = keys_of(image_ids, corruption, severity, seed=seed, device=images.device)
    size = _pictures_at_a_time(images, kernel)
    result = torch.empty_like(images)
    for first in range(0, len(images), size):
        part = slice(first, first + size)
        result[part] = _run(kernel, images[part], strength, Draws(keys[part]), context)
    return result


def describe(
    corruption: str, severity: int, constants: ConstantSet = "imagenet-c"
) -> dict[str, Any]:
    """What a result file says about a corruption: name, severity, source and numbers.

    Raises:
        EvaluationError: unknown name, severity or set.
    """
    strength = constants_of(corruption, severity, constants)
    return {
        "corruption": corruption,
        "severity": severity,
        "constants": constants,
        "frame_size": FRAME_SIZES[constants],
        "values": strength._asdict(),
        "source": "memory",
    }


def _run(
    kernel: Kernel, images: Images, strength: Any, draws: Draws, context: DrawContext
) -> Images:
    if kernel.draw is None:
        return kernel.apply(images, strength)
    return kernel.apply(images, strength, kernel.draw(draws, context, strength))


def _check(images: Images, image_ids: Sequence[int]) -> None:
    height, width = images.shape[-2:]
    if min(height, width) < MIN_SIDE:
        raise EvaluationError(
            f"cannot corrupt pictures of {height} x {width} pixels; resize them to at least "
            f"{MIN_SIDE} a side"
        )
    if len(image_ids) != len(images):
        raise EvaluationError(
            f"{len(images)} pictures came with {len(image_ids)} image_ids; give one id a picture"
        )


def _pictures_at_a_time(images: Images, kernel: Kernel) -> int:
    """On a CPU so few that temporaries stay in its cache."""
    usual = kernel.num_on_cpu if images.device.type == "cpu" else _NUM_ON_ACCELERATORS
    return max(1, usual * _USUAL_VALUES // max(1, images[:1].numel()))
