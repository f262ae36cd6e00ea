"""A stranger's task: how many things does a picture show? Loaded by ``--import``.

It takes the samples whose json lists boxes, reads their number as an annotation of its own, and
lets the model choose among prompts with numbers.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from data_pipelines.shards.stored_sample import StoredSample
from eval.contract import Embedder, EmbeddingModel, Need
from eval.data.dataset import EvalDataset
from eval.data.rows import PICTURES, Annotation
from eval.metrics.intervals import WILSON, wilson_score
from eval.results import EvalResult, Origin, Settings
from eval.task_choices import TaskChoices, task_options
from eval.tasks import TaskFacts, registry


def number_of_boxes(sample: StoredSample) -> int | None:
    """How many boxes the json lists; None where it lists none."""
    return len(sample.boxes) or None


@task_options.register("counting")
@dataclass(frozen=True, kw_only=True, slots=True)
class CountingOptions:
    """Choices of counting.

    Attributes:
        prompt: with ``{n}`` where the number goes.
        largest: highest number that is told apart.
    """

    prompt: str = "a picture of {n} things"
    largest: int = 5


@registry.register("counting")
@dataclass(frozen=True, kw_only=True, slots=True)
class Counting:
    """Share of pictures whose number of things is told.

    Args:
        dataset: with the number of boxes as annotation.
        options: prompts.
    """

    facts: ClassVar[TaskFacts] = TaskFacts(
        rows=PICTURES,
        options=CountingOptions,
        annotation=Annotation(number_of_boxes, missing="no boxes"),
        title="Counting",
        score_titles={"counted": "numbers told"},
    )

    dataset: EvalDataset
    options: CountingOptions

    @staticmethod
    def missing(dataset: EvalDataset, choices: TaskChoices) -> str | None:
        """See ``TaskKind``."""
        if not dataset.annotations:
            return f"{dataset.title} has no pictures with boxes; list them in each json"
        if "{n}" not in choices.of(CountingOptions).prompt:
            return "counting.prompt needs {n} where the number goes"
        return None

    @classmethod
    def build(cls, dataset: EvalDataset, choices: TaskChoices) -> "Counting":
        """See ``TaskKind``."""
        return cls(dataset=dataset, options=choices.of(CountingOptions))

    @property
    def name(self) -> str:
        """Of the task."""
        return "counting"

    def settings(self) -> Settings:
        """What the result depends on besides model and data."""
        return {"prompt": self.options.prompt, "largest": self.options.largest}

    def needs(self) -> tuple[Need, ...]:
        """See ``Benchmark``."""
        return (Need(self.dataset),)

    def run(self, model: EmbeddingModel, embedder: Embedder) -> EvalResult:
        """The nearest prompt of each picture."""
        assert self.dataset.annotations is not None
        images = embedder.images(model, self.dataset)
        numbers = range(1, self.options.largest + 1)
        texts = embedder.texts(model, [self.options.prompt.format(n=n) for n in numbers])
        told = 1 + (images.embeds @ texts.T).argmax(dim=1).numpy()
        hits = told == np.array([self.dataset.annotations[row] for row in images.rows.tolist()])
        left_out = self.dataset.left_out(images.num_skipped)
        return EvalResult(
            benchmark=self.name,
            family="outside",
            dataset=self.dataset.name,
            split=self.dataset.split,
            model=model.name,
            scores={"counted": wilson_score(hits)},
            chance={"counted": 1 / len(numbers)},
            num_samples=len(hits),
            num_skipped=sum(left_out.values()),
            origin=Origin(seed=0, data_revision=self.dataset.revision, interval=WILSON),
            details=self.settings() | self.dataset.remarks(left_out),
        )
