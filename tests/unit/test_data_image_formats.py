"""Every picture format that is read is taken wherever pictures are read; others start nothing."""

import ast
import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_pipelines import image_formats
from data_pipelines.contact_sheet import write_contact_sheet
from data_pipelines.errors import BadSampleError, DataError
from data_pipelines.image_formats import FORMAT_OF_SUFFIX, NEEDS_HEIC, is_heic
from data_pipelines.images import check_image, storable
from data_pipelines.shards.stored_sample import StoredSample
from data_pipelines.shards.validate import validate
from data_pipelines.skips import Skips
from data_pipelines.sources.image_folder import ImageFolder
from data_pipelines.sources.shards import ExistingShards
from eval.data.folders import open_dataset
from tests.support.shards import write_tar
from vlsuite.batches.decode import decode_image

WRITTEN = {
    "png": "PNG", "jpg": "JPEG", "webp": "WEBP", "gif": "GIF", "bmp": "BMP", "tif": "TIFF",
    "tiff": "TIFF", "avif": "AVIF", "jp2": "JPEG2000",
}  # fmt: skip
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n"
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40)


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def _encoded(format, **options):
    image = Image.new("RGB", (16, 8), (200, 30, 30))
    stream = io.BytesIO()
    image.save(stream, format=format, **options)
    return stream.getvalue()


@pytest.mark.parametrize("suffix", sorted(WRITTEN))
def test_each_format_is_taken_everywhere(tmp_path, suffix):
    data = _encoded(WRITTEN[suffix])
    assert FORMAT_OF_SUFFIX[suffix] == StoredSample("k", {suffix: data}).image.suffix
    shard = write_tar(
        tmp_path / "s.tar", [(f"k.{suffix}", data), ("k.txt", b"red"), ("k.cls", b"0")]
    )
    assert validate([shard]).problems == {}
    (built,) = ExistingShards(shards=(str(shard),)).samples(Skips())
    assert built.image_suffix in ("png", "jpg", "webp")
    red, green, _ = decode_image(built.image).resize((1, 1)).getpixel((0, 0))
    assert red > 150 > 60 > green
    assert len(open_dataset(str(shard), task="retrieval")) == 1
    folder = tmp_path / "classes" / "red"
    folder.mkdir(parents=True)
    (folder / f"a.{suffix}").write_bytes(data)
    assert len(open_dataset(str(folder.parent))) == 1
    assert len([*ImageFolder(folder=folder.parent, captions="folder").samples(Skips())]) == 1


def test_a_usual_format_goes_before_the_others():
    members = {"gif": b"g", "txt": b"a", "jpg": b"j", "png": b"p"}
    assert StoredSample("k", members).image == ("jpg", b"j")


def test_the_first_frame_of_an_animation_is_taken():
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    stream = io.BytesIO()
    frames[0].save(stream, format="GIF", save_all=True, append_images=frames[1:])
    stored = storable(stream.getvalue())
    assert decode_image(stored.data).getpixel((0, 0)) == (255, 0, 0)


def test_conversion_keeps_the_turn_and_the_upper_bits():
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = storable(_encoded("TIFF", exif=exif))
    assert decode_image(turned.data).size == (8, 16)
    stream = io.BytesIO()
    Image.fromarray(np.full((4, 4), 0x8000, dtype=np.uint16)).save(stream, format="TIFF")
    assert decode_image(storable(stream.getvalue()).data).getpixel((0, 0)) == (128, 128, 128)


def test_heic_without_the_extra_names_it(monkeypatch, tmp_path):
    monkeypatch.setattr(image_formats, "has_heic", lambda: False)
    monkeypatch.setattr("eval.data.read_samples.has_heic", lambda: False)
    assert is_heic(HEIC)
    assert not is_heic(_encoded("AVIF"))
    with pytest.raises(BadSampleError, match="pillow-heif") as told:
        decode_image(HEIC)
    assert told.value.kind == NEEDS_HEIC
    with pytest.raises(DataError, match="pillow-heif"):
        check_image(HEIC)
    members = [("a.heic", HEIC), ("a.txt", b"a"), ("b.png", _encoded("PNG")), ("b.txt", b"b")]
    dataset = open_dataset(str(write_tar(tmp_path / "s.tar", members)))
    assert dataset.num_skipped == {NEEDS_HEIC: 1}


def test_heic_with_the_extra_is_taken(tmp_path):
    pytest.importorskip("pillow_heif")
    assert image_formats.has_heic()
    data = _encoded("HEIF")
    assert decode_image(data).size == (16, 8)
    assert storable(data)[1:] == ("png", "heif")
    shard = write_tar(tmp_path / "s.tar", [("k.heic", data), ("k.txt", b"red")])
    assert validate([shard]).problems == {}
    with pytest.raises(DataError):
        check_image(data[: len(data) // 2])


def test_no_program_is_started_for_a_postscript_file_named_png(tmp_path, monkeypatch):
    marker = tmp_path / "started"
    program = tmp_path / "bin" / "gs"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch {marker}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    shard = write_tar(tmp_path / "s.tar", [("k.png", EPS), ("k.txt", b"a")])
    assert validate([shard]).problems == {"not an image": 1}
    skips = Skips()
    assert not [*ExistingShards(shards=(str(shard),)).samples(skips)]
    assert skips.counts == {"not an image": 1}
    write_contact_sheet([shard], tmp_path / "sheet.png")
    with pytest.raises(DataError):
        decode_image(EPS)
    assert not marker.exists()


def test_pillow_is_asked_for_named_formats_only():
    """Everywhere in the product; a call without ``formats`` may start a program."""
    root = Path(image_formats.__file__).parents[1]
    calls = []
    for package in ("data_pipelines", "vlsuite", "eval"):
        for path in (root / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and ast.unparse(node.func) in (
                    "Image.open",
                    "PIL.Image.open",
                ):
                    named = any(keyword.arg == "formats" for keyword in node.keywords)
                    calls.append((path.relative_to(root).as_posix(), named))
    assert calls
    assert [path for path, named in calls if not named] == []
