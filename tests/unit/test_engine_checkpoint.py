"""Which checkpoints stay, and what is written down about each."""

import json
import os
import stat
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from vlsuite.engine.checkpoint import (
    Progress,
    Snapshot,
    damage_of,
    list_checkpoints,
    load_checkpoint,
    prune,
    to_keep,
    write_checkpoint,
)
from vlsuite.engine.checkpoint_writer import CheckpointWriter
from vlsuite.errors import CheckpointError

HOUR = 3600.0


def _snapshot(step):
    progress = Progress(
        step=step, samples_seen=step * 8, loss_scale=None, counts={"sources": {"a": step * 8}}
    )
    weights = {"tower.weight": torch.arange(12.0).reshape(3, 4), "buffer.mean": torch.ones(2)}
    optimizer = {
        "exp_avg.tower.weight": torch.ones(3, 4),
        "exp_avg_sq.tower.weight": torch.ones(3, 4),
        "objective.log_logit_scale": torch.tensor([2.5]),
    }
    return Snapshot(progress, weights, optimizer)


def test_what_is_written_is_read_back(tmp_path):
    path = write_checkpoint(tmp_path, _snapshot(7))
    assert path.name == "step_00000007"
    assert damage_of(path) is None
    checkpoint = load_checkpoint(path)
    assert checkpoint.progress == _snapshot(7).progress
    assert torch.equal(checkpoint.masters["tower.weight"].weight, torch.arange(12.0).reshape(3, 4))
    assert set(checkpoint.masters["tower.weight"].moments) == {"exp_avg", "exp_avg_sq"}
    assert list(checkpoint.buffers) == ["mean"]
    assert list(checkpoint.objective) == ["log_logit_scale"]
    assert [p.name for p in tmp_path.iterdir()] == ["step_00000007"]


def test_files_have_the_mode_of_any_other_new_file(tmp_path):
    before = os.umask(0o022)
    try:
        path = write_checkpoint(tmp_path, _snapshot(1))
    finally:
        os.umask(before)
    assert {stat.S_IMODE(file.stat().st_mode) for file in path.iterdir()} == {0o644}


@pytest.mark.parametrize("name", ["weights.safetensors", "optimizer.safetensors", "state.json"])
@pytest.mark.parametrize("change", ["flip", "cut", "remove", "empty"])
def test_every_damage_is_noticed(tmp_path, name, change):
    path = write_checkpoint(tmp_path, _snapshot(3))
    file = path / name
    content = bytearray(file.read_bytes())
    if change == "remove":
        file.unlink()
    elif change == "flip":
        content[0 if name == "state.json" else -3] ^= 0x40
        file.write_bytes(content)
    else:
        file.write_bytes(content[: len(content) // 2 if change == "cut" else 0])
    assert damage_of(path) is not None


def test_tensors_hold_no_pickle(tmp_path):
    path = write_checkpoint(tmp_path, _snapshot(3))
    assert load_file(path / "weights.safetensors").keys() == _snapshot(3).weights.keys()
    assert {file.suffix for file in path.iterdir()} == {".safetensors", ".json"}
    assert json.loads((path / "state.json").read_text())["samples_seen"] == 24


def test_newest_by_count_and_first_of_every_span_of_hours():
    written = {Path(f"step_{i:08d}"): i * HOUR / 2 for i in range(1, 11)}  # one each half hour
    kept = to_keep(written, keep=2, keep_hours=None)
    assert {p.name for p in kept} == {"step_00000009", "step_00000010"}
    kept = to_keep(written, keep=1, keep_hours=2.0)  # spans begin at 0, 2 and 4 hours
    names = {"step_00000001", "step_00000004", "step_00000008", "step_00000010"}
    assert {p.name for p in kept} == names


def test_pruning_removes_the_rest(tmp_path):
    for step in (1, 2, 3, 4):
        write_checkpoint(tmp_path, _snapshot(step))
    prune(tmp_path, keep=2, keep_hours=None)
    names = [path.name for path in list_checkpoints(tmp_path)]
    assert names == ["step_00000003", "step_00000004"]
    assert sorted(p.name for p in tmp_path.iterdir()) == names


def test_a_failed_write_is_reported_by_the_next_call(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    writer = CheckpointWriter(blocked, keep=1, keep_hours=None)
    writer.submit(_snapshot(1))
    with pytest.raises(CheckpointError, match="cannot write checkpoint"):
        writer.finish()
    writer.finish()


def test_the_writer_keeps_order_and_prunes(tmp_path):
    writer = CheckpointWriter(tmp_path, keep=2, keep_hours=None)
    for step in (1, 2, 3):
        writer.submit(_snapshot(step))
    writer.finish()
    names = [path.name for path in list_checkpoints(tmp_path)]
    assert names == ["step_00000002", "step_00000003"]


def test_checkpoints_without_a_rule_for_uids_keep_the_one_they_began_with(tmp_path):
    """What such a run remembers is filed under the keys of its samples."""
    path = write_checkpoint(tmp_path, _snapshot(7))
    assert load_checkpoint(path).progress.uids == "shard"
    stored = json.loads((path / "state.json").read_text())
    del stored["uids"]
    (path / "state.json").write_text(json.dumps(stored))
    assert load_checkpoint(path).progress.uids == "key"
