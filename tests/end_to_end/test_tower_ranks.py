"""Two processes train as one does, whatever the towers are; batch norm says what holds.

Dropout is off here: its masks are drawn by each process for its own samples.
"""

import json
from pathlib import Path

import pytest

from tests.support.runs import make_shards
from tests.support.tower_kinds import config_of, make_towers
from tests.support.warm_processes import exit_codes, start_ranks
from vlsuite.engine.distributed import start_distributed
from vlsuite.engine.run_folder import RunFolder
from vlsuite.engine.train_loop import train

#: By name: kind of towers, number of processes, settings.
RUNS = {
    "huggingface one": ("huggingface", 1, ()),
    "huggingface two": ("huggingface", 2, ()),
    "resnet one": ("resnet", 1, ()),
    "resnet one, halves": ("resnet", 1, ("micro_batch_size=8",)),
    "resnet two": ("resnet", 2, ()),
    "resnet two, joint": ("resnet", 2, ("sync_batch_norm=true",)),
    "resnet two, joint, zero3": ("resnet", 2, ("sync_batch_norm=true", "deepspeed=zero3")),
}


def work(root: Path, size: int) -> None:
    """Inside a process: all runs of this number of processes, one after another."""
    ctx = start_distributed(threads=1)
    for name, (kind, own_size, overrides) in RUNS.items():
        if own_size != size:
            continue
        config = config_of(
            kind, root / "shards", "duration=3steps", *overrides, towers=root / "towers"
        )
        folder = RunFolder(root / name)
        if ctx.is_first:
            folder.create("test", config)
        ctx.barrier()
        train(config, ctx, folder)


@pytest.fixture(scope="module")
def losses(tmp_path_factory):
    root = tmp_path_factory.mktemp("ranks")
    make_shards(root)
    make_towers(root / "towers", dropout=0.0)
    for size in (1, 2):
        log = root / f"{size}.log"
        codes = exit_codes(start_ranks(size, work, root, size, log=log))
        assert codes == [0] * size, log.read_text()[-3000:]
    found = {}
    for name in RUNS:
        lines = map(json.loads, (root / name / "metrics.jsonl").read_text().splitlines())
        found[name] = [line["loss"] for line in lines if line["kind"] == "train"]
    return found


def test_a_hugging_face_tower(losses):
    assert losses["huggingface two"] == pytest.approx(losses["huggingface one"], abs=1e-5)


def test_batch_norm_joined_over_processes_equals_one_process(losses):
    for name in ("resnet two, joint", "resnet two, joint, zero3"):
        assert losses[name] == pytest.approx(losses["resnet one"], abs=1e-4), name


def test_without_that_a_process_counts_as_a_micro_batch(losses):
    """What the documentation says: statistics are those of one forward pass of one process."""
    assert losses["resnet two"] == pytest.approx(losses["resnet one, halves"], abs=1e-4)
    apart = [abs(a - b) for a, b in zip(losses["resnet two"], losses["resnet one"], strict=True)]
    assert max(apart) > 1e-3
