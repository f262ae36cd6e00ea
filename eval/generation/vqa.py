"""Visual question answering: short answers against those of people."""

from collections import Counter
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from data_pipelines.schema import JsonValue
from eval.capabilities import ANSWERS, lack_of
from eval.contract import Answerer, Embedder, Need, PictureBatch, PictureModel
from eval.data.dataset import EvalDataset
from eval.data.rows import ASKED
from eval.data.subset import chosen_images
from eval.errors import EvaluationError
from eval.generation.written import write_all
from eval.metrics.clustered import clustered_mean
from eval.metrics.intervals import CLUSTERED
from eval.metrics.vqa_accuracy import normalized_answer, vqa_accuracy
from eval.results import EvalResult, Origin, PerUnit, Settings
from eval.task_choices import TaskChoices, task_options
from eval.tasks import TaskFacts, registry


@task_options.register("vqa")
@dataclass(frozen=True, kw_only=True, slots=True)
class VqaOptions:
    """Choices of visual question answering.

    Attributes:
        max_tokens: longest answer, in the model's own tokens.
        max_images: use a seeded choice of so many samples; 0 uses all.
    """

    max_tokens: int = 10
    max_images: int = 0


@registry.register("vqa")
@dataclass(frozen=True, kw_only=True, slots=True)
class VisualQuestions:
    """Answers to questions about pictures: agreement with people, exact match where one answered.

    Each sample is an image with one question; samples that share an image are drawn together in
    the bootstrap.

    Args:
        dataset: the chosen samples, with questions and answers.
        options: how answers are written.
        num_examples: answers kept in the result.
        seed: of the bootstrap and of the choice of samples.
    """

    facts: ClassVar[TaskFacts] = TaskFacts(
        rows=ASKED,
        demands=(ANSWERS,),
        options=VqaOptions,
        score_words={"vqa": "VQA"},
    )

    dataset: EvalDataset
    options: VqaOptions
    num_examples: int = 0
    seed: int = 0

    @staticmethod
    def missing(dataset: EvalDataset, choices: TaskChoices) -> str | None:
        """See ``TaskKind``."""
        if dataset.questions is None:
            return (
                f"{dataset.title} has images without a question; each needs a "
                f"{dataset.layout.each('json')} with 'question' and 'answers'"
            )
        if choices.of(VqaOptions).max_tokens < 1 or choices.of(VqaOptions).max_images < 0:
            return "vqa.max_tokens must be at least 1 and vqa.max_images at least 0"
        return None

    @classmethod
    def build(cls, dataset: EvalDataset, choices: TaskChoices) -> "VisualQuestions":
        """See ``TaskKind``.

        Raises:
            EvaluationError: what ``missing`` says.
        """
        if (lack := cls.missing(dataset, choices)) is not None:
            raise EvaluationError(lack)
        most = choices.of(VqaOptions).max_images
        return cls(
            dataset=chosen_images(dataset, most, seed=choices.seed),
            options=choices.of(VqaOptions),
            num_examples=choices.num_examples,
            seed=choices.seed,
        )

    @property
    def name(self) -> str:
        """Of the task."""
        return "vqa"

    def settings(self) -> Settings:
        """What the result depends on besides model and data."""
        return {
            "max_tokens": self.options.max_tokens,
            "num_examples": self.num_examples,
            "seed": self.seed,
        }

    def needs(self) -> tuple[Need, ...]:
        """Nothing to be embedded beforehand."""
        return ()

    def run(self, model: PictureModel, embedder: Embedder) -> EvalResult:
        """Answer every question and compare; processes share the samples.

        Raises:
            EvaluationError: the model answers no questions.
        """
        if not isinstance(model, Answerer):
            raise EvaluationError(f"{lack_of(model, self.facts.demands)}; leave vqa out")
        assert self.dataset.questions is not None
        questions = self.dataset.questions

        def write(batch: PictureBatch) -> list[str]:
            texts = [questions[row].text for row in batch.rows.tolist()]
            return model.answer(batch.images, texts, max_tokens=self.options.max_tokens)

        key = {"max_tokens": self.options.max_tokens}
        written = write_all(model, embedder, self.dataset, write, key=key, what=self.name)
        asked = [questions[row] for row in written.rows.tolist()]
        pairs = list(zip(written.texts, asked, strict=True))
        values = np.array([vqa_accuracy(text, question.answers) for text, question in pairs])
        images = self.dataset.images.same_as[written.rows]
        left_out = self.dataset.left_out(written.num_skipped)
        examples: list[JsonValue] = [
            {"question": question.text, "answer": text, "answers": list(question.answers)}
            for text, question in pairs[: self.num_examples]
        ]
        usual, usual_accuracy = _usual_answer([question.answers for question in asked])
        remarks: Settings = {
            "num_images": len(np.unique(images)),
            "usual_answer": usual,
            "answers": examples,
        }
        return EvalResult(
            benchmark=self.name,
            family="generation",
            dataset=self.dataset.name,
            split=self.dataset.split,
            model=model.name,
            scores={"vqa_accuracy": clustered_mean(values, images, seed=self.seed)},
            chance={"vqa_accuracy": usual_accuracy},
            num_samples=len(asked),
            num_skipped=sum(left_out.values()),
            origin=Origin(
                seed=self.seed,
                data_revision=self.dataset.revision,
                interval=CLUSTERED,
            ),
            per_unit={"vqa_accuracy": PerUnit.pack(values, images)},
            details=self.settings() | remarks | self.dataset.remarks(left_out),
        )


def _usual_answer(answers: list[tuple[str, ...]]) -> tuple[str, float]:
    """The commonest answer of this data, and the accuracy of giving it to every question."""
    counts = Counter(normalized_answer(answer) for own in answers for answer in own)
    usual = min(counts, key=lambda answer: (-counts[answer], answer))
    return usual, float(np.mean([vqa_accuracy(usual, own) for own in answers]))
