"""The fault benchmarks read whole files as delivered, and see what goes wrong."""

import numpy as np
import pytest

from benchmarks.fuzz_inputs import case, kind_of
from benchmarks.support.broken_files import TAR_SAMPLES, seeds, with_checksums
from benchmarks.support.fuzz_readers import Readers


@pytest.fixture
def readers(tmp_path):
    made = Readers(tmp_path, seconds=5.0, num_tar_samples=TAR_SAMPLES)
    yield made
    made.close()


@pytest.mark.parametrize("kind", ["image", "text", "tar", "video"])
def test_whole_files_are_delivered(readers, kind):
    outcomes = {
        seed.name: readers.outcome(kind, seed.data, np.random.default_rng(0))
        for seed in seeds(kind)
    }
    refused = {name for name, outcome in outcomes.items() if not outcome.startswith("delivered")}
    assert refused <= {"gif", "json deep", "json surrogate"}
    assert not any(outcome.startswith(("error", "unaccounted")) for outcome in outcomes.values())


def test_lost_samples_and_foreign_errors_are_failures(readers, monkeypatch):
    rng = np.random.default_rng(0)
    monkeypatch.setattr("benchmarks.support.fuzz_readers.count_problems", lambda shards: [])
    tar = seeds("tar")[0].data
    without_first = tar[tar.index(b"1.png") :]
    assert readers.outcome("tar", without_first, rng) == "unaccounted 1 samples"
    assert readers.outcome("tar", tar, rng) == "delivered"
    monkeypatch.setattr(
        "benchmarks.support.fuzz_readers.read_captions", lambda members: members["none"]
    )
    assert readers.outcome("text", b"x", rng).startswith("error KeyError")


def test_cases_are_the_same_in_every_process():
    files = {kind: seeds(kind) for kind in ("image", "text", "tar", "video")}
    cases = [case(number, seed=3, files=files) for number in range(40)]
    assert cases == [case(number, seed=3, files=files) for number in range(40)]
    assert len(set(cases)) > 30
    assert {kind_of(number) for number in range(40)} == set(files)


def test_checksums_of_sound_tars_are_left_alone():
    for seed in seeds("tar"):
        assert with_checksums(seed.data) == seed.data
