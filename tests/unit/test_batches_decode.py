import io
import struct
import zlib

import numpy as np
import pytest
from PIL import ExifTags, Image

from vlsuite.batches.decode import MAX_PIXELS, decode_image
from vlsuite.errors import DataError

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def pixels(data: bytes) -> np.ndarray:
    image = decode_image(data)
    assert image.mode == "RGB"
    return np.asarray(image)


def corners() -> Image.Image:
    """3 x 2, red at the top left, green at the top right, blue at the bottom left."""
    image = Image.new("RGB", (3, 2), WHITE)
    image.putpixel((0, 0), RED)
    image.putpixel((2, 0), GREEN)
    image.putpixel((0, 1), BLUE)
    return image


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "BMP", "TIFF", "GIF"])
def test_plain_pictures_come_back_unchanged(kind):
    options = {"lossless": True} if kind == "WEBP" else {}
    assert np.array_equal(pixels(encoded(corners(), kind, **options)), np.asarray(corners()))


def test_alpha_is_laid_on_white():
    image = Image.new("RGBA", (3, 1))
    image.putpixel((0, 0), (255, 0, 0, 0))
    image.putpixel((1, 0), (0, 0, 0, 128))
    image.putpixel((2, 0), (0, 0, 255, 255))
    transparent, half, opaque = pixels(encoded(image))[0]
    assert tuple(transparent) == WHITE
    assert tuple(half) == (127, 127, 127)
    assert tuple(opaque) == BLUE


def test_gray_with_alpha_is_laid_on_white():
    image = Image.new("LA", (2, 1), (10, 0))
    image.putpixel((1, 0), (10, 255))
    assert pixels(encoded(image))[0].tolist() == [[255] * 3, [10] * 3]


def test_palette_with_a_transparent_entry():
    image = Image.new("P", (2, 1))
    image.putpalette([*RED, *BLUE])
    image.putpixel((1, 0), 1)
    data = encoded(image, transparency=0)
    assert [tuple(p) for p in pixels(data)[0]] == [WHITE, BLUE]


def test_colour_key_of_a_picture_without_alpha_channel():
    data = encoded(corners(), transparency=RED)
    expected = np.asarray(corners()).copy()
    expected[0, 0] = WHITE
    assert np.array_equal(pixels(data), expected)


def test_sixteen_bits_keep_their_range():
    values = np.array([[0, 255, 256, 4096, 32768, 65535]], dtype=np.uint16)
    assert pixels(encoded(Image.fromarray(values)))[0, :, 0].tolist() == [0, 0, 1, 16, 128, 255]


def test_sixteen_bits_with_a_transparent_value():
    values = np.array([[0, 4096, 65535]], dtype=np.uint16)
    data = encoded(Image.fromarray(values), transparency=4096)
    assert pixels(data)[0, :, 0].tolist() == [0, 255, 255]


def test_cmyk_jpeg_keeps_its_colour():
    data = encoded(Image.new("RGB", (8, 8), (200, 40, 90)).convert("CMYK"), "JPEG", quality=95)
    assert np.abs(pixels(data).astype(int) - (200, 40, 90)).max() <= 6


# EXIF 2.32, tag 0x0112: where row 0 and column 0 of the stored picture belong.
STORED_AS = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
    8: lambda a: np.rot90(a, -1),
}


@pytest.mark.parametrize("orientation", STORED_AS)
@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_exif_orientation_is_applied(kind, orientation):
    upright = np.asarray(corners())
    stored = Image.fromarray(np.ascontiguousarray(STORED_AS[orientation](upright)))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    options = {"lossless": True} if kind == "WEBP" else {}
    assert np.array_equal(pixels(encoded(stored, kind, exif=exif, **options)), upright)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_broken_exif_block_costs_nothing_but_the_orientation():
    data = encoded(corners(), "PNG", exif=b"Exif\0\0II*\0\xff\xff\xff\x00")
    assert np.array_equal(pixels(data), np.asarray(corners()))


def test_jpeg_is_decoded_small_but_not_smaller_than_asked():
    data = encoded(Image.new("RGB", (640, 480), RED), "JPEG")
    assert decode_image(data, shrink_to=100).size == (160, 120)
    assert decode_image(data).size == (640, 480)


def test_first_frame_of_an_animation():
    frames = [Image.new("RGB", (4, 4), color) for color in (RED, BLUE)]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert (pixels(data) == RED).all()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_truncated(kind):
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 256, size=(64, 64, 3), dtype=np.uint8))
    data = encoded(noise, kind)
    with pytest.raises(DataError, match="image"):
        decode_image(data[: len(data) // 2])


def test_zero_bytes():
    with pytest.raises(DataError, match="zero bytes"):
        decode_image(b"")


def test_not_a_picture():
    with pytest.raises(DataError, match="not a readable image"):
        decode_image(b"<html>not found</html>" * 20)


def huge_png(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header claims any size."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(b"\0" * 100)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("height", [MAX_PIXELS // 10_000 + 1, 60_000, 2**31 - 1])
def test_a_header_that_claims_too_many_pixels(height):
    with pytest.raises(DataError):
        decode_image(huge_png(10_000, height))


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_changed_bytes_never_raise_anything_but_data_error():
    """Decoders may accept a changed byte; they may not take the training process down."""
    rng = np.random.default_rng(0)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    noise = Image.fromarray(rng.integers(0, 256, size=(20, 24, 3), dtype=np.uint8))
    originals = [encoded(noise, kind, exif=exif) for kind in ("JPEG", "PNG", "WEBP", "TIFF")]
    for round_number in range(300):
        data = bytearray(originals[round_number % len(originals)])
        for place in rng.integers(0, min(len(data), 200), size=4):
            data[place] = rng.integers(256)
        try:
            assert decode_image(bytes(data)).mode == "RGB"
        except DataError:
            continue
