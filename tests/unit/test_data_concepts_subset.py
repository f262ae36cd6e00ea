"""Words and tags are of the samples that a subset chooses."""

import pytest

from data_pipelines.errors import DataError
from data_pipelines.subsets.making import make_subset
from data_pipelines.subsets.pool import open_pool
from data_pipelines.subsets.subset_file import write_subset
from tests.support.shards import picture, write_tar
from tests.support.subsets import kept_table
from vlsuite.models.tag_shards import words_of_shards


def test_only_captions_of_the_subset_count(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    members = []
    for i in range(12):
        members += [
            (f"{i:03d}.png", picture(i)),
            (f"{i:03d}.txt", b"a red dog" if i % 2 else b"a blue boat"),
            (f"{i:03d}.json", f'{{"uid": "{i:032x}"}}'.encode()),
        ]
    shard = write_tar(tmp_path / "s.tar", members)
    rows = [(f"{i:032x}", "s.tar", i) for i in range(1, 12, 2)]
    made = make_subset(open_pool([str(shard)]), kept_table(tmp_path / "kept.parquet", rows))
    write_subset(made.subset, tmp_path / "dogs.subset")
    whole = words_of_shards([str(shard)], min_count=3)
    dogs = words_of_shards([str(shard)], min_count=3, subset=tmp_path / "dogs.subset")
    assert {"dog", "boat"} <= whole.keys()
    assert "dog" in dogs
    assert "boat" not in dogs
    other = write_tar(tmp_path / "other.tar", members)
    with pytest.raises(DataError, match="was made for other shards"):
        words_of_shards([str(other)], min_count=3, subset=tmp_path / "dogs.subset")
