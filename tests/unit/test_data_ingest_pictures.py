"""Sizes and shapes of stored pictures, against img2dataset's rules and loops over their pixels."""

import io

import numpy as np
import pytest
from PIL import Image

from data_pipelines.errors import BadSampleError, ConfigError
from data_pipelines.ingest.addresses import is_public
from data_pipelines.ingest.client_errors import retry_after
from data_pipelines.ingest.magic import could_be_picture
from data_pipelines.ingest.opt_out import opted_out_by
from data_pipelines.ingest.resizing import layout_of, stored_picture
from data_pipelines.ingest.settings import DIRECTIVES, PictureSettings
from tests.support.pictures import encoded, noise, scene
from vlsuite.batches.pictures import open_picture

ALWAYS = {"resize_only_if_bigger": False, "image_size": 100}
PNG = {"encode_format": "png", "encode_quality": 1}

#: Width and height that img2dataset 1.47 stores of pictures of 200x80 and of 60x40.
SIZES = {
    "no": ((200, 80), (60, 40)),
    "keep_ratio": ((250, 100), (150, 100)),
    "keep_ratio_largest": ((100, 40), (100, 67)),
    "center_crop": ((100, 100), (100, 100)),
    "border": ((100, 100), (100, 100)),
}


@pytest.mark.parametrize("mode", SIZES)
def test_modes_of_img2dataset(mode):
    for given, expected in zip(((200, 80), (60, 40)), SIZES[mode], strict=True):
        settings = PictureSettings(resize_mode=mode, **ALWAYS)
        found = stored_picture(encoded(scene(*given), "JPEG"), settings, open_picture)
        assert (found.width, found.height) == expected
        assert Image.open(io.BytesIO(found.data)).size == expected
        assert (found.original_width, found.original_height) == given


def test_smaller_pictures_stay_and_their_bytes_too():
    data = encoded(scene(60, 40), "JPEG")
    settings = PictureSettings(image_size=100, resize_mode="border", skip_reencode=True)
    found = stored_picture(data, settings, open_picture)
    assert (found.data, found.width, found.height, found.suffix) == (data, 60, 40, "jpg")
    assert stored_picture(data, PictureSettings(), open_picture).data != data


def test_area_is_the_mean_of_what_a_pixel_covers():
    image = noise(40, 24)
    settings = PictureSettings(image_size=10, **PNG)
    found = stored_picture(encoded(image), settings, open_picture)
    stored = np.asarray(Image.open(io.BytesIO(found.data))).astype(float)
    pixels = np.asarray(image).astype(float)
    for y in range(6):
        for x in range(10):
            mean = pixels[4 * y : 4 * y + 4, 4 * x : 4 * x + 4].mean(axis=(0, 1))
            assert np.abs(stored[y, x] - mean).max() <= 1.0


def _covered(length: int, number: int) -> np.ndarray:
    """How much of each pixel lies in each of ``number`` equal parts, as shares of the part."""
    ends = np.arange(number + 1) * length / number
    shares = np.zeros((number, length))
    for part in range(number):
        for pixel in range(length):
            low, high = max(pixel, ends[part]), min(pixel + 1, ends[part + 1])
            shares[part, pixel] = max(0.0, high - low)
    return shares * number / length


def test_area_of_sizes_that_do_not_divide():
    image = scene(341, 256)
    rows, columns = _covered(256, 192), _covered(341, 256)
    exact = np.einsum("yh,hwc,xw->yxc", rows, np.asarray(image, float), columns, optimize=True)
    settings = PictureSettings(image_size=256, **PNG)
    found = stored_picture(encoded(image), settings, open_picture)
    stored = np.asarray(Image.open(io.BytesIO(found.data)), float)
    box = np.asarray(image.resize((256, 192), Image.Resampling.BOX), float)
    assert np.abs(stored - exact).mean() < 0.5 * np.abs(box - exact).mean()


def test_border_and_crop_lie_in_the_middle():
    image = Image.new("RGB", (80, 40), "red")
    border = PictureSettings(
        image_size=40, resize_mode="border", encode_format="png", encode_quality=1
    )
    found = stored_picture(encoded(image), border, open_picture)
    pixels = np.asarray(Image.open(io.BytesIO(found.data)))
    assert (pixels[:10] == 255).all()
    assert (pixels[30:] == 255).all()
    assert (pixels[10:30] == (255, 0, 0)).all()
    image.paste("blue", (20, 0, 60, 40))
    crop = PictureSettings(
        image_size=20, resize_mode="center_crop", encode_format="png", encode_quality=1
    )
    found = stored_picture(encoded(image), crop, open_picture)
    assert (np.asarray(Image.open(io.BytesIO(found.data))) == (0, 0, 255)).all()


