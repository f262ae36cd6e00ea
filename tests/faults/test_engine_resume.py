"""A run that stopped continues exactly, also under another ZeRO stage or micro-batch size."""

import json
import shutil

import pytest

from tests.support.runs import make_shards, run_to_end, small_config
from vlsuite.engine.checkpoint import damage_of, list_checkpoints
from vlsuite.engine.run_folder import RunFolder
from vlsuite.errors import CheckpointError


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return make_shards(tmp_path_factory.mktemp("resume"))


@pytest.fixture(scope="module")
def undisturbed(shards, tmp_path_factory):
    """Losses of 8 steps, and the run folder as it was after step 4."""
    folder = tmp_path_factory.mktemp("undisturbed")
    config = small_config(shards, "duration=8steps", "checkpoint.every=4steps")
    _, losses = run_to_end(config, folder / "run")
    shutil.rmtree(folder / "run" / "checkpoints" / "step_00000008")
    return losses, folder / "run"


@pytest.mark.parametrize(
    ("overrides", "tolerance"),
    [
        ((), 0.0),
        (("deepspeed=zero1",), 1e-5),
        (("deepspeed=zero2",), 1e-5),
        (("deepspeed=zero3",), 1e-5),
        (("micro_batch_size=4",), 1e-5),
    ],
)
def test_resumed_equals_undisturbed(shards, undisturbed, tmp_path, overrides, tolerance):
    losses, folder = undisturbed
    shutil.copytree(folder, tmp_path / "run")
    (tmp_path / "run" / "metrics.jsonl").write_text("")
    config = small_config(shards, "duration=8steps", "checkpoint.every=4steps", *overrides)
    _, resumed = run_to_end(config, tmp_path / "run")
    assert resumed == pytest.approx(losses[4:], abs=tolerance, rel=0)


def test_from_partitioned_to_whole(shards, tmp_path):
    """ZeRO 3 writes, ZeRO 0 continues."""
    settings = ("duration=6steps", "checkpoint.every=3steps")
    _, losses = run_to_end(small_config(shards, *settings, "deepspeed=zero3"), tmp_path / "run")
    folder = RunFolder(tmp_path / "run")
    shutil.rmtree(folder.checkpoints / "step_00000006")
    folder.metrics.write_text("")
    _, resumed = run_to_end(small_config(shards, *settings), tmp_path / "run")
    assert resumed == pytest.approx(losses[3:], abs=1e-5, rel=0)


def test_half_written_checkpoint_is_not_one_and_an_emptied_one_is_damaged(undisturbed, tmp_path):
    _, folder = undisturbed
    shutil.copytree(folder / "checkpoints", tmp_path / "checkpoints")
    (tmp_path / "checkpoints" / "step_00000009").mkdir()
    (tmp_path / "checkpoints" / ".step_00000010.tmp").mkdir()
    names = [path.name for path in list_checkpoints(tmp_path / "checkpoints")]
    assert names == ["step_00000004", "step_00000009"]
    assert damage_of(tmp_path / "checkpoints" / "step_00000009") is not None


def test_checkpoint_of_another_model_is_refused(shards, undisturbed, tmp_path):
    _, folder = undisturbed
    shutil.copytree(folder, tmp_path / "run")
    config = small_config(shards, "duration=8steps", "model.image_size=16")
    with pytest.raises(CheckpointError, match="another model"):
        run_to_end(config, tmp_path / "run")


def test_a_run_whose_checkpoints_are_all_damaged_does_not_start_anew(shards, undisturbed, tmp_path):
    _, folder = undisturbed
    shutil.copytree(folder, tmp_path / "run")
    weights = tmp_path / "run" / "checkpoints" / "step_00000004" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    for _ in range(2):
        with pytest.raises(CheckpointError, match=r"step_00000004: weights\.safetensors has 1000"):
            run_to_end(small_config(shards, "duration=8steps"), tmp_path / "run")


def test_state_holds_the_position_in_the_stream(undisturbed):
    _, folder = undisturbed
    state = json.loads((folder / "checkpoints" / "step_00000004" / "state.json").read_text())
    assert state["step"] == 4
    assert state["samples_seen"] == 64


@pytest.mark.parametrize("stage", [0, 2, 3])
def test_bf16_resumes_from_fp32_masters(shards, tmp_path, stage):
    """Masters come back in fp32, not rounded through the bf16 weights."""
    settings = (
        "precision=bf16",
        f"deepspeed=zero{stage}",
        "duration=6steps",
        "checkpoint.every=3steps",
    )
    config = small_config(shards, *settings)
    _, losses = run_to_end(config, tmp_path / "run")
    folder = RunFolder(tmp_path / "run")
    shutil.rmtree(folder.checkpoints / "step_00000006")
    folder.metrics.write_text("")
    _, resumed = run_to_end(config, tmp_path / "run")
    assert resumed == losses[3:]
