"""Scores and vectors of shards behind a web server are those of the same shards on the disk."""

import pytest
import torch

from data_pipelines.curation.scan import scan
from data_pipelines.curation.scan_settings import ScanSettings
from data_pipelines.curation.table import open_table
from data_pipelines.errors import DataError, ShardError
from data_pipelines.shards import remote
from tests.support.curation import files_of, mixed_shards
from tests.support.language_models import random_language_model
from tests.support.shard_server import serving_shards
from vlsuite.cli.main import main
from vlsuite.models.embed_shards import embed_shards
from vlsuite.models.score_shards import score_shards
from vlsuite.models.scorers.cosine import CosineScorer


class _Reading:
    """Vectors follow from the pixels, and from the number that the caption ends in."""

    fingerprint = "reading"

    @staticmethod
    def image_transform(image):
        return torch.tensor([image.width, image.height, *image.getpixel((3, 3))[:3]]).float()

    def embed_images(self, images):
        return torch.nn.functional.normalize(images, dim=1)

    def embed_texts(self, texts):
        numbers = [[int(text.split()[-1]) + 1, 2, 3, 4, 5] for text in texts]
        return torch.nn.functional.normalize(torch.tensor(numbers).float(), dim=1)


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(remote, "FIRST_WAIT", 0.01)
    mixed_shards(tmp_path / "shards")
    with serving_shards(tmp_path / "shards") as state:
        yield state


@pytest.fixture
def pattern(server):
    return f"{server.address}/{{00000..00002}}.tar"


@pytest.fixture
def table(pattern, tmp_path):
    scan(pattern, settings=ScanSettings(), out_dir=tmp_path / "far")
    return open_table(tmp_path / "far")


def _scored(pattern, table, name="clip"):
    return score_shards(CosineScorer(_Reading()), [pattern], table, name=name, batch_size=4)


def _embedded(pattern, table, name="clip"):
    return embed_shards(_Reading(), [pattern], table, name=name, batch_size=4)


def test_they_are_the_bytes_of_the_local_ones_and_nothing_is_fetched_twice(
    server, pattern, table, tmp_path
):
    scan(tmp_path / "shards", settings=ScanSettings(), out_dir=tmp_path / "near")
    near = open_table(tmp_path / "near")
    _scored(str(tmp_path / "shards"), near)
    _embedded(str(tmp_path / "shards"), near)
    assert (_scored(pattern, table).num_read, _embedded(pattern, table).num_read) == (3, 3)
    for kind in ("scores", "vectors"):
        found = files_of(table.folder / kind)
        assert len(found) > 3
        assert found == files_of(near.folder / kind)
    assert set(server.fetched.values()) == {1}  # by the scan; the copies are in the cache
    for copy in (tmp_path / "cache").rglob("*.tar"):
        copy.unlink()
    assert (_scored(pattern, table).num_read, _embedded(pattern, table).num_read) == (0, 0)
    assert set(server.fetched.values()) == {1}  # what has its scores is not needed
    (table.folder / "vectors" / "clip" / "00001.npy").unlink()
    assert _embedded(pattern, table).num_read == 1
    assert server.fetched == {"00000.tar": 1, "00001.tar": 2, "00002.tar": 1}


def test_a_server_that_is_busy_is_asked_again_and_one_that_breaks_off_is_one_line(
    server, pattern, table, tmp_path
):
    for copy in (tmp_path / "cache").rglob("*.tar"):
        copy.unlink()
    server.fetched.clear()
    server.busy["00000.tar"] = 2
    server.cut.add("00001.tar")
    with pytest.raises(ShardError, match=r"00001.tar after 5 tries: .*; check the network") as told:
        _scored(pattern, table)
    assert "\n" not in str(told.value)
    assert server.fetched == {"00000.tar": 3, "00001.tar": 5}
    assert sorted(path.name for path in (table.folder / "scores/clip").iterdir()) == [
        "00000.parquet"
    ]
    server.cut.clear()
    assert _scored(pattern, table).num_read == 2


def test_shards_that_changed_or_went_are_one_line(server, pattern, table):
    mixed_shards(server.folder, shards=1, samples=7)
    with pytest.raises(DataError, match=r"http://.*00000.tar is not what its table was made from"):
        _scored(pattern, table)
    (server.folder / "00002.tar").unlink()
    with pytest.raises(ShardError, match=r"cannot read http://.*00002.tar: .*; check the address"):
        _embedded(pattern, table)
    with pytest.raises(DataError, match=r"1 shards of .* are not among those named"):
        _embedded(f"{server.address}/{{00000..00001}}.tar", table)


def test_the_commands_take_addresses_and_ask_for_the_table(pattern, table, tmp_path, capsys):
    lm = random_language_model(tmp_path / "lm", ["picture number 1 2 3 4"] * 5)
    capsys.readouterr()
    for words in (
        ["score", pattern, "--scorer", "perplexity", "--model", str(lm)],
        ["embed", pattern, "--model", str(lm)],
    ):
        assert main(["curate", *words]) == 2
        error = capsys.readouterr().err
        assert (
            "the shards lie on remote storage; name the folder of their table by --table" in error
        )
        assert len(error.splitlines()) == 1
    words = ["score", pattern, "--scorer", "perplexity", "--model", str(lm)]
    assert main(["curate", *words, "--table", str(table.folder)]) == 0
    assert "18 samples (3 shards read now), 0 without a score" in capsys.readouterr().out
