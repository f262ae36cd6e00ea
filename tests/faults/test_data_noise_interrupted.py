"""A noisy set whose writing broke off: refused by readers, cleared and redone by the next build."""

import pytest

from data_pipelines.errors import ShardError
from data_pipelines.noise.build import NoiseTarget, write_noisy
from data_pipelines.noise.plan import NoiseConfig
from data_pipelines.noise.truth import TRUTH_NAME, read_truth
from data_pipelines.shards.find import find_shards
from data_pipelines.shards.folder import unfinished_place
from data_pipelines.shards.write import write_pairs
from tests.support.shards import samples

CONFIG = NoiseConfig(mismatched=0.5)


class _PulledPlugError(Exception):
    pass


def _stop_in_second_pass():
    passes = []

    def progress(rows):
        passes.append(0)
        for number, row in enumerate(rows):
            if len(passes) == 2 and number == 5:
                raise _PulledPlugError
            yield row

    return progress


@pytest.fixture
def clean(tmp_path):
    write_pairs(samples(9), tmp_path / "clean")
    return str(tmp_path / "clean")


def test_interrupted_set_is_refused_and_then_written_whole(clean, tmp_path):
    broken, whole = tmp_path / "broken", tmp_path / "whole"
    with pytest.raises(_PulledPlugError):
        write_noisy(
            [clean],
            CONFIG,
            NoiseTarget(out_dir=broken, max_samples=2, progress=_stop_in_second_pass()),
        )
    assert not broken.exists()
    with pytest.raises(ShardError):
        read_truth(broken)
    left = unfinished_place(broken)  # as a kill would leave it
    left.mkdir()
    (left / TRUTH_NAME).write_text("of an older attempt")
    with pytest.raises(ShardError, match="no shard"):
        find_shards([broken])
    for out in (broken, whole):
        write_noisy([clean], CONFIG, NoiseTarget(out_dir=out, max_samples=2))
    assert {p.name: p.read_bytes() for p in broken.iterdir()} == {
        p.name: p.read_bytes() for p in whole.iterdir()
    }


def test_stale_truth_goes_with_its_set(clean, tmp_path):
    out = tmp_path / "out"
    write_noisy([clean], CONFIG, NoiseTarget(out_dir=out))
    write_pairs(samples(3), out, overwrite=True)
    assert not (out / TRUTH_NAME).exists()


def test_shards_that_change_between_the_passes_are_noticed(clean, tmp_path):
    passes = []

    def progress(rows):
        passes.append(0)
        return rows if len(passes) == 1 else list(rows)[:-1]

    with pytest.raises(ShardError, match="gone when the shards were read again"):
        write_noisy([clean], CONFIG, NoiseTarget(out_dir=tmp_path / "out", progress=progress))
    with pytest.raises(ShardError):
        read_truth(tmp_path / "out")