def test_turned_and_deep_pictures():
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = encoded(scene(60, 40), "JPEG", exif=exif)
    found = stored_picture(turned, PictureSettings(skip_reencode=True), open_picture)
    assert (found.width, found.height, found.mended) == (40, 60, ("EXIF rotation",))
    gray = Image.fromarray(np.full((8, 8), 100 << 8, dtype=np.uint16))
    found = stored_picture(encoded(gray), PictureSettings(encode_format="webp"), open_picture)
    assert np.asarray(Image.open(io.BytesIO(found.data))).max() < 110


@pytest.mark.parametrize(
    ("limits", "kind"),
    [
        ({"min_image_size": 41}, "image too small"),
        ({"max_image_area": 2399.0}, "image area too large"),
        ({"max_aspect_ratio": 1.4}, "aspect ratio too large"),
    ],
)
def test_limits_of_size(limits, kind):
    with pytest.raises(BadSampleError) as found:
        stored_picture(encoded(scene(60, 40), "JPEG"), PictureSettings(**limits), open_picture)
    assert found.value.kind == kind


def test_a_line_of_pixels_is_not_blown_up():
    with pytest.raises(BadSampleError, match="after scaling"):
        layout_of(1, 60_000, PictureSettings(resize_mode="keep_ratio", resize_only_if_bigger=False))


def test_settings_that_make_no_sense():
    with pytest.raises(ConfigError, match="0 to 9"):
        PictureSettings(encode_format="png")
    with pytest.raises(ConfigError, match="16384"):
        PictureSettings(image_size=0)


@pytest.mark.parametrize(
    ("tags", "tdm", "said"),
    [
        (["noai"], None, "X-Robots-Tag: noai"),
        (["all", "nofollow, NoImageIndex"], None, "X-Robots-Tag: noimageindex"),
        (["none"], None, "X-Robots-Tag: none"),
        (["otherbot: noindex, noai"], None, None),
        (["VLsuite: noindex"], None, "X-Robots-Tag: noindex"),
        (["unavailable_after: 25 Jun 2010 15:00:00 PST"], None, None),
        (["otherbot: nofollow, vlsuite: noai"], None, "X-Robots-Tag: noai"),
        ([], "1", "TDM-Reservation: 1"),
        (["all"], "0", None),
    ],
)
def test_headers_that_opt_out(tags, tdm, said):
    heeded = frozenset(DIRECTIVES)
    assert opted_out_by(tags, tdm, token="vlsuite", directives=heeded) == said
    assert opted_out_by(tags, tdm, token="vlsuite", directives=frozenset()) is None


@pytest.mark.parametrize(
    ("address", "is_open"),
    [
        ("8.8.8.8", True), ("2606:4700::1111", True), ("127.0.0.1", False), ("0.0.0.0", False),
        ("10.0.0.1", False), ("172.16.5.4", False), ("192.168.1.1", False), ("100.64.0.1", False),
        ("169.254.169.254", False), ("224.0.0.1", False), ("255.255.255.255", False),
        ("240.0.0.1", False), ("::", False), ("::1", False), ("fe80::1%eth0", False),
        ("fd00::1", False), ("::ffff:10.0.0.1", False), ("64:ff9b::a00:1", False),
        ("2002:a00:1::", False), ("64:ff9b::808:808", True), ("ff02::1", False), ("name", False),
    ],
)  # fmt: skip
def test_addresses_of_the_open_internet(address, is_open):
    assert is_public(address) is is_open


def test_what_begins_as_a_picture():
    for kind in ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "JPEG2000"):
        assert could_be_picture(encoded(noise(16, 16), kind)[:64]), kind
    for start in (b"", b"<svg xmlns=", b"%PDF-1.7", b"RIFF\0\0\0\0AVI LIST", b"\0\0\0\x20ftypisom"):
        assert not could_be_picture(start)


def test_retry_after():
    assert retry_after("7") == 7.0
    assert retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0
    assert retry_after("soon") is None
    assert retry_after(None) is None
