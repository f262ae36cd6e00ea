"""vlsuite's side of the trainer comparisons: the real command line, read from outside."""

import json
import sys
from pathlib import Path

from benchmarks.support.timed_process import BenchmarkError, run_timed
from benchmarks.support.trainer_settings import MODEL_CONFIG, Progress, TrainerRun, TrainerSettings

_ROOT = Path(__file__).resolve().parents[2]


def train(settings: TrainerSettings, folder: Path) -> TrainerRun:
    """Train with ``vlsuite train``; the run folder and the output end up in ``folder``.

    Raises:
        BenchmarkError: the command fails or logs no progress.
    """
    folder.mkdir(parents=True)
    run = folder / "run"
    command = [sys.executable, "-m", "vlsuite", "train", "cifar10", "--out", run]
    for key, value in _overrides(settings).items():
        command += ["--set", f"{key}={value}"]
    report = run_timed(command, cwd=_ROOT, threads=settings.threads, log=folder / "output.txt")
    return TrainerRun(
        progress=read_progress(run / "metrics.jsonl"),
        seconds=report.seconds,
        peak_bytes=report.peak_bytes,
        model=run / "export",
    )


def read_progress(metrics: Path) -> tuple[Progress, ...]:
    """Samples seen by wall-clock time, one entry a training line.

    Raises:
        BenchmarkError: the file is missing.
    """
    if not metrics.is_file():
        raise BenchmarkError(f"vlsuite train wrote no {metrics}")
    records = [json.loads(line) for line in metrics.read_text().splitlines()]
    return tuple(
        Progress(samples_seen=record["samples_seen"], seconds=record["time"])
        for record in records
        if record["kind"] == "train"
    )


def zero_shot(
    model: Path,
    folder: Path,
    *,
    shard: Path,
    class_names: Path,
    templates: tuple[str, ...],
    threads: int,
) -> dict[str, float]:
    """Top-1 of a model folder by ``vlsuite eval``: value, low and high (95%), and n.

    Raises:
        BenchmarkError: the command fails.
    """
    folder.mkdir(parents=True)
    prompts = folder / "templates.txt"
    prompts.write_text("\n".join(templates) + "\n")
    results = folder / "results"
    command = [sys.executable, "-m", "vlsuite", "eval", model, "--data", shard, "--out", results]
    command += ["--task", "zero_shot", "--class-names", class_names, "--templates", prompts]
    command += ["--device", "cpu"]
    run_timed(command, cwd=_ROOT, threads=threads, log=folder / "output.txt")
    (result,) = [json.loads(path.read_text()) for path in results.glob("*.json")]
    return result["scores"]["top1"]


def _overrides(settings: TrainerSettings) -> dict[str, object]:
    beta1, beta2 = settings.betas
    return {
        "model.name": MODEL_CONFIG.stem,
        "data.train": ",".join(str(shard) for shard in settings.shards),
        "data.num_workers": settings.workers,
        "data.caption": "first",
        "optim.lr": settings.learning_rate,
        "optim.betas": f"{beta1},{beta2}",
        "optim.eps": settings.eps,
        "optim.weight_decay": settings.weight_decay,
        "optim.schedule": "cosine",
        "optim.warmup_steps": settings.warmup_steps,
        "optim.grad_clip_norm": "none",
        "duration": f"{settings.num_steps}steps",
        "global_batch_size": settings.batch_size,
        "precision": "fp32",
        "compile": "false",
        "deepspeed": "zero0",
        "seed": settings.seed,
        "threads": settings.threads,
        "logging.every": f"{settings.log_every}steps",
        "checkpoint.every": f"{settings.num_steps}steps",
    }
