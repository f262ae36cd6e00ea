"""Everything a training run can be told, as one frozen value."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from data_pipelines.settings import component
from data_pipelines.texts import listed
from vlsuite import models, objectives
from vlsuite.batches.stream import DataConfig
from vlsuite.engine.duration import Duration
from vlsuite.engine.optim import OptimConfig
from vlsuite.engine.other_names import OTHER_NAMES
from vlsuite.engine.training_mode import FrozenMode
from vlsuite.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class LoggingConfig:
    """How often and where the run reports.

    Attributes:
        every: between two log lines.
        wandb_project: also log to this Weights & Biases project (needs the extra ``wandb``).
        mlflow_experiment: also log to this experiment of MLflow, on the server that
            MLFLOW_TRACKING_URI names (needs the extra ``mlflow``).
        uids: also record the uids of every step, one file a process, in RUN/uids.
    """

    every: Duration = Duration("20steps")
    wandb_project: str | None = None
    mlflow_experiment: str | None = None
    uids: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckpointConfig:
    """How often the run is saved, and which saves stay.

    Attributes:
        every: between two checkpoints; the last step is always saved.
        every_minutes: also save when this long has passed since the last save.
        keep: newest checkpoints kept; 2 or more, so that a damaged one has another before it.
        keep_hours: also keep the first checkpoint of every span of this many hours.
    """

    every: Duration = Duration("1epoch")
    every_minutes: float | None = None
    keep: int = 2
    keep_hours: float | None = None

    def __post_init__(self) -> None:
        if self.keep < 1:
            raise ConfigError("checkpoint.keep must be at least 1")
        if self.every_minutes is not None and self.every_minutes <= 0:
            raise ConfigError("checkpoint.every_minutes must be positive; 'none' turns it off")
        if self.keep_hours is not None and self.keep_hours <= 0:
            raise ConfigError("checkpoint.keep_hours must be positive; 'none' turns it off")


@dataclass(frozen=True, kw_only=True, slots=True)
class ValidationConfig:
    """Evaluations that run inside training; the last step is always evaluated.

    Attributes:
        data: evaluation folders or shards; a task may be forced as "zero_shot=PATH".
        subset: files of 'vlsuite curate subset' with the samples of data that count: one for all
            of it, or one for each, "all" for a set that counts whole. Empty: every sample.
        every: between two evaluations.
        batch_size: pictures per forward pass.
        examples: of each direction, shown as pictures in TensorBoard and the like; 0 for none.
    """

    data: tuple[str, ...] = ()
    subset: tuple[str, ...] = ()
    every: Duration = Duration("1epoch")
    batch_size: int = 256
    examples: int = 4

    def __post_init__(self) -> None:
        if self.examples < 0:
            raise ConfigError(f"validation.examples={self.examples} must not be negative")
        # a path by itself is one path, not its letters
        object.__setattr__(self, "data", tuple(listed(self.data)))
        object.__setattr__(self, "subset", tuple(listed(self.subset)))
        if len(self.subset) not in (0, 1, len(self.data)):
            raise ConfigError(
                f"validation.subset names {len(self.subset)} files for {len(self.data)} sets in "
                "validation.data; give one for all, or one for each ('all' for a whole set)"
            )


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
        frozen_parts: mode of parts whose weights are all frozen. "evaluation": they stay what they
            were, batch statistics and dropout included. "training": as open_clip, whose frozen
            towers go on learning batch statistics.
        sync_batch_norm: batch norm normalises by the samples of all processes rather than by those
            of its own. Without it the loss of a model with batch norm depends on the number of
            processes; with or without, on micro_batch_size.
        compile: torch.compile of both towers; not with ZeRO 3.
        deepspeed: a name in deepspeed_configs ("zero2") or the path of a JSON file.
        seed: of weights, data order, augmentation and dropout.
        threads: CPU threads per process; none leaves torch's choice.
        stall_timeout: seconds that a step may wait for another process or for data before the
            run ends (5 more where only the watchdog notices); continue it with --resume.
    """

    OTHER_NAMES: ClassVar[Mapping[str, str]] = OTHER_NAMES

    model: Any = component(models.registry, "open_clip")
    data: DataConfig = field(default_factory=DataConfig)
    objective: Any = component(objectives.registry, "clip")
    optim: OptimConfig = field(default_factory=OptimConfig)
    duration: Duration = Duration("32epochs")
    global_batch_size: int = 256
    micro_batch_size: int | None = None
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    frozen_parts: FrozenMode = "evaluation"
    sync_batch_norm: bool = False
    compile: bool = False
    deepspeed: str = "zero0"
    seed: int = 0
    threads: int | None = None
    stall_timeout: float = 600.0
    logging: LoggingConfig = field(default_factory=LoggingConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    validation: ValidationConfig = field(default_factory=ValidationConfig)

    def __post_init__(self) -> None:
        if self.global_batch_size < 1:
            raise ConfigError(f"global_batch_size={self.global_batch_size} must be positive")
        if not 0 <= self.seed < 2**63:
            raise ConfigError(f"seed={self.seed} must lie in [0, 2^63)")
        if self.stall_timeout <= 0:
            raise ConfigError(f"stall_timeout={self.stall_timeout} must be positive seconds")

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
