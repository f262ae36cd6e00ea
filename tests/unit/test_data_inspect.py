"""Counts, histogram and contact sheet of a set of shards."""

import io

import pytest
from PIL import Image

from data_pipelines.contact_sheet import write_contact_sheet
from data_pipelines.errors import DataError, ShardError
from data_pipelines.inspect import (
    BatchSpread,
    batch_spread,
    describe,
    evenly_spaced,
    inspect_shards,
)
from data_pipelines.shards.find import find_shards
from data_pipelines.shards.write import write_pairs
from tests.support.shards import picture, sample, samples, write_tar


def test_inspection_counts_everything(tmp_path):
    rows = [sample(0, captions=("one",)), sample(1, captions=("a b c", "d"), label=3)]
    write_pairs(rows, tmp_path, max_samples=1)
    found = inspect_shards([tmp_path])
    assert (found.num_shards, found.num_samples, found.num_read) == (2, 2, 2)
    assert found.members["png"] == (2, sum(len(row.image) for row in rows))
    assert found.members["cls"] == (1, 1)
    assert found.formats == {"PNG RGB": 2}
    assert found.widths == found.heights == (8, 8, 8)
    assert found.captions_per_sample == {1: 1, 2: 1}
    assert found.caption_words == {1: 2, 3: 1}
    assert found.num_classes == 1
    text = describe(found)
    assert "2 samples in 2 shards" in text
    assert "words a caption:" in text
    assert found.spread == BatchSpread(2, 2.0, 2.0)
    assert "a training batch of 2 has samples of 2.0 shards (a full shuffle: 2.0)" in text


def test_a_training_batch_comes_from_as_many_shards_as_in_a_full_shuffle():
    size, found, full_shuffle = batch_spread([2000] * 100, 1024)
    assert (size, round(full_shuffle)) == (1024, 100)
    assert found > 99
    assert batch_spread([0, 0], 1024) is None
    assert batch_spread([30] * 50, 10).found == pytest.approx(9.1, abs=0.5)


def test_content_is_read_of_some_samples_counts_of_all(tmp_path):
    write_pairs(samples(10), tmp_path)
    found = inspect_shards([tmp_path], max_read=4)
    assert (found.num_samples, found.num_read) == (10, 4)
    assert sum(found.formats.values()) == 4
    assert "content of 4 samples" in describe(found)


def test_unreadable_samples_are_listed(tmp_path):
    write_tar(tmp_path / "s.tar", [("a.png", b"x"), ("b.txt", b"y"), ("c.png", picture(0))])
    found = inspect_shards([tmp_path])
    assert len(found.problems) == 2
    assert "2 problems" in describe(found)


def test_contact_sheet_shows_pictures_and_crosses_out_broken_ones(tmp_path):
    members = [(f"{i}.png", picture(i)) for i in range(3)] + [("x.png", b"broken")]
    write_tar(tmp_path / "s.tar", members)
    out = tmp_path / "sheet.png"
    assert write_contact_sheet([tmp_path], out, columns=2) == 4
    first = out.read_bytes()
    sheet = Image.open(io.BytesIO(first))
    assert sheet.width < sheet.height
    assert (255, 0, 0) in {colour for _, colour in sheet.getcolors(1 << 24)}
    write_contact_sheet([tmp_path], out, columns=2)
    assert out.read_bytes() == first


def test_nothing_to_show_is_an_error(tmp_path):
    write_tar(tmp_path / "s.tar", [("a.txt", b"x")])
    with pytest.raises(DataError, match="no image to show"):
        write_contact_sheet([tmp_path], tmp_path / "sheet.png")


def test_evenly_spaced_numbers():
    assert evenly_spaced(3, 5) == [0, 1, 2]
    assert evenly_spaced(10, 4) == [0, 2, 5, 7]
    assert evenly_spaced(0, 4) == []


def test_paths_lead_to_shards_in_natural_order(tmp_path):
    for name in ("2.tar", "10.tar", "sub/a-000.tar", "sub/a-001.tar"):
        write_tar(tmp_path / name, [])
    assert [path.name for path in find_shards([tmp_path])] == [
        "2.tar",
        "10.tar",
        "a-000.tar",
        "a-001.tar",
    ]
    assert len(find_shards([f"{tmp_path}/sub/a-{{000..001}}.tar", tmp_path / "sub"])) == 2
    assert len(find_shards([f"{tmp_path}/sub/*.tar"])) == 2
    for wrong in ("sub/a-{000..002}.tar", "sub/a-{000.tar", "none", "none-*.tar"):
        with pytest.raises(ShardError):
            find_shards([f"{tmp_path}/{wrong}"])
