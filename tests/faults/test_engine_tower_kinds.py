"""Exact for every kind of tower: an evaluation in the middle and a stop change no loss."""

import shutil

import pytest
from torch import nn

from tests.support.runs import make_shards, run_to_end
from tests.support.tower_kinds import TOWER_KINDS, config_of
from vlsuite.engine.distributed import start_distributed
from vlsuite.engine.run_folder import RunFolder
from vlsuite.engine.state import TrainState, persistent_buffers
from vlsuite.engine.train_loop import train
from vlsuite.engine.training_mode import set_training_mode


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return make_shards(tmp_path_factory.mktemp("towers"))


class Watching:
    """An evaluator that embeds something, and notes the modes that training was in."""

    def __init__(self):
        self.calls = 0

    def __call__(self, model):
        self.calls += 1
        model.embed_texts(["a red circle", "two squares"])
        return []


@pytest.mark.parametrize("kind", TOWER_KINDS)
def test_evaluating_changes_no_loss(shards, tmp_path, kind):
    plain = config_of(kind, shards, "duration=6steps")
    _, losses = run_to_end(plain, tmp_path / "plain")
    config = config_of(kind, shards, "duration=6steps", "validation.every=2steps")
    folder = RunFolder(tmp_path / "evaluated")
    folder.create("test", config)
    watching = Watching()
    train(config, start_distributed(threads=1), folder, [watching])
    _, evaluated = run_to_end(config, folder.path)
    assert watching.calls == 3
    assert evaluated == losses


@pytest.mark.parametrize("kind", TOWER_KINDS)
@pytest.mark.parametrize("micro", ["", "micro_batch_size=4"])
def test_a_run_that_stopped_goes_on_exactly(shards, tmp_path, kind, micro):
    overrides = ("duration=6steps", "checkpoint.every=3steps", *([micro] if micro else []))
    config = config_of(kind, shards, *overrides)
    _, losses = run_to_end(config, tmp_path / "run")
    folder = RunFolder(tmp_path / "run")
    shutil.rmtree(folder.checkpoints / "step_00000006")
    folder.metrics.write_text("")
    _, resumed = run_to_end(config, tmp_path / "run")
    assert resumed == losses[3:]


def test_dropout_is_on_from_the_first_step(shards, tmp_path):
    """Hugging Face towers arrive in evaluation mode."""
    state, losses = run_to_end(config_of("huggingface", shards, "duration=1steps"), tmp_path / "a")
    dropouts = [m for m in state.engine.module.modules() if isinstance(m, nn.Dropout)]
    assert len(dropouts) >= 7
    assert all(dropout.training for dropout in dropouts)
    _, again = run_to_end(config_of("huggingface", shards, "duration=1steps"), tmp_path / "b")
    assert losses == again  # the masks are a function of seed and step


@pytest.mark.parametrize(
    ("mode", "still"), [((), True), (("frozen_parts=training",), False)], ids=["default", "named"]
)
def test_a_frozen_tower_with_batch_norm_stays_what_it_was(shards, tmp_path, mode, still):
    config = config_of("resnet", shards, "model.lock_image=true", "duration=3steps", *mode)
    before = persistent_buffers(
        TrainState.create(config, start_distributed(threads=1)).engine.module
    )
    before = {name: buffer.clone() for name, buffer in before.items()}
    state, _ = run_to_end(config, tmp_path / "run")
    after = persistent_buffers(state.engine.module)
    moved = [n for n, b in after.items() if not b.equal(before[n])]
    assert any("running_mean" in name for name in after)
    assert (not moved) is still


def test_a_partly_trained_module_trains(shards):
    module = nn.Sequential(
        nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Dropout()),
        nn.Sequential(nn.Linear(2, 2), nn.Dropout()),
    )
    module[0].requires_grad_(False)
    module.eval()
    set_training_mode(module, frozen="evaluation")
    modes = [part.training for part in module.modules()]
    assert modes == [True, False, False, False, False, True, True, True]
    set_training_mode(module, frozen="training")
    assert all(part.training for part in module.modules())
