"""What training, evaluation, checkpoints and export ask of a kind of model.

A family is one folder beside this file. Its settings, a frozen dataclass registered by name, build
a ``TrainableModel``, which says everything else: how stored samples become its batches, which step
trains it, what the trained model can do, and how it is kept. Nothing outside the folder knows it.

b = batch
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from vlsuite.batches.batch import Batch
from vlsuite.batches.data_config import DataConfig
from vlsuite.batches.sample_reader import SampleReader
from vlsuite.errors import ConfigError, ModelError
from vlsuite.export.form import Form
from vlsuite.export.run_history import RunHistory
from vlsuite.objectives.objective import Objective


class TrainableModel(ABC):
    """A built model: its weights, and all that is needed to feed, train, use and keep it."""

    #: Name of the step that trains it; see ``vlsuite.engine.steps``.
    step: ClassVar[str]

    @property
    @abstractmethod
    def module(self) -> nn.Module:
        """What the engine wraps: all weights, frozen ones too; built on the CPU in fp32."""

    @abstractmethod
    def prepare(self, objective: Objective) -> None:
        """Told once before training which objective it is trained with.

        Raises:
            ConfigError: the objective cannot use what this model gives.
        """

    @abstractmethod
    def reader(self, data: DataConfig) -> SampleReader:
        """How stored samples become batches for training; runs in worker processes."""

    @abstractmethod
    def forward(
        self, engine: Any, batch: Batch, *, device: torch.device, dtype: torch.dtype
    ) -> Any:
        """Move one micro-batch to the device and run the engine on it.

        Args:
            engine: wraps ``module``; call it, so that ZeRO and mixed precision take effect.
            batch: of this family's reader.
            dtype: that the engine computes in.
        Returns:
            What the step and the objective expect.
        """

    @abstractmethod
    def evaluated(
        self,
        name: str,
        *,
        scalars: Mapping[str, float],
        device: torch.device,
        run: Any = None,
        dtype: torch.dtype = torch.float32,
    ) -> Any:
        """The model as evaluations see it: the capabilities of ``eval.contract`` that it has.

        Args:
            name: shown in results.
            scalars: of the objective it was trained with (see ``Objective.scalars``).
            device: where the weights are.
            run: what computes; ``module`` itself where absent, else an engine around it.
            dtype: of the weights.
        """

    @abstractmethod
    def write(
        self,
        folder: Path,
        weights: Mapping[str, Tensor],
        *,
        scalars: Mapping[str, float],
        name: str,
        history: RunHistory | None,
    ) -> None:
        """Write the trained model as a folder of its own, which ``open_folder`` reads.

        It holds a file FAMILY_config.json, written last: that names the family and marks the
        folder as complete.

        Args:
            weights: fp32, by name in ``module``; parameters and persistent buffers.
            scalars: see ``evaluated``.
            name: title of its card.
            history: of the run, for the card.
        Raises:
            ModelError, RunFolderError: the model or the folder cannot be written.
        """

    @abstractmethod
    def forms(self) -> Mapping[str, Form]:
        """What ``vlsuite export`` can write of it, by name; the first is ``write``'s own."""

    def stored_scalars(self) -> Mapping[str, float] | None:
        """The scalars that came with loaded weights; None before training."""
        return None

    def resolved(self) -> Mapping[str, Any]:
        """What it took from pretrained weights and not from its settings, as JSON values."""
        return {}

    def take_resolved(self, values: Mapping[str, Any] | None) -> str:
        """Use the values of the run that is continued instead of today's.

        Args:
            values: what :meth:`resolved` gave when the run began; None for a run from before
                they were kept.
        Returns:
            A line for the terminal; empty for none.
        """
        return ""

    def is_new(self, name: str) -> bool:
        """Whether a parameter has no pretrained counterpart: ``optim.new_lr_factor`` is for it."""
        return False

    def remarks(self) -> tuple[str, ...]:
        """Lines for the terminal about how it is trained; asked once, after :meth:`prepare`."""
        return ()

    def compile(self) -> None:
        """Compile what computes, in place."""
        self.module.compile()


class ModelFamily(ABC):
    """Settings of one family: subclass as a frozen dataclass and register it by name.

    The name stands in configs (``model.kind``) and in file names: do not change it.
    """

    __slots__ = ()

    @abstractmethod
    def build(self) -> TrainableModel:
        """Build the model on the CPU in fp32, weights loaded where asked for.

        Raises:
            ConfigError, ModelError: settings that contradict, or weights that cannot be loaded.
        """

    def check(self) -> None:  # noqa: B027  (most families know nothing beforehand)
        """Refuse what can be known without building; called before any data is opened.

        Raises:
            ConfigError, ModelError: nothing could be built from these settings.
        """

    def check_batch(self, global_batch_size: int) -> None:  # noqa: B027  (to most it is all one)
        """Refuse settings that do not fit the batches of a run; called beside ``check``.

        Args:
            global_batch_size: samples of a step.
        Raises:
            ConfigError: they do not.
        """

    def rebuild(self, export: Path) -> TrainableModel:
        """Build it for weights of a checkpoint, which replace all of its own.

        Args:
            export: folder that ``write`` may have filled in the run; may not exist.
        """
        return self.build()

    @classmethod
    def open_folder(cls, folder: Path) -> TrainableModel:
        """The model that ``TrainableModel.write`` put there; nothing is unpickled.

        Raises:
            ModelError: a file is missing, damaged, or of another version.
        """
        raise ModelError(f"{folder}: models of this family cannot be opened from folders")


def refuse_objective(objective: Objective, *, family: str, takes: str) -> ConfigError:
    """The error for an objective that a family cannot be trained with."""
    return ConfigError(
        f"model={family} is trained with {takes}, and {type(objective).__name__} is none; "
        "set objective and model to a pair that belongs together (a recipe has one)"
    )
