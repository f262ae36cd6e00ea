"""One training job, said once, so that both trainers are given the same."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.support.timed_process import BenchmarkError

#: Architecture both sides train; its file name is the model's name in vlsuite.
MODEL_CONFIG = (
    Path(__file__).resolve().parents[2] / "vlsuite/models/dual_encoder/configs/vlsuite-tiny-32.json"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainerSettings:
    """What is trained, on what, and how; every field applies to both trainers.

    Fixed for both: AdamW, cosine schedule to zero, no gradient clipping, fp32, eager mode, one
    process, CPU, random crops of 0.9 to 1.0 of the area without flips, the caption in ``txt``.

    Attributes:
        shards: WebDataset tars of jpg + txt members.
        batch_size: samples per optimizer step.
        num_steps: optimizer steps; the cosine schedule ends with them.
        learning_rate: at its peak.
        warmup_steps: linear from zero.
        weight_decay: decoupled, on matrices only.
        betas: of AdamW.
        eps: of AdamW.
        log_every: steps between two progress lines.
        threads: of the training process.
        workers: decoding processes.
        seed: of weights, order and augmentation.
    """

    shards: tuple[Path, ...]
    batch_size: int
    num_steps: int
    learning_rate: float
    warmup_steps: int
    weight_decay: float
    betas: tuple[float, float] = (0.9, 0.98)
    eps: float = 1e-6
    log_every: int
    threads: int
    workers: int
    seed: int

    @property
    def num_samples(self) -> int:
        """Samples seen in the whole job."""
        return self.batch_size * self.num_steps


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """Samples seen at a moment, in seconds since some fixed start."""

    samples_seen: int
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainerRun:
    """A finished job.

    Attributes:
        progress: one entry a progress line, in order.
        seconds: wall clock of the whole process, start-up and saving included.
        peak_bytes: resident memory of its largest process.
        model: folder that open_clip's "local-dir:" scheme loads.
    """

    progress: tuple[Progress, ...]
    seconds: float
    peak_bytes: int
    model: Path


def steady_rate(progress: Sequence[Progress], *, num_samples: int) -> float:
    """Samples per second over the latest ``num_samples`` samples between two progress lines.

    Everything before the first of the two lines is discarded as warm-up, and so is what follows
    the second (one trainer logs step 1, n + 1, 2 n + 1, ..., the other n, 2 n, ...).

    Raises:
        BenchmarkError: no two progress lines are that far apart.
    """
    by_samples = {p.samples_seen: p for p in progress}
    for last in reversed(progress):
        first = by_samples.get(last.samples_seen - num_samples)
        if first is not None:
            return num_samples / (last.seconds - first.seconds)
    seen = ", ".join(str(samples) for samples in by_samples) or "none"
    raise BenchmarkError(
        f"no two progress lines are {num_samples} samples apart (lines at: {seen}); choose step "
        f"counts that are multiples of the logging interval"
    )


def find_shards(data: Path, pattern: str) -> tuple[Path, ...]:
    """Shards of the data folder by file name pattern, sorted.

    Raises:
        BenchmarkError: nothing there.
    """
    found = tuple(sorted(data.glob(pattern)))
    if not found:
        raise BenchmarkError(
            f"no {pattern} in {data}; give the folder of the CIFAR-10 shards with --data FOLDER"
        )
    return tuple(path.resolve() for path in found)
