"""A scan has one row for every sample, the same however it was run and however often stopped."""

import hashlib
import json
import os

import pyarrow.parquet as pq
import pytest
from PIL import Image

from data_pipelines.curation.scan import scan
from data_pipelines.curation.scan_settings import ScanSettings
from data_pipelines.curation.table import open_table
from data_pipelines.errors import ConfigError, DataError, ShardError
from tests.support.curation import files_of, mixed_shards
from tests.support.pictures import encoded, huge_png, noise
from tests.support.shards import picture, write_tar


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def _rows(folder):
    return [
        row
        for path in sorted((folder / "samples").glob("*.parquet"))
        for row in pq.read_table(path).to_pylist()
    ]


def test_every_sample_is_a_row_whatever_is_wrong_with_it(tmp_path):
    jpeg = encoded(noise(300, 200), "JPEG")
    members = [
        ("good.jpg", jpeg),
        ("good.txt", b"a good  one\n"),
        ("good.json", b'{"original_width": 900, "original_height": 600, "url": "http://a/b"}'),
        ("cut.jpg", jpeg[: len(jpeg) // 2]),
        ("cut.txt", b"cut"),
        ("cutpng.png", encoded(noise(), "PNG")[:-30]),
        ("cutpng.txt", b"cut"),
        ("cutwebp.webp", encoded(noise(), "WEBP")[:-30]),
        ("cutwebp.txt", b"cut"),
        ("html.jpg", b"<html>"),
        ("html.txt", b"html"),
        ("empty.jpg", b""),
        ("empty.txt", b"empty"),
        ("bomb.png", huge_png(30000, 30000)),
        ("bomb.txt", b"bomb"),
        ("alone.txt", b"no picture"),
        ("silent.png", picture(3)),
        ("broken.png", picture(7)),
        ("broken.json", b"{"),
        ("side.jpg", encoded(Image.new("RGB", (40, 20)), "JPEG", exif=_lying())),
        ("side.txt", b"lies on its side"),
    ]
    write_tar(tmp_path / "s.tar", members)
    report = scan(tmp_path / "s.tar", settings=ScanSettings())
    rows = {row["key"]: row for row in _rows(tmp_path / "curation")}
    assert report.num_samples == len(rows) == 11
    verdicts = {key: (row["verdict"], row["caption_verdict"]) for key, row in rows.items()}
    assert verdicts == {
        "good": ("ok", "ok"),
        "cut": ("truncated image", "ok"),
        "cutpng": ("truncated image", "ok"),
        "cutwebp": ("truncated image", "ok"),
        "html": ("not an image", "ok"),
        "empty": (rows["empty"]["verdict"], "ok"),
        "bomb": ("too many pixels", "ok"),
        "alone": ("no image", "ok"),
        "silent": ("ok", "no caption"),
        "broken": ("broken json", "broken json"),
        "side": ("ok", "ok"),
    }
    assert rows["empty"]["verdict"] != "ok"
    assert sum(report.verdicts.values()) == 11
    assert report.verdicts["ok"] == 2
    good = rows["good"]
    assert (good["format"], good["width"], good["height"]) == ("jpeg", 300, 200)
    assert (good["original_width"], good["original_height"], good["aspect"]) == (900, 600, 1.5)
    assert good["sha256"] == hashlib.sha256(jpeg).digest()
    assert good["bytes"] == len(jpeg)
    assert good["url"] == "http://a/b"
    assert good["caption"] == "a good  one"
    assert (good["caption_chars"], good["caption_words"]) == (11, 3)
    assert (good["stored_chars"], good["stored_words"], good["stored_tokens"]) == (12, 3, 4)
    side = rows["side"]
    assert (side["width"], side["height"], side["orientation"]) == (40, 20, 6)
    assert (side["original_width"], side["original_height"]) == (20, 40)


def _lying():
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif.tobytes()


def test_damage_in_the_middle_is_found_by_decoding(tmp_path):
    data = bytearray(encoded(noise(64, 64), "PNG"))
    data[len(data) // 2] ^= 255
    write_tar(tmp_path / "s.tar", [("a.png", bytes(data)), ("a.txt", b"a")])
    scan(tmp_path, settings=ScanSettings(), out_dir=tmp_path / "header")
    scan(tmp_path, settings=ScanSettings(decode=True), out_dir=tmp_path / "decoded")
    assert [row["verdict"] for row in _rows(tmp_path / "header")] == ["ok"]
    assert [row["verdict"] for row in _rows(tmp_path / "decoded")] == ["broken image"]


def test_workers_do_not_change_a_byte(tmp_path):
    mixed_shards(tmp_path / "shards")
    settings = ScanSettings(phash="scaled")
    scan(tmp_path / "shards", settings=settings, out_dir=tmp_path / "one")
    scan(tmp_path / "shards", settings=settings, out_dir=tmp_path / "two", workers=2)
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")


def test_a_scan_goes_on_and_reads_only_what_changed(tmp_path):
    paths = mixed_shards(tmp_path / "shards")
    table = tmp_path / "shards" / "curation"
    assert scan(tmp_path / "shards", settings=ScanSettings()).num_read == 3
    whole = files_of(table)
    (table / "table.json").unlink()  # as a killed scan leaves it
    (table / "samples" / "00001.parquet").unlink()
    (table / "samples" / f".00001.parquet.{'0' * 32}.unfinished").write_bytes(b"half")
    with pytest.raises(DataError, match="no finished table"):
        open_table(tmp_path / "shards")
    assert scan(tmp_path / "shards", settings=ScanSettings()).num_read == 1
    assert files_of(table) == whole
    mixed_shards(tmp_path / "other", samples=7)
    os.replace(tmp_path / "other" / "00002.tar", paths[2])
    assert scan(tmp_path / "shards", settings=ScanSettings()).num_read == 1
    assert open_table(table).num_rows == 6 + 6 + 7
    assert scan(tmp_path / "shards", settings=ScanSettings(decode=True)).num_read == 3
    paths[0].unlink()
    scan(tmp_path / "shards", settings=ScanSettings(decode=True))
    assert [part.shard for part in open_table(table).parts] == ["00001.tar", "00002.tar"]
    assert len(list((table / "samples").iterdir())) == 2


def test_a_picture_changed_in_its_middle_is_read_again(tmp_path):
    path = write_tar(tmp_path / "s.tar", [("a.png", picture(1, side=90)), ("a.txt", b"a")])
    scan(path, settings=ScanSettings())
    before = _rows(tmp_path / "curation")[0]["sha256"]
    data = bytearray(path.read_bytes())
    data[512 + 12000] ^= 1
    path.write_bytes(bytes(data))
    assert scan(path, settings=ScanSettings()).num_read == 1
    assert _rows(tmp_path / "curation")[0]["sha256"] != before


def test_a_shard_that_cannot_be_read_leaves_the_others_scanned(tmp_path):
    mixed_shards(tmp_path, shards=2)
    (tmp_path / "broken.tar").write_bytes(b"no tar at all" * 100)
    with pytest.raises(ShardError, match=r"1 of 3 shards cannot be read"):
        scan(tmp_path, settings=ScanSettings())
    assert len(list((tmp_path / "curation" / "samples").iterdir())) == 2
    with pytest.raises(DataError, match="no finished table"):
        open_table(tmp_path)


def test_shards_of_one_name_are_refused(tmp_path):
    mixed_shards(tmp_path / "a", shards=1)
    mixed_shards(tmp_path / "b", shards=1)
    with pytest.raises(DataError, match="lie in 2 folders"):
        scan([tmp_path / "a", tmp_path / "b"], settings=ScanSettings())
    with pytest.raises(DataError, match="share a name"):
        scan([tmp_path / "a", tmp_path / "b"], settings=ScanSettings(), out_dir=tmp_path / "t")


def test_a_table_whose_part_changed_is_refused(tmp_path):
    mixed_shards(tmp_path, shards=1)
    scan(tmp_path, settings=ScanSettings())
    part = tmp_path / "curation" / "samples" / "00000.parquet"
    part.write_bytes(part.read_bytes() + b"x")
    with pytest.raises(DataError, match="its table says"):
        open_table(tmp_path)
    part.unlink()
    with pytest.raises(DataError, match="missing"):
        open_table(tmp_path)
    (tmp_path / "curation" / "table.json").write_text(json.dumps([1]))
    with pytest.raises(DataError, match="cannot be read"):
        open_table(tmp_path)


def test_language_without_its_library_says_what_to_install(tmp_path, monkeypatch):
    mixed_shards(tmp_path, shards=1)
    monkeypatch.setitem(__import__("sys").modules, "gcld3", None)
    with pytest.raises(ConfigError, match=r"vlsuite\[language\]"):
        scan(tmp_path, settings=ScanSettings(language="cld3"))


def test_what_is_forbidden_and_where_a_sample_comes_from_are_columns(tmp_path):
    xmp = b"<plus:DataMining>http://ns.useplus.org/ldf/vocab/DMI-PROHIBITED-AIMLTRAINING</plus"
    header = {"uid": "a", "source": "web", "x_robots_tag": ["NoAI", "otherbot: nofollow"]}
    members = [
        ("a.jpg", encoded(noise(), "JPEG", xmp=xmp)),
        ("a.json", json.dumps({**header, "caption": "one"}).encode()),
        ("b.jpg", encoded(noise(), "JPEG")),
        ("b.json", b'{"uid": "b", "caption": "two", "x_robots_tag": 3}'),
    ]
    write_tar(tmp_path / "s.tar", members)
    scan(tmp_path / "s.tar", settings=ScanSettings())
    first, second = _rows(tmp_path / "curation")
    told = [first[name] for name in ("source", "robots_tag", "data_mining")]
    assert told == ["web", "NoAI, otherbot: nofollow", "prohibited-aimltraining"]
    assert [second[name] for name in ("source", "robots_tag", "data_mining")] == [None] * 3
