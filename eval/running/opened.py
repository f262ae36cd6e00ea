"""One path of an evaluation, opened once for all tasks that are measured on it."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from eval.data.dataset import EvalDataset
from eval.data.folders import locate
from eval.data.read_samples import Samples, read_samples, refuse_unusable
from eval.data.rows import PICTURES, ROWS_FOR, Annotation
from eval.data.sample_subset import with_subset
from eval.data.set_kinds import OfChosenSamples, SetKind, kind_of, set_kinds
from eval.errors import EvaluationError
from eval.task_choices import TaskChoices
from eval.tasks import TaskFacts, TaskKind


class OpenedData:
    """What lies behind a path; every task takes the samples that it needs.

    Args:
        path, split, class_names: see ``eval.data.folders.open_dataset``.
        annotations: what tasks of their own read from each sample, by task.
        subset: file that chooses the samples that count; None: all.
    """

    def __init__(
        self,
        path: str,
        *,
        split: str,
        class_names: str | None,
        annotations: Mapping[str, Annotation],
        subset: Path | None = None,
    ) -> None:
        self._path = path
        self._split = split
        self._class_names = class_names
        self._annotations = annotations
        self._subset = subset
        self._of_kinds: dict[str, EvalDataset] = {}

    @cached_property
    def _whole(self) -> Samples | EvalDataset:
        """Samples to choose from, or a data set of a kind of its own."""
        if (kind := kind_of(self._path)) is not None:
            return self._of_kind(kind)
        layout = locate(self._path, split=self._split, class_names=self._class_names)
        if self._subset is not None:
            layout = with_subset(layout, self._subset)
        return read_samples(layout, self._annotations)

    def _of_kind(self, kind: SetKind) -> EvalDataset:
        if self._subset is None:
            return kind.open(self._path)
        if not isinstance(kind, OfChosenSamples):
            raise EvaluationError(
                f"{self._path} is a data set of its own kind, and --subset chooses samples of "
                "shards; leave it out"
            )
        return kind.open_chosen(self._path, self._subset)

    @property
    def purpose(self) -> str:
        """What the data set is for; see ``Samples.purpose``."""
        whole = self._whole
        return whole.task if isinstance(whole, EvalDataset) else whole.purpose

    def usable(self) -> EvalDataset:
        """The samples that serve the purpose of the data set.

        Raises:
            ShardError: a shard is missing or no tar.
            EvaluationError: none does, or class names and labels do not fit.
        """
        whole = self._whole
        if isinstance(whole, EvalDataset):
            return whole
        needed = ROWS_FOR[whole.purpose]
        dataset = whole.taken(needed)
        refuse_unusable(dataset, needed, whole.purpose)
        return dataset

    def for_task(self, name: str, facts: TaskFacts, *, is_named: bool) -> EvalDataset:
        """The samples that a task takes, which may be none.

        Args:
            is_named: whether the user asked for this very task: then the path is opened as the
                kind of data set that it needs, recognised or not.
        """
        if facts.set_kind and is_named:
            if facts.set_kind not in self._of_kinds:
                self._of_kinds[facts.set_kind] = self._of_kind(set_kinds.get(facts.set_kind))
            return self._of_kinds[facts.set_kind]
        whole = self._whole
        if isinstance(whole, EvalDataset):
            return whole
        return whole.taken(
            PICTURES if facts.set_kind else facts.rows,
            annotation=name if name in self._annotations else "",
        )

    def lack(
        self, dataset: EvalDataset, name: str, kind: TaskKind, choices: TaskChoices
    ) -> str | None:
        """Why a task cannot be measured on the samples that it took, in one line; None: it can.

        Of a data set without usable samples the task says itself what is missing, if it can.
        """
        if len(dataset) == 0 and (lack := kind.missing(dataset, choices)) is not None:
            return lack
        if not kind.facts.set_kind and isinstance(self._whole, Samples):
            try:
                refuse_unusable(dataset, kind.facts.rows, name)
            except EvaluationError as error:
                return str(error)
        return kind.missing(dataset, choices)
