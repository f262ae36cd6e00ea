"""Pictures that cannot be used: refused, under a kind that counts, before they cost anything."""

import resource
import time
from contextlib import suppress

import numpy as np
import pytest
from PIL import ExifTags, Image

from tests.support.pictures import (
    encoded,
    huge_gif,
    huge_jpeg,
    huge_png,
    huge_webp,
    noise,
)
from vlsuite.batches.decode import MAX_PIXELS, decode_image
from vlsuite.batches.jpeg_markers import MAX_SCANS
from vlsuite.batches.pictures import open_picture
from vlsuite.errors import BadSampleError


def kind_of_refusal(data: bytes) -> str:
    """The kind under which both readers refuse the bytes."""
    with pytest.raises(BadSampleError) as evaluation:
        decode_image(data)
    with pytest.raises(BadSampleError) as training:
        open_picture(data).decode(shrink=1)
    assert training.value.kind == evaluation.value.kind
    return training.value.kind


def test_values_of_unknown_range_are_refused():
    data = encoded(Image.fromarray(np.array([[0.5, 70_000]], dtype=np.float32)), "TIFF")
    assert kind_of_refusal(data) == "unknown pixel range"


@pytest.mark.parametrize("share", [0.5, 0.95])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
def test_truncated(kind, share):
    data = encoded(noise(), kind)
    assert kind_of_refusal(data[: int(len(data) * share)]) == "truncated image"


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}])
def test_a_jpeg_cut_anywhere_is_refused(options):
    data = encoded(noise(), "JPEG", **options)
    kinds = [kind_of_refusal(data[:cut]) for cut in range(2, len(data), 61)]
    assert set(kinds) <= {"truncated image", "broken image"}
    assert kinds[-1] == kind_of_refusal(data[:-1]) == "truncated image"


def test_training_refuses_a_jpeg_with_a_hole_that_pillow_fills_with_gray():
    data = encoded(noise(), "JPEG")
    holed = data[: len(data) // 2] + b"\xff\xd9"
    assert decode_image(holed).size == (64, 48)
    with pytest.raises(BadSampleError, match="truncated image"):
        open_picture(holed).decode(shrink=1)


def test_zero_bytes():
    assert kind_of_refusal(b"") == "zero bytes"


@pytest.mark.parametrize(
    "data",
    [
        b"<html>not found</html>" * 20,
        b"\n <!DOCTYPE html><p>",
        b'\xef\xbb\xbf<?xml version="1.0"?><svg/>',
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        b"not found",
        b"leading" + encoded(noise(), "JPEG"),
    ],
)
def test_not_a_picture(data):
    assert kind_of_refusal(data) == "not an image"


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(
    "data",
    [
        huge_png(10_000, MAX_PIXELS // 10_000 + 1),
        huge_png(10_000, 60_000),
        huge_jpeg(65_500, 65_500),
        huge_jpeg(8_001, 8_000),
        huge_gif(65_535, 65_535),
    ],
)
def test_a_header_that_claims_too_many_pixels(data):
    assert kind_of_refusal(data) == "too many pixels"


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("data", [huge_webp(16_000, 16_000), huge_png(10_000, 2**31 - 1)])
def test_other_impossible_sizes(data):
    assert kind_of_refusal(data) in ("too many pixels", "broken image")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_bombs_are_refused_at_once_and_without_memory():
    bombs = [huge_png(10_000, 8_000), huge_jpeg(65_500, 65_500), huge_webp(16_000, 16_000)]
    for data in (*bombs, huge_gif(65_535, 65_535)):
        kind_of_refusal(data)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start = time.process_time()
        kind_of_refusal(data)
        assert time.process_time() - start < 0.01
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 5_000


@pytest.mark.parametrize("options", [{"progressive": True}, {}])
def test_a_jpeg_of_very_many_scans_is_refused(options):
    """Only where scans matter: the same bytes behind a complete picture are mere trailing ones."""
    data = encoded(noise(), "JPEG", **options)
    last_scan = data[data.rindex(b"\xff\xda") : -2]
    repeated = data[:-2] + last_scan * (MAX_SCANS + 1) + data[-2:]
    if options:
        assert kind_of_refusal(repeated) == "too many scans"
    else:
        assert open_picture(repeated).width == 64


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_changed_bytes_never_raise_anything_but_bad_sample_error():
    """Decoders may accept a changed byte; they may not take the training process down."""
    rng = np.random.default_rng(0)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    small = noise(24, 20)
    originals = [encoded(small, kind, exif=exif) for kind in ("JPEG", "PNG", "WEBP", "TIFF")]
    for round_number in range(300):
        data = bytearray(originals[round_number % len(originals)])
        for place in rng.integers(0, min(len(data), 200), size=4):
            data[place] = rng.integers(256)
        with suppress(BadSampleError):
            assert decode_image(bytes(data)).mode == "RGB"
        with suppress(BadSampleError):
            assert open_picture(bytes(data)).decode(shrink=1).values.dtype == np.uint8
