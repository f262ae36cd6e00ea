"""Everything a training run can be told, as one frozen value."""

from dataclasses import dataclass, field
from typing import Any, Literal

from vlsuite import models, objectives
from vlsuite.batches.stream import DataConfig
from vlsuite.engine.duration import Duration
from vlsuite.engine.optim import OptimConfig
from vlsuite.errors import ConfigError
from vlsuite.settings import component


@dataclass(frozen=True, kw_only=True, slots=True)
class LoggingConfig:
    """How often and where the run reports.

    Attributes:
        every: between two log lines.
        wandb_project: also log to this Weights & Biases project (needs the extra ``wandb``).
    """

    every: Duration = Duration("20steps")
    wandb_project: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckpointConfig:
    """How often the run is saved, and how many saves stay.

    Attributes:
        every: between two checkpoints; the last step is always saved.
        keep: newest checkpoints kept.
    """

    every: Duration = Duration("1epoch")
    keep: int = 2

    def __post_init__(self) -> None:
        if self.keep < 1:
            raise ConfigError("checkpoint.keep must be at least 1")


@dataclass(frozen=True, kw_only=True, slots=True)
class ValidationConfig:
    """Evaluations that run inside training; the last step is always evaluated.

    Attributes:
        data: evaluation folders or shards; a task may be forced as "zero_shot=PATH".
        every: between two evaluations.
        batch_size: pictures per forward pass.
    """

    data: tuple[str, ...] = ()
    every: Duration = Duration("1epoch")
    batch_size: int = 256


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """One training run.

    Attributes:
        model: which towers, from which weights.
        data: training shards, decoding and augmentation.
        objective: what is minimised.
        optim: AdamW and its schedule.
        duration: of training.
        global_batch_size: samples per optimizer step over all processes; the contrastive
            objective sees all of them, also under accumulation.
        micro_batch_size: samples per forward pass of one process; none for the whole share of a
            process. A smaller one accumulates: embeddings first, one loss, then gradients.
        precision: of weights and compute; masters and the objective stay fp32.
        compile: torch.compile of both towers.
        deepspeed: a name in deepspeed_configs ("zero2") or the path of a JSON file.
        seed: of weights, data order, augmentation and dropout.
        threads: CPU threads per process; none leaves torch's choice.
    """

    model: Any = component(models.registry, "open_clip")
    data: DataConfig = field(default_factory=DataConfig)
    objective: Any = component(objectives.registry, "clip")
    optim: OptimConfig = field(default_factory=OptimConfig)
    duration: Duration = Duration("32epochs")
    global_batch_size: int = 256
    micro_batch_size: int | None = None
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    compile: bool = False
    deepspeed: str = "zero0"
    seed: int = 0
    threads: int | None = None
    logging: LoggingConfig = field(default_factory=LoggingConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    validation: ValidationConfig = field(default_factory=ValidationConfig)

    def __post_init__(self) -> None:
        if self.global_batch_size < 1:
            raise ConfigError(f"global_batch_size={self.global_batch_size} must be positive")
        if not 0 <= self.seed < 2**63:
            raise ConfigError(f"seed={self.seed} must lie in [0, 2^63)")

    def micro_batch_of(self, world_size: int) -> int:
        """Samples per forward pass of each of ``world_size`` processes.

        Raises:
            ConfigError: the global batch does not divide evenly.
        """
        share, rest = divmod(self.global_batch_size, world_size)
        micro = self.micro_batch_size or share
        if rest or share == 0 or share % micro:
            raise ConfigError(
                f"global_batch_size={self.global_batch_size} does not divide into "
                f"{world_size} processes x micro_batch_size={micro}; choose a multiple of "
                f"{world_size * micro}"
            )
        return micro
