"""The faster view of a picture differs from the evaluation's by at most 2 levels of 255."""

import io

import numpy as np
import pytest
from PIL import Image

from tests.support.shards import picture
from vlsuite.batches.close_view import CloseView, view_of
from vlsuite.batches.decode import decode_image
from vlsuite.batches.transforms import EvalTransform
from vlsuite.errors import BadSampleError


def _jpeg(width, height, *, mode="RGB", number=0, **how):
    coarse = np.random.default_rng(number).integers(0, 256, (9, 11, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).convert(mode)
    stream = io.BytesIO()
    image.save(stream, "JPEG", **({"quality": 90} | how))
    return stream.getvalue()


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("mode", ["shortest", "squash"])
@pytest.mark.parametrize("size", [(150, 97), (97, 150), (64, 64), (40, 300), (300, 41), (31, 23)])
def test_at_most_two_levels(size, mode, interpolation):
    transform = EvalTransform(size=(64, 64), interpolation=interpolation, resize_mode=mode)
    for number, data in enumerate((_jpeg(*size), picture(1, side=max(size)))):
        exact = transform(decode_image(data)).int()
        close = CloseView(transform)(data)
        assert close.shape == exact.shape == (3, 64, 64)
        assert int((close.int() - exact).abs().max()) <= 2, number


def test_turned_and_other_pictures_too():
    transform = EvalTransform(size=(32, 32))
    exif = Image.Exif()
    exif[0x0112] = 6
    for data in (_jpeg(90, 50, exif=exif), _jpeg(70, 60, mode="CMYK"), _jpeg(70, 60, mode="L")):
        exact = transform(decode_image(data)).int()
        assert int((CloseView(transform)(data).int() - exact).abs().max()) <= 2


def test_broken_pictures_have_the_same_fate():
    transform = EvalTransform(size=(32, 32))
    whole = _jpeg(200, 160)
    damaged = bytearray(whole)
    damaged[len(whole) // 2 : len(whole) // 2 + 40] = bytes(40)
    for data in (whole[: len(whole) // 2], bytes(damaged), b"no picture", picture(3)[:60], b""):
        fates = []
        for pixels in ("exact", "close"):
            try:
                fates.append(view_of(transform, pixels)(data).shape)
            except BadSampleError as error:
                fates.append(error.kind)
        assert fates[0] == fates[1]


def test_a_view_of_a_models_own_is_kept():
    padded = EvalTransform(size=(32, 32), resize_mode="longest")
    oblong = EvalTransform(size=(32, 48))
    for own in (padded, oblong, lambda image: EvalTransform(size=(8, 8))(image)):
        assert not isinstance(view_of(own, "close"), CloseView)
        exact = own(decode_image(picture(4, side=50)))
        assert bool((view_of(own, "close")(picture(4, side=50)) == exact).all())
    assert not isinstance(view_of(EvalTransform(size=(32, 32)), "exact"), CloseView)
