"""What the probes share: the pictures that they learn from, and the progress of their fits."""

from dataclasses import dataclass
from typing import TypeVar

from eval.contract import Need
from eval.data.dataset import EvalDataset
from eval.probes.training_pictures import ProbeOptions, missing_pictures, open_pictures
from eval.process_group import ranks
from eval.progress import Progress
from eval.results import Settings
from eval.task_choices import TaskChoices

#: Largest coordinate of the gradient of fits that are compared.
SWEEP_TOLERANCE = 1e-5


OwnProbe = TypeVar("OwnProbe", bound="Probe")


@dataclass(frozen=True, kw_only=True, slots=True)
class Probe:
    """A classifier that is fitted on training pictures' embeddings.

    Args:
        dataset: with labels and class names; measured, never learned from.
        train: pictures to learn from.
        validation: pictures that choose the penalty; None takes some of ``train``.
        options: of the probe.
        seed: of what is drawn.
    """

    dataset: EvalDataset
    train: EvalDataset
    validation: EvalDataset | None
    options: ProbeOptions
    seed: int = 0

    @staticmethod
    def missing(dataset: EvalDataset, choices: TaskChoices) -> str | None:
        """See ``TaskKind``."""
        return missing_pictures(dataset, choices)

    @classmethod
    def build(cls: type[OwnProbe], dataset: EvalDataset, choices: TaskChoices) -> OwnProbe:
        """See ``TaskKind``."""
        options = choices.of(ProbeOptions)
        learned = open_pictures(dataset, options)
        return cls(
            dataset=dataset,
            train=learned.train,
            validation=learned.validation,
            options=options,
            seed=choices.seed,
        )

    def needs(self) -> tuple[Need, ...]:
        """See ``Benchmark``."""
        beside = (Need(self.validation),) if self.validation else ()
        return (Need(self.dataset), Need(self.train), *beside)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Line i names label i."""
        assert self.dataset.layout.classes is not None
        return self.dataset.layout.classes.names

    def learned_from(self) -> Settings:
        """What the probe learns from, for its settings."""
        validation = self.validation
        return {
            "train": self.train.title,
            "train_revision": self.train.revision,
            "validation": validation.title if validation else "part of the training pictures",
            "validation_revision": validation.revision if validation else None,
        }


class FitsProgress:
    """Fits that are done, told by process 0."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress

    def add_one(self) -> None:
        """One more."""
        if self._progress:
            self._progress.add(1)

    def close(self) -> None:
        """All are done."""
        if self._progress:
            self._progress.close()


def fits_progress(what: str, total: int) -> FitsProgress:
    """A progress line of process 0."""
    return FitsProgress(None if ranks().rank else Progress(what, total=total, unit="fits"))
