"""Models of videos and texts in training: what the trainer, checkpoints and export ask of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from vlsuite.batches.batch import Batch
from vlsuite.batches.clips import ClipBatch, ClipReader
from vlsuite.batches.curriculum import FrameCurriculum
from vlsuite.batches.data_config import DataConfig
from vlsuite.batches.transforms import train_transform
from vlsuite.export.form import Form
from vlsuite.export.run_history import RunHistory
from vlsuite.models.dual_encoder.clip import Clip
from vlsuite.models.dual_encoder.towers import Embeddings
from vlsuite.models.dual_encoder.trainable import TrainableDualEncoder
from vlsuite.models.video_text.card import video_card
from vlsuite.models.video_text.export_form import export_form
from vlsuite.models.video_text.folder import write_video_folder
from vlsuite.models.video_text.model import VideoText


@dataclass(frozen=True, kw_only=True)
class TrainableVideoText(TrainableDualEncoder):
    """See ``TrainableModel``; every method does what is said there.

    Attributes:
        curriculum: frames of a clip in training.
        family: by its registered name.
        described: the family's settings, for the folder.
        how: clips become an embedding, in half a sentence, for the card.
        image_names: name in the dual encoder that it started from, by name in the encoder.
    """

    evaluated_as: ClassVar[type[Clip]] = VideoText

    curriculum: FrameCurriculum
    family: str
    described: Mapping[str, Any]
    how: str
    image_names: Mapping[str, str]

    @property
    def clip_frames(self) -> int:
        """Frames that a clip is shown with in evaluations, unless they say otherwise."""
        return self.curriculum.last

    def reader(self, data: DataConfig) -> ClipReader:  # type: ignore[override]
        """Clips with one caption each; pictures are clips of one frame."""
        return ClipReader(
            transform=train_transform(data.augment, self.preprocess),
            tokenizer=self.tokenizer,
            data=data,
            curriculum=self.curriculum,
            end_of_text=self.encoder.end_of_text,
        )

    def forward(
        self, engine: Any, batch: Batch, *, device: torch.device, dtype: torch.dtype
    ) -> Embeddings:
        """Both embeddings of each pair."""
        assert isinstance(batch, ClipBatch)
        pixels = batch.pixels(self.preprocess, device=device, dtype=dtype)
        token_ids = batch.token_ids.to(device, non_blocking=True)
        return engine(pixels, token_ids, num_frames=batch.num_frames)

    def write(
        self,
        folder: Path,
        weights: Mapping[str, Tensor],
        *,
        scalars: Mapping[str, float],
        name: str,
        history: RunHistory | None,
    ) -> None:
        """A folder of its own."""
        write_video_folder(
            folder,
            self,
            weights,
            family=self.family,
            described=self.described,
            image_names=self.image_names,
            scalars=scalars,
            card=video_card(self, self.described, name=name, family=self.family, how=self.how),
        )

    def forms(self) -> Mapping[str, Form]:
        """Its own; no other library has a class for it."""
        form = export_form(self.family)
        return {form.name: form}

    def is_new(self, name: str) -> bool:
        """What image towers have none of: all that mixes frames."""
        return name not in self.image_names

    def compile(self) -> None:
        """The text tower alone; clips come in different lengths."""
        self.encoder.text.compile(dynamic=True)
