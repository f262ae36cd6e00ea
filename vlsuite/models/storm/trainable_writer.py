"""STORM with a language model in training: what the trainer, checkpoints and export ask of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from vlsuite.batches.asked_clips import AskedClipBatch, AskedClipReader
from vlsuite.batches.batch import Batch
from vlsuite.batches.curriculum import FrameCurriculum
from vlsuite.batches.data_config import DataConfig
from vlsuite.batches.tokenizer import CachedTokenizer
from vlsuite.batches.transforms import train_transform
from vlsuite.export.form import Form
from vlsuite.export.run_history import RunHistory
from vlsuite.models.dual_encoder.built import BuiltModel
from vlsuite.models.dual_encoder.kept_preparation import preparation_of, values_of_run
from vlsuite.models.family import TrainableModel, refuse_objective
from vlsuite.models.language.causal_lm import LanguageModel, QuestionIds
from vlsuite.models.storm.answering import StormAnswerer
from vlsuite.models.storm.writer import StormWriter
from vlsuite.models.storm.writer_folder import (
    LANGUAGE_MODEL,
    LANGUAGE_PREFIX,
    write_writer_folder,
)
from vlsuite.models.storm.writing import WritingConfig
from vlsuite.models.video_text.export_form import export_form
from vlsuite.objectives.answers import AnswersObjective
from vlsuite.objectives.objective import Objective


@dataclass(frozen=True, kw_only=True)
class TrainableStormWriter(TrainableModel):
    """See ``TrainableModel``; every method does what is said there.

    Attributes:
        encoder: the model.
        base: the dual encoder that its image tower was taken from; its text tower is not trained.
        writing: what is written.
        curriculum: frames of a clip in training.
        described: the family's settings, for the folder.
        image_names: name in the dual encoder, by name in the encoder.
    """

    step: ClassVar[str] = "plain"

    encoder: StormWriter
    base: BuiltModel
    writing: WritingConfig
    curriculum: FrameCurriculum
    described: Mapping[str, Any]
    image_names: Mapping[str, str]

    @property
    def module(self) -> nn.Module:
        """Image tower, temporal layers and language model."""
        return self.encoder

    def prepare(self, objective: Objective) -> None:
        """Any other objective is refused."""
        if not isinstance(objective, AnswersObjective):
            raise refuse_objective(
                objective, family="storm with model.language_model", takes="objective=answers"
            )

    def reader(self, data: DataConfig) -> AskedClipReader:
        """Clips with a question and its answer, or with a caption; pictures are one frame."""
        texts = self.encoder.texts
        return AskedClipReader(
            questions=QuestionIds(texts, length=self.writing.question_length),
            question_share=self.writing.question_share,
            transform=train_transform(data.augment, self.base.preprocess),
            tokenizer=CachedTokenizer(texts),
            data=data,
            curriculum=self.curriculum,
            end_of_text=None,
        )

    def forward(
        self, engine: Any, batch: Batch, *, device: torch.device, dtype: torch.dtype
    ) -> Tensor:
        """Nats a token of each answer."""
        assert isinstance(batch, AskedClipBatch)
        return engine(
            batch.pixels(self.base.preprocess, device=device, dtype=dtype),
            batch.question_ids.to(device, non_blocking=True),
            batch.token_ids.to(device, non_blocking=True),
            num_frames=batch.num_frames,
        )

    def evaluated(
        self,
        name: str,
        *,
        scalars: Mapping[str, float],
        device: torch.device,
        run: Any = None,
        dtype: torch.dtype = torch.float32,
    ) -> StormAnswerer:
        """A model that answers and describes; it computes without the engine."""
        return StormAnswerer(
            name,
            self.encoder,
            preprocess=self.base.preprocess,
            clip_frames=self.curriculum.last,
            device=device,
            dtype=dtype,
        )

    def write(
        self,
        folder: Path,
        weights: Mapping[str, Tensor],
        *,
        scalars: Mapping[str, float],
        name: str,
        history: RunHistory | None,
    ) -> None:
        """A folder of its own, with copies of all parts."""
        write_writer_folder(
            folder,
            weights,
            base=self.base,
            language=LanguageModel(self.encoder.language_model, self.encoder.texts),
            described=self.described,
            image_names=self.image_names,
            name=name,
        )

    def forms(self) -> Mapping[str, Form]:
        """Its own; no other library has a class for it."""
        parts = "image tower and language model"
        form = export_form("storm", more=(LANGUAGE_MODEL,), parts=parts)
        return {form.name: form}

    def stored_scalars(self) -> Mapping[str, float]:
        """None are needed."""
        return {}

    def resolved(self) -> Mapping[str, Any]:
        """How pictures are prepared for the image tower."""
        return preparation_of(self.base.preprocess)

    def take_resolved(self, values: Mapping[str, Any] | None) -> str:
        """Prepare pictures as the run began."""
        old, remark = values_of_run(values, weights_file=self.base.weights_file)
        self.base.preprocess.update(old)
        return remark

    def is_new(self, name: str) -> bool:
        """What neither the image tower nor the language model came with."""
        return name not in self.image_names and not name.startswith(LANGUAGE_PREFIX)

    def compile(self) -> None:
        """Nothing: clips and questions come in different lengths."""
