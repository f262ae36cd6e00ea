"""Data sets that are stored in a form of their own, by name; benchmarks register theirs.

Everything that ``eval.data.folders`` knows (evaluation folders, shards, class folders) needs no
kind; neither does a set of samples whose annotations a task reads (``eval.tasks.TaskFacts``).
"""

from pathlib import Path
from typing import Protocol, runtime_checkable

from data_pipelines.errors import UnknownNameError
from data_pipelines.registry import Registry
from eval.data.dataset import EvalDataset


@runtime_checkable
class SetKind(Protocol):
    """One form of storage."""

    @staticmethod
    def recognises(path: str) -> bool:
        """Whether a path is such a data set beyond doubt; reads names of files at most."""
        ...

    @staticmethod
    def open(path: str) -> EvalDataset:
        """The data set behind a path, which need not be recognised: the user said its kind.

        Raises:
            EvaluationError: there is none.
        """
        ...


@runtime_checkable
class OfChosenSamples(Protocol):
    """A form of storage in shards, of which a subset may be opened; a ``SetKind`` besides."""

    @staticmethod
    def open_chosen(path: str, subset: Path) -> EvalDataset:
        """The samples of the data set that a file of ``vlsuite curate subset`` chooses.

        Raises:
            DataError: it was made for other shards.
            EvaluationError: nothing is chosen, or the path holds no shards.
        """
        ...


set_kinds: Registry[SetKind] = Registry("kind of data set", package="eval", variable="set_kinds")


def kind_of(path: str) -> SetKind | None:
    """The kind that recognises a path, None where none does; a broken kind recognises nothing."""
    for name in set_kinds.names():
        try:
            kind = set_kinds.get(name)
        except UnknownNameError:
            continue
        if kind.recognises(path):
            return kind
    return None
