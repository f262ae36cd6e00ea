"""The evaluation view equals open_clip's, pixel by pixel and after normalisation.

Reference: open_clip.transform.image_transform(is_train=False). No tolerance: both resize with
Pillow and divide, subtract and divide in fp32 in the same order.
"""

import numpy as np
import pytest
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

from vlsuite.batches.transforms import channels, eval_transform, normalise

MEAN, STD = (0.48, 0.46, 0.41), (0.27, 0.26, 0.28)
PICTURE_SIZES = [(33, 20), (20, 33), (17, 17), (224, 37), (31, 224), (1, 5), (24, 24), (25, 24)]
VIEW_SIZES = [(24, 24), (24, 32), (37, 21)]


def picture(width: int, height: int) -> Image.Image:
    rng = np.random.default_rng(width * 1000 + height)
    return Image.fromarray(rng.integers(0, 256, size=(height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize("view_size", VIEW_SIZES)
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("resize_mode", ["shortest", "squash", "longest"])
def test_equals_open_clip(resize_mode, interpolation, view_size):
    preprocess = {
        "size": view_size,
        "mean": MEAN,
        "std": STD,
        "interpolation": interpolation,
        "resize_mode": resize_mode,
        "fill_color": 17,
    }
    reference = image_transform_v2(PreprocessCfg(**preprocess), is_train=False)
    ours = eval_transform(preprocess)
    cpu = torch.device("cpu")
    for size in PICTURE_SIZES:
        pixels = ours(picture(*size))
        assert pixels.dtype == torch.uint8
        assert pixels.shape == (3, *view_size)
        normalised = normalise(
            pixels[None], mean=channels(MEAN, cpu), std=channels(STD, cpu), dtype=torch.float32
        )
        assert torch.equal(normalised[0], reference(picture(*size))), size


def test_a_line_of_pixels_is_padded_rather_than_refused():
    view = eval_transform({"size": (24, 24), "resize_mode": "longest", "fill_color": 17})
    assert view(picture(400, 1)).shape == (3, 24, 24)
