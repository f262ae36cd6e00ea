"""Event files: every number once a step, after interruptions and beside a damaged file."""

import json
import shutil

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.support.runs import make_shards, run_to_end, small_config
from vlsuite.engine.checkpoint import list_checkpoints


def shown(run) -> list[tuple[int, float]]:
    """Step and loss as TensorBoard shows them."""
    board = EventAccumulator(str(run / "tensorboard"))
    board.Reload()
    return [(event.step, event.value) for event in board.Scalars("train/loss")]


def logged(run) -> list[tuple[int, float]]:
    lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return [(line["step"], line["loss"]) for line in lines if line["kind"] == "train"]


def test_steps_are_there_once_after_interruptions(tmp_path):
    config = small_config(make_shards(tmp_path, num_samples=48), "checkpoint.every=2steps")
    run = tmp_path / "run"
    run_to_end(config, run)
    assert [step for step, _ in shown(run)] == [1, 2, 3, 4]
    # lost after step 3: goes on from the checkpoint of step 2
    shutil.rmtree(list_checkpoints(run / "checkpoints")[-1])
    (run / "tensorboard" / "events.out.tfevents.1.other.1.0").write_bytes(b"\0" * 100)
    run_to_end(config, run)
    assert [step for step, _ in shown(run)] == [1, 2, 3, 4]
    # lost before the first checkpoint: begins anew
    for checkpoint in list_checkpoints(run / "checkpoints"):
        shutil.rmtree(checkpoint)
    run_to_end(config, run)
    assert [step for step, _ in shown(run)] == [1, 2, 3, 4]
    for (step, value), (told, loss) in zip(shown(run), logged(run), strict=True):
        assert step == told
        assert abs(value - loss) < 1e-6
