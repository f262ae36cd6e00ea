"""Small real training runs: drawn shapes, a two-tower ViT, DeepSpeed on CPU."""

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from data_pipelines.settings import apply_overrides
from data_pipelines.sources.source import Target
from data_pipelines.sources.synthetic import SyntheticSource
from tests.support.words import CONTEXT_LENGTH, word_tokenizer_folder
from vlsuite.engine.config import TrainConfig
from vlsuite.engine.distributed import start_distributed
from vlsuite.engine.run_folder import RunFolder
from vlsuite.engine.state import TrainState
from vlsuite.engine.train_loop import train


def make_shards(folder: Path, *, num_samples: int = 96) -> Path:
    """Pairs in shards of 40."""
    out = folder / "shards"
    SyntheticSource(num_samples=num_samples, side=32).build(Target(out_dir=out, max_samples=40))
    return out


def small_config(shards: Path, *overrides: str) -> TrainConfig:
    """16 samples a step, every step logged, no worker processes."""
    small = apply_overrides(
        TrainConfig(),
        [
            "model.name=vlsuite-tiny-32",
            f"model.context_length={CONTEXT_LENGTH}",
            f"model.tokenizer={word_tokenizer_folder()}",
            f"data.train={shards}",
            "data.num_workers=0",
            "optim.lr=1e-3",
            "optim.warmup_steps=2",
            "global_batch_size=16",
            "duration=4steps",
            "logging.every=1steps",
            "checkpoint.every=1000steps",
            "threads=1",
        ],
    )
    return apply_overrides(small, overrides)


def run_to_end(config: TrainConfig, path: Path) -> tuple[TrainState, list[float]]:
    """Train in a run folder, new or begun; returns the state and the losses logged so far."""
    folder = RunFolder(path)
    ctx = start_distributed(threads=1)
    if not folder.config.exists():
        folder.create("test", config)
    state = train(config, ctx, folder)
    return state, [line["loss"] for line in logged(path)]


def train_stages(
    config: Callable[..., TrainConfig], root: Path, stages: Sequence[int], *, micro: int
) -> None:
    """What each of several processes does: a run "zeroN" in the folder for each ZeRO stage.

    Args:
        config: of overrides.
        micro: samples of a micro-batch under stage 2, two of them a process.
    """
    ctx = start_distributed(threads=1)
    for stage in stages:
        folder = RunFolder(root / f"zero{stage}")
        more = [f"micro_batch_size={micro}"] if stage == 2 else []
        settings = config(f"deepspeed=zero{stage}", *more)
        if os.environ["RANK"] == "0":
            folder.create("test", settings)
        ctx.barrier()
        train(settings, ctx, folder)


def logged(run: Path) -> list[dict[str, Any]]:
    """What a run has logged of its steps."""
    lines = [json.loads(line) for line in RunFolder(run).metrics.read_text().splitlines()]
    return [line for line in lines if line["kind"] == "train"]
