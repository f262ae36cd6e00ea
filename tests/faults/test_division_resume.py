"""What an objective remembers of each pair survives a stop: the same as if nothing had happened.

A run over four epochs is stopped in the middle and goes on from its checkpoint in another state;
its memory (keys, running losses, mixtures, number of fits) and its losses are compared bit for
bit with those of the undisturbed run.
"""

import shutil

import pytest
import torch
from safetensors.torch import load_file

from tests.support.runs import make_shards, run_to_end, small_config
from vlsuite.engine.run_folder import RunFolder

STEPS, SAVED = 12, 7
SETTINGS = {
    "rde": (
        "objective=rde",
        "objective.tau=0.05",
        "objective.division.warmup_epochs=0.5",
        "model.token_selection.width=32",
    ),
    "nitc": ("objective=nitc", "objective.division.warmup_epochs=0.5"),
    "elr": ("objective=elr",),
}


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return make_shards(tmp_path_factory.mktemp("division"), num_samples=48)


def memory_at(folder: RunFolder, step: int) -> dict[str, torch.Tensor]:
    stored = load_file(folder.checkpoints / f"step_{step:08d}" / "optimizer.safetensors")
    return {k: v for k, v in stored.items() if k.startswith("objective.memory.")}


def same_bits(left: torch.Tensor, right: torch.Tensor) -> bool:
    return left.dtype == right.dtype and left.numpy().tobytes() == right.numpy().tobytes()


@pytest.mark.parametrize("name", SETTINGS)
def test_memory_of_a_resumed_run_is_that_of_an_undisturbed_one(shards, tmp_path, name):
    config = small_config(
        shards, *SETTINGS[name], f"duration={STEPS}steps", f"checkpoint.every={SAVED}steps"
    )
    state, losses = run_to_end(config, tmp_path / "run")
    folder = RunFolder(tmp_path / "run")
    expected, halfway = memory_at(folder, STEPS), memory_at(folder, SAVED)
    assert len(expected["objective.memory.keys"]) > len(halfway["objective.memory.keys"]) > 48
    if name != "elr":
        assert int(expected["objective.memory.num_fits"]) > int(
            halfway["objective.memory.num_fits"]
        )
    shutil.rmtree(folder.checkpoints / f"step_{STEPS:08d}")
    folder.metrics.write_text("")
    resumed, later = run_to_end(config, tmp_path / "run")
    assert later == losses[SAVED:]
    found = memory_at(folder, STEPS)
    assert found.keys() == expected.keys()
    assert all(same_bits(found[key], value) for key, value in expected.items())
    before, after = (s.objective.noise_probabilities() for s in (state, resumed))
    assert before == after


def test_clip_has_no_memory_in_its_checkpoint(shards, tmp_path):
    run_to_end(small_config(shards, "duration=2steps"), tmp_path / "run")
    assert memory_at(RunFolder(tmp_path / "run"), 2) == {}
