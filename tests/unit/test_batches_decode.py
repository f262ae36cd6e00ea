"""Right pixels from every kind of picture, and a count of what was put right."""

import struct

import numpy as np
import pytest
from PIL import ExifTags, Image

from tests.support.pictures import encoded, noise, png, png_chunk
from vlsuite.batches.decode import decode_and_mend, decode_image
from vlsuite.batches.pictures import open_picture

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def pixels(data: bytes) -> np.ndarray:
    image = decode_image(data)
    assert image.mode == "RGB"
    return np.asarray(image)


def mended(data: bytes) -> tuple[str, ...]:
    """What both readers, for evaluation and for training, say they put right."""
    said = decode_and_mend(data).mended
    assert open_picture(data).decode(shrink=1).mended == said
    return said


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
    assert mended(encoded(image)) == ("transparency",)


def test_an_alpha_channel_that_hides_nothing_is_not_counted():
    data = encoded(corners().convert("RGBA"))
    assert np.array_equal(pixels(data), np.asarray(corners()))
    assert mended(data) == ()


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
    assert mended(encoded(Image.fromarray(values))) == ("16-bit",)


def test_sixteen_bits_with_a_transparent_value():
    values = np.array([[0, 4096, 65535]], dtype=np.uint16)
    data = encoded(Image.fromarray(values), transparency=4096)
    assert pixels(data)[0, :, 0].tolist() == [0, 255, 255]


def test_sixteen_bits_of_colour():
    data = png(1, 1, depth=16, color_type=2, rows=struct.pack(">B3H", 0, 4096, 32768, 65535))
    assert pixels(data)[0, 0].tolist() == [16, 128, 255]
    assert mended(data) == ("16-bit",)


@pytest.mark.parametrize(("alpha", "expected"), [(65535, 16), (0, 255), (32768, 135)])
def test_sixteen_bits_of_colour_and_alpha(alpha, expected):
    rows = struct.pack(">B4H", 0, 4096, 4096, 4096, alpha)
    data = png(1, 1, depth=16, color_type=6, rows=rows)
    assert pixels(data)[0, 0].tolist() == [expected] * 3
    assert mended(data) == (("16-bit",) if alpha == 65535 else ("16-bit", "transparency"))


def test_cmyk_jpeg_keeps_its_colour():
    data = encoded(Image.new("RGB", (8, 8), (200, 40, 90)).convert("CMYK"), "JPEG", quality=95)
    assert np.abs(pixels(data).astype(int) - (200, 40, 90)).max() <= 6
    assert mended(data) == ("CMYK",)


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


def test_orientation_written_behind_the_pixels_of_a_png():
    """The PNG specification lets eXIf stand anywhere between IHDR and IEND."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 3
    body = exif.tobytes().removeprefix(b"Exif\0\0")
    data = encoded(corners())
    data = data[:-12] + png_chunk(b"eXIf", body) + data[-12:]
    assert np.array_equal(pixels(data), np.asarray(corners())[::-1, ::-1])
    assert mended(data) == ("EXIF rotation",)


@pytest.mark.parametrize(
    ("kind", "options"), [("GIF", {}), ("WEBP", {"lossless": True}), ("PNG", {})]
)
def test_first_frame_of_an_animation(kind, options):
    frames = [Image.new("RGB", (4, 4), color) for color in (RED, BLUE)]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert (pixels(data) == RED).all()
    assert mended(data) == ("animated",)


def test_stray_bytes_in_a_jpeg_cost_nothing_and_are_counted():
    data = encoded(noise(), "JPEG")
    stray = open_picture(data[:-2] + b"stray" + data[-2:]).decode(shrink=1)
    assert stray.mended == ("stray bytes",)
    assert np.array_equal(stray.values, pixels(data))
    trailing = open_picture(data + b"trailing" * 9).decode(shrink=1)
    assert trailing.mended == ()
    assert np.array_equal(trailing.values, pixels(data))


def test_a_second_view_behind_a_jpeg_is_no_animation():
    data = encoded(noise(), "MPO", save_all=True, append_images=[noise()])
    assert mended(data) == ()
