"""Dual encoders in training: what the trainer, checkpoints and export ask of them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from vlsuite.batches.batch import Batch
from vlsuite.batches.data_config import DataConfig
from vlsuite.batches.pairs import PairBatch, PairReader, pair_reader
from vlsuite.export.form import Form
from vlsuite.export.run_history import RunHistory
from vlsuite.models.dual_encoder.built import BuiltModel
from vlsuite.models.dual_encoder.clip import Clip
from vlsuite.models.dual_encoder.export_forms import FORMS, export_form
from vlsuite.models.dual_encoder.kept_preparation import preparation_of, values_of_run
from vlsuite.models.dual_encoder.model_card import write_model_card
from vlsuite.models.dual_encoder.open_clip_folder import write_open_clip_folder
from vlsuite.models.dual_encoder.token_selection_config import NEW
from vlsuite.models.dual_encoder.towers import Embeddings
from vlsuite.models.family import TrainableModel, refuse_objective
from vlsuite.objectives.contrastive import ContrastiveObjective
from vlsuite.objectives.objective import Objective


class TrainableDualEncoder(BuiltModel, TrainableModel):
    """See ``TrainableModel``; every method does what is said there."""

    step: ClassVar[str] = "contrastive"
    #: What evaluations are given.
    evaluated_as: ClassVar[type[Clip]] = Clip

    @property
    def module(self) -> nn.Module:
        """Both towers."""
        return self.encoder

    def prepare(self, objective: Objective) -> None:
        """Tell the objective the parts of an embedding; hand over a stored scale and bias."""
        if not isinstance(objective, ContrastiveObjective):
            raise refuse_objective(
                objective, family="open_clip", takes="a contrastive objective (clip, siglip, rde)"
            )
        objective.use_layout(self.embed_parts)
        if self.logit_scale is not None and self.keep_logit_scale:
            objective.set_logit_scale(self.logit_scale, logit_bias=self.logit_bias)

    def reader(self, data: DataConfig) -> PairReader:
        """Pictures with one caption each."""
        return pair_reader(
            data,
            preprocess=self.preprocess,
            tokenizer=self.tokenizer,
            end_of_text=self.encoder.end_of_text,
        )

    def forward(
        self, engine: Any, batch: Batch, *, device: torch.device, dtype: torch.dtype
    ) -> Embeddings:
        """Both embeddings of each pair."""
        assert isinstance(batch, PairBatch)
        pixels = batch.pixels(self.preprocess, device=device, dtype=dtype)
        return engine(pixels, batch.token_ids.to(device, non_blocking=True))

    def evaluated(
        self,
        name: str,
        *,
        scalars: Mapping[str, float],
        device: torch.device,
        run: Any = None,
        dtype: torch.dtype = torch.float32,
    ) -> Clip:
        """A model that embeds pictures and texts."""
        return self.evaluated_as(
            name,
            self,
            self.tokenizer,
            encode=self.encoder if run is None else run,
            logit_scale=scalars["logit_scale"],
            logit_bias=scalars.get("logit_bias", 0.0),
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
        """A folder that plain open_clip loads, with a card."""
        write_open_clip_folder(
            folder,
            self,
            weights,
            logit_scale=scalars["logit_scale"],
            logit_bias=scalars.get("logit_bias") or None,
        )
        write_model_card(folder, self, name=name, library="open_clip", history=history)

    def forms(self) -> Mapping[str, Form]:
        """open_clip, and transformers where its classes can express the model."""
        return {name: export_form(library) for name, library in FORMS.items()}

    def stored_scalars(self) -> Mapping[str, float] | None:
        """Scale and bias that came with the weights."""
        if self.logit_scale is None:
            return None
        bias = {} if self.logit_bias is None else {"logit_bias": self.logit_bias}
        return {"logit_scale": self.logit_scale} | bias

    def resolved(self) -> Mapping[str, Any]:
        """How pictures are prepared."""
        return preparation_of(self.preprocess)

    def take_resolved(self, values: Mapping[str, Any] | None) -> str:
        """Prepare pictures as the run began; old runs from a file had open_clip's defaults."""
        old, remark = values_of_run(values, weights_file=self.weights_file)
        self.preprocess.update(old)
        return remark

    def is_new(self, name: str) -> bool:
        """The heads of a token-selection embedding are new."""
        return NEW in name

    def compile(self) -> None:
        """Each tower by itself; texts come in different lengths."""
        self.encoder.visual.compile()
        self.encoder.text.compile(dynamic=True)
