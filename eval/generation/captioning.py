"""Captioning: what a model writes about each picture, against the captions people wrote."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from data_pipelines.schema import JsonValue
from eval.capabilities import WRITES_CAPTIONS, lack_of
from eval.contract import Captioner, Embedder, Need, PictureBatch, PictureModel
from eval.data.dataset import EvalDataset
from eval.data.rows import CAPTIONED, no_captions
from eval.data.subset import chosen_images
from eval.errors import EvaluationError
from eval.generation.spice import spice_missing, spice_values
from eval.generation.written import Written, write_all
from eval.metrics.caption_words import caption_words
from eval.metrics.captions import CIDER_RANGE, CaptionScores, caption_scores, shuffled_cider
from eval.metrics.clustered import clustered_mean
from eval.metrics.intervals import CLUSTERED
from eval.process_group import gather_rows, ranks
from eval.results import EvalResult, Origin, PerUnit, Score, Settings
from eval.task_choices import TaskChoices, task_options
from eval.tasks import NOT_OF_CLASSES, TaskFacts, registry

_DIGITS = 6


@task_options.register("captioning")
@dataclass(frozen=True, kw_only=True, slots=True)
class CaptioningOptions:
    """Choices of the captioning task.

    Attributes:
        max_tokens: longest caption, in the model's own tokens.
        num_beams: of beam search; 1 is greedy.
        prompt: text before every caption; empty gives none.
        max_images: use a seeded choice of so many images; 0 uses all.
    """

    max_tokens: int = 30
    num_beams: int = 5
    prompt: str = ""
    max_images: int = 0


@registry.register("captioning")
@dataclass(frozen=True, kw_only=True, slots=True)
class Captioning:
    """Captions against references: BLEU-1 to 4, CIDEr-D, ROUGE-L, SPICE where Java has it.

    ``cider_shuffled`` is the CIDEr-D of the same captions when each is given to another image: what
    a model reaches that knows how captions sound and does not look.

    Args:
        dataset: the chosen images, with captions.
        options: how captions are written.
        num_examples: captions kept in the result.
        seed: of the bootstrap and of the choice of images.
        with_spice: whether SPICE is measured too.
    """

    facts: ClassVar[TaskFacts] = TaskFacts(
        rows=CAPTIONED,
        demands=(WRITES_CAPTIONS,),
        options=CaptioningOptions,
        only_for=NOT_OF_CLASSES,
        score_words={"bleu": "BLEU", "cider": "CIDEr-D", "rouge": "ROUGE", "spice": "SPICE"},
    )

    dataset: EvalDataset
    options: CaptioningOptions
    num_examples: int = 0
    seed: int = 0
    with_spice: bool = False

    @staticmethod
    def missing(dataset: EvalDataset, choices: TaskChoices) -> str | None:
        """See ``TaskKind``."""
        if (lack := no_captions(dataset)) is not None:
            return lack
        options = choices.of(CaptioningOptions)
        if options.max_tokens < 1 or options.num_beams < 1 or options.max_images < 0:
            return (
                "captioning.max_tokens and captioning.num_beams must be at least 1, "
                "captioning.max_images at least 0"
            )
        return None

    @classmethod
    def build(cls, dataset: EvalDataset, choices: TaskChoices) -> "Captioning":
        """See ``TaskKind``.

        Raises:
            EvaluationError: what ``missing`` says.
        """
        if (lack := cls.missing(dataset, choices)) is not None:
            raise EvaluationError(lack)
        most = choices.of(CaptioningOptions).max_images
        return cls(
            dataset=chosen_images(dataset, most, seed=choices.seed),
            options=choices.of(CaptioningOptions),
            num_examples=choices.num_examples,
            seed=choices.seed,
            with_spice=spice_missing() is None,
        )

    @property
    def name(self) -> str:
        """Of the task."""
        return "captioning"

    def settings(self) -> Settings:
        """What the result depends on besides model and data."""
        kept: Settings = {"num_examples": self.num_examples, "with_spice": self.with_spice}
        return self._writing() | kept | {"seed": self.seed}

    def needs(self) -> tuple[Need, ...]:
        """Nothing to be embedded beforehand."""
        return ()

    def run(self, model: PictureModel, embedder: Embedder) -> EvalResult:
        """Write a caption for every image and score them; processes share the images.

        Raises:
            EvaluationError: the model writes no captions, or SPICE fails.
        """
        if not isinstance(model, Captioner):
            raise EvaluationError(f"{lack_of(model, self.facts.demands)}; leave captioning out")
        assert self.dataset.captions is not None
        prompt = self.options.prompt

        def write(batch: PictureBatch) -> list[str]:
            return model.caption(
                batch.images,
                prompts=[prompt] * len(batch.rows) if prompt else None,
                max_tokens=self.options.max_tokens,
                num_beams=self.options.num_beams,
            )

        written = write_all(
            model, embedder, self.dataset, write, key=self._writing(), what=self.name
        )
        references = [self.dataset.captions[row] for row in written.rows.tolist()]
        found = caption_scores(written.texts, references, seed=self.seed)
        scores = dict(found.scores)
        if self.with_spice:
            scores["spice"] = self._spice(written.texts, references, model)
        if len(references) > 1:
            scores["cider_shuffled"] = shuffled_cider(written.texts, references, seed=self.seed)
        return self._result(model, written, references, scores, found)

    def _writing(self) -> Settings:
        """What the captions depend on besides model and data."""
        return {
            "max_tokens": self.options.max_tokens,
            "num_beams": self.options.num_beams,
            "prompt": self.options.prompt,
        }

    def _spice(
        self, texts: list[str], references: list[tuple[str, ...]], model: PictureModel
    ) -> Score:
        """By process 0, as the others wait."""
        values, problem = np.full(len(texts), np.nan), "SPICE failed in process 0"
        if not ranks().rank:
            try:
                values = spice_values(
                    [" ".join(caption_words(text)) for text in texts],
                    [[" ".join(caption_words(text)) for text in own] for own in references],
                )
            except EvaluationError as error:
                problem = str(error)
        local, world_size = torch.from_numpy(values)[None], ranks().world_size
        shared = gather_rows(local, world_size, device=model.device)[0].numpy()
        if np.isnan(shared).all():
            raise EvaluationError(problem)
        return clustered_mean(np.nan_to_num(shared), np.arange(len(texts)), seed=self.seed)

    def _result(
        self,
        model: PictureModel,
        written: Written,
        references: list[tuple[str, ...]],
        scores: dict[str, Score],
        found: CaptionScores,
    ) -> EvalResult:
        left_out = self.dataset.left_out(written.num_skipped)
        rows = written.rows.tolist()
        examples: list[JsonValue] = [
            {"image": self.dataset.key(row), "caption": text, "references": list(own)}
            for row, text, own in list(zip(rows, written.texts, references, strict=True))[
                : self.num_examples
            ]
        ]
        remarks: Settings = {
            "num_references": sum(map(len, references)),
            "num_different_captions": len(set(written.texts)),
            "num_empty_captions": sum(not text for text in written.texts),
            "words": "lower case, contractions split, punctuation removed; without Java",
            "cider_document_frequencies": f"references of the {len(rows):,} images scored",
            "no_spice": None if self.with_spice else spice_missing(),
            "captions": examples,
            "per_image": {
                "rows": rows,
                "cider": found.cider.round(_DIGITS).tolist(),
                "rouge_l": found.rouge_l.round(_DIGITS).tolist(),
            },
        }
        return EvalResult(
            benchmark=self.name,
            family="generation",
            dataset=self.dataset.name,
            split=self.dataset.split,
            model=model.name,
            scores=scores,
            chance={},
            num_samples=len(rows),
            num_skipped=sum(left_out.values()),
            origin=Origin(
                seed=self.seed,
                data_revision=self.dataset.revision,
                interval=f"{CLUSTERED}; BLEU: error of a bootstrap over images",
            ),
            per_unit={
                "cider": PerUnit.pack(found.cider, written.rows, most=CIDER_RANGE[1]),
                "rouge_l": PerUnit.pack(found.rouge_l, written.rows),
            },
            details=self.settings() | remarks | self.dataset.remarks(left_out),
        )
