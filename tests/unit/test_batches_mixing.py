"""What a run says of its sources, and the limit of passes through each."""

import pytest

from data_pipelines.sources.source import Target
from data_pipelines.sources.synthetic import SyntheticSource
from vlsuite.batches.data_config import DataConfig
from vlsuite.batches.mixing import check_passes, mixing_lines, parts_of_run
from vlsuite.batches.pair_shards import PairShards
from vlsuite.errors import ConfigError


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mixing")
    for name, count in (("large", 30), ("small", 10)):
        SyntheticSource(num_samples=count, side=8).build(Target(out_dir=folder / name))
    return tuple(str(folder / name) for name in ("large", "small"))


def test_passes_follow_from_shares_and_sizes(sources):
    config = DataConfig(train=sources, weights=(1.0, 3.0), max_passes=8.0)
    parts = parts_of_run(config, PairShards.open(config), total_samples=120)
    assert [(part.name, part.share, part.passes) for part in parts] == [
        ("large", 0.25, 1.0),
        ("small", 0.75, 9.0),
    ]
    assert list(mixing_lines(parts)) == [
        "sources of the samples: large 25.0% (1 passes), small 75.0% (9 passes)"
    ]
    with pytest.raises(ConfigError, match=r"9\.0 times through small.*duration=106samples"):
        check_passes(parts, most=config.max_passes, total_samples=120)
    check_passes(parts, most=9.0, total_samples=120)
    check_passes(parts, most=None, total_samples=120)


def test_without_weights_all_sources_have_the_same_passes(sources):
    config = DataConfig(train=sources)
    parts = parts_of_run(config, PairShards.open(config), total_samples=80)
    assert [(part.share, part.passes) for part in parts] == [(0.75, 2.0), (0.25, 2.0)]
    assert list(mixing_lines(parts[:1])) == []


def test_a_limit_is_a_positive_number():
    with pytest.raises(ConfigError, match="max_passes"):
        DataConfig(max_passes=0.0)
