"""NEVLP in training: what the trainer, checkpoints and export ask of it."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from vlsuite.batches.batch import Batch
from vlsuite.batches.data_config import DataConfig
from vlsuite.batches.pairs import PairBatch, PairReader, pair_reader
from vlsuite.export.form import Form
from vlsuite.export.run_history import RunHistory
from vlsuite.models.dual_encoder.kept_preparation import preparation_of, values_of_run
from vlsuite.models.family import TrainableModel, refuse_objective
from vlsuite.models.nevlp.built import BuiltNevlp
from vlsuite.models.nevlp.encoder import NevlpOutput
from vlsuite.models.nevlp.export_form import export_form
from vlsuite.models.nevlp.folder import write_nevlp_folder
from vlsuite.models.nevlp.image_tokens import ImageTokens, TokenBatch, TokenReader, token_source
from vlsuite.models.nevlp.model import Nevlp
from vlsuite.objectives.joint import JointObjective
from vlsuite.objectives.objective import Objective


class TrainableNevlp(BuiltNevlp, TrainableModel):
    """See ``TrainableModel``; every method does what is said there."""

    step: ClassVar[str] = "joint"

    @property
    def module(self) -> nn.Module:
        """The frozen parts and the trained one."""
        return self.encoder

    def prepare(self, objective: Objective) -> None:
        """Generation that does not count is not computed."""
        if not isinstance(objective, JointObjective):
            raise refuse_objective(objective, family="nevlp", takes="objective=nevlp")
        self.encoder.computes_captions = getattr(objective, "writes", True)

    def reader(self, data: DataConfig) -> PairReader:
        """Pictures (or their stored tokens) with one caption each, and their concepts."""
        return pair_reader(
            data,
            preprocess=self.preprocess,
            tokenizer=self.tokenizer,
            # captions keep their length on the way to all ranks; they are cut where it is safe
            end_of_text=None,
            make=self._token_reader(data.image_tokens) if data.image_tokens else None,
        )

    def _token_reader(self, folder: str) -> Callable[..., PairReader]:
        stored = ImageTokens.open(Path(folder))
        stored.check_fits(
            token_source(self.image_tower, image_layer=self.config.image_layer), folder
        )
        return partial(TokenReader, stored)

    def forward(
        self, engine: Any, batch: Batch, *, device: torch.device, dtype: torch.dtype
    ) -> NevlpOutput:
        """All that the three losses need."""
        assert isinstance(batch, PairBatch)
        if isinstance(batch, TokenBatch):
            tokens = batch.image_tokens.to(device, dtype, non_blocking=True)
            return engine(None, image_tokens=tokens, **self.encoder.inputs_of(batch, device))
        pixels = batch.pixels(self.preprocess, device=device, dtype=dtype)
        return engine(pixels, **self.encoder.inputs_of(batch, device))

    def evaluated(
        self,
        name: str,
        *,
        scalars: Mapping[str, float],
        device: torch.device,
        run: Any = None,
        dtype: torch.dtype = torch.float32,
    ) -> Nevlp:
        """A model that embeds, matches, writes and answers; it computes without the engine."""
        return Nevlp(name, self, logit_scale=scalars["logit_scale"], device=device, dtype=dtype)

    def write(
        self,
        folder: Path,
        weights: Mapping[str, Tensor],
        *,
        scalars: Mapping[str, float],
        name: str,
        history: RunHistory | None,
    ) -> None:
        """A folder with copies of all parts."""
        write_nevlp_folder(folder, self, weights, logit_scale=scalars["logit_scale"])

    def forms(self) -> Mapping[str, Form]:
        """Its own; transformers has no class for it."""
        form = export_form()
        return {form.name: form}

    def resolved(self) -> Mapping[str, Any]:
        """How pictures are prepared for the image tower."""
        return preparation_of(self.preprocess)

    def take_resolved(self, values: Mapping[str, Any] | None) -> str:
        """Prepare pictures as the run began, here and in the tower, which shares the settings."""
        old, remark = values_of_run(values, weights_file=self.image_tower.weights_file)
        self.preprocess.update(old)
        return remark

    def stored_scalars(self) -> Mapping[str, float] | None:
        """The scale that came with the folder."""
        return None if self.logit_scale is None else {"logit_scale": self.logit_scale}
