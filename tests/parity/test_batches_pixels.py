"""Training pixels against Pillow, which open_clip's transforms are made of.

Tolerances are levels of 255. Resizing differs by up to 2: torch rounds filter weights to 16 bits,
so each of the two passes may round to the neighbouring level.
"""

import base64
import io

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageFilter, ImageOps
from torchvision.transforms import RandomResizedCrop

from tests.support.pictures import encoded, noise, scene
from vlsuite.batches.crops import Box, crop_box, largest_shrink, resized_crop
from vlsuite.batches.pictures import JpegPicture, open_picture
from vlsuite.batches.transforms import AugmentConfig, TrainTransform

FILTERS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}

# Made with jpegtran -arithmetic of libjpeg-turbo 2.1.5 from a gray slope of 24 x 16 pixels.
ARITHMETIC = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAYEBQYFBAYGBQYHBwYIChAKCgkJChQODwwQFxQYGBcUFhYaHSUfGhsj"
    "HBYWICwgIyYnKSopGR8tMC0oMCUoKSj/2wBDAQcHBwoIChMKChMoGhYaKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgo"
    "KCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCj/yQARCAAQABgDASIAAhEBAxEB/8wACgAQEAUBEBEF/9oADAMBAAIR"
    "AxEAPwD/ANGotQQFqsIGtRzA76UGBrr+UZfCvqm1rovcNgL3YP/Z"
)


def by_pillow(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def difference(ours, theirs) -> np.ndarray:
    return np.abs(np.asarray(ours).astype(int) - np.asarray(theirs).astype(int))


def cropped_by_pillow(image: Image.Image, box: Box, size, name: str) -> np.ndarray:
    return np.asarray(image.crop(box).resize(size[::-1], FILTERS[name]))


@pytest.mark.parametrize(
    "options",
    [
        {"subsampling": 0},
        {"subsampling": 1},
        {"subsampling": 2, "quality": 95},
        {"progressive": True},
        {"restart_marker_rows": 1},
        {"keep_rgb": True},
    ],
)
def test_a_jpeg_has_pillows_pixels(options):
    data = encoded(scene(203, 151), "JPEG", **options)
    picture = open_picture(data)
    assert isinstance(picture, JpegPicture)
    assert np.array_equal(picture.decode(shrink=1).values, by_pillow(data))


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_a_jpeg_of_other_colours_has_pillows_pixels(mode):
    data = encoded(scene(203, 151).convert(mode), "JPEG")
    assert np.array_equal(open_picture(data).decode(shrink=1).values, by_pillow(data))


def test_an_arithmetic_jpeg_has_pillows_pixels():
    assert np.array_equal(open_picture(ARITHMETIC).decode(shrink=1).values, by_pillow(ARITHMETIC))


@pytest.mark.parametrize("shrink", [2, 4, 8])
def test_a_reduced_jpeg_has_the_pixels_of_pillows_draft(shrink):
    data = encoded(scene(203, 151), "JPEG")
    image = Image.open(io.BytesIO(data))
    image.draft("RGB", (203 // shrink, 151 // shrink))
    small = open_picture(data).decode(shrink=shrink)
    assert small.shrink == shrink
    assert np.array_equal(small.values, np.asarray(image))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("shrink", [1, 4])
def test_a_turned_jpeg_is_turned_as_pillow_turns_it(orientation, shrink):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    data = encoded(scene(203, 151), "JPEG", exif=exif)
    image = Image.open(io.BytesIO(data))
    image.draft("RGB", (203 // shrink, 151 // shrink))
    picture = open_picture(data)
    assert isinstance(picture, JpegPicture)
    assert (picture.width, picture.height) == ((203, 151) if orientation < 5 else (151, 203))
    turned = picture.decode(shrink=shrink)
    assert np.array_equal(turned.values, np.asarray(ImageOps.exif_transpose(image)))
    assert turned.mended == (() if orientation == 1 else ("EXIF rotation",))


@pytest.mark.parametrize("interpolation", FILTERS)
@pytest.mark.parametrize("size", [(32, 32), (48, 20), (160, 200)])
@pytest.mark.parametrize(
    "box", [(0, 0, 150, 120), (11, 7, 140, 60), (3, 2, 60, 119), (5, 5, 37, 37), (70, 80, 71, 81)]
)
def test_a_resized_crop_is_pillows_crop_and_resize(box, size, interpolation):
    for image in (scene(150, 120), noise(150, 120)):
        ours = resized_crop(np.array(image), Box(*box), size=size, interpolation=interpolation)
        theirs = cropped_by_pillow(image, Box(*box), size, interpolation)
        assert difference(ours.permute(1, 2, 0), theirs).max() <= 2


@pytest.mark.parametrize(("side", "shrink"), [(48, 8), (100, 4), (200, 2)])
def test_a_view_of_a_large_jpeg_is_close_to_the_full_decode_of_its_box(side, shrink):
    """Reduced DCT and a short resize are another low-pass filter than one long resize.

    They agree where the picture holds no detail finer than a pixel of the view. The bound of 2
    levels on average is measured, not derived (1.1 for this blurred picture at 1/8).
    """
    image = scene(640, 480).filter(ImageFilter.GaussianBlur(shrink))
    data = encoded(image, "JPEG", quality=95, subsampling=0)
    transform = TrainTransform(AugmentConfig(), size=(side, side), interpolation="bicubic")
    for seed in range(5):
        ours = transform.view(data, np.random.default_rng(seed)).pixels.permute(1, 2, 0)
        box = crop_box(
            (640, 480), np.random.default_rng(seed), scale=(0.9, 1.0), ratio=(3 / 4, 4 / 3)
        )
        assert largest_shrink(box, (side, side)) == shrink
        full = Box(*(edge * shrink for edge in box.shrunk(shrink)))
        theirs = cropped_by_pillow(Image.fromarray(by_pillow(data)), full, (side, side), "bicubic")
        assert difference(ours, theirs).mean() < 2


def test_boxes_are_distributed_as_torchvision_draws_them():
    """Means of area, shape and place over 4,000 draws, within five standard errors."""
    image, scale, ratio = Image.new("RGB", (300, 200)), [0.3, 1.0], [3 / 4, 4 / 3]
    rng = np.random.default_rng(0)
    ours = np.array(
        [crop_box((300, 200), rng, scale=(0.3, 1.0), ratio=(3 / 4, 4 / 3)) for _ in range(4000)]
    )
    drawn = [RandomResizedCrop.get_params(image, scale, ratio) for _ in range(4000)]  # type: ignore[arg-type]
    theirs = np.array([(left, top, left + w, top + h) for top, left, h, w in drawn])
    for columns in ([0], [1], [2], [3]):
        a, b = ours[:, columns], theirs[:, columns]
        error = np.sqrt(a.var() / len(a) + b.var() / len(b))
        assert abs(a.mean() - b.mean()) < 5 * error
    spread = ours.std(axis=0) / theirs.std(axis=0)
    assert np.all(np.abs(spread - 1) < 0.1)
