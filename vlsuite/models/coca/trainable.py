"""CoCa in training: what the trainer, checkpoints and export ask of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from vlsuite.batches.batch import Batch
from vlsuite.batches.pairs import PairBatch
from vlsuite.export.form import Form
from vlsuite.export.run_history import RunHistory
from vlsuite.models.coca.encoder import CocaEncoder
from vlsuite.models.coca.export_form import export_form, write_coca_folder
from vlsuite.models.coca.model import Coca
from vlsuite.models.dual_encoder.clip import Clip
from vlsuite.models.dual_encoder.trainable import TrainableDualEncoder
from vlsuite.models.family import refuse_objective
from vlsuite.objectives.coca import CocaObjective
from vlsuite.objectives.contrastive import ContrastiveObjective
from vlsuite.objectives.objective import Objective


class TrainableCoca(TrainableDualEncoder):
    """See ``TrainableModel``; every method does what is said there."""

    step: ClassVar[str] = "coca"
    evaluated_as: ClassVar[type[Clip]] = Coca

    @property
    def writer(self) -> CocaEncoder:
        """The encoder, which has a decoder."""
        assert isinstance(self.encoder, CocaEncoder)
        return self.encoder

    def prepare(self, objective: Objective) -> None:
        """Leave the decoder alone where the objective has no captions, and say so."""
        if isinstance(objective, CocaObjective):
            super().prepare(objective.contrast)
        elif isinstance(objective, ContrastiveObjective):
            super().prepare(objective)
        else:
            raise refuse_objective(
                objective, family="open_clip (CoCa)", takes="objective=coca or a contrastive one"
            )
        writes = isinstance(objective, CocaObjective) and objective.caption_weight > 0
        self.writer.use_decoder(writes)

    def remarks(self) -> tuple[str, ...]:
        """That the decoder is not trained, where it is not."""
        if self.writer.writes:
            return ()
        return (
            f"warning: the text decoder of {self.name} is not trained by this objective and stays "
            "as it is; --set objective=coca trains it to write captions as well",
        )

    def forward(
        self, engine: Any, batch: Batch, *, device: torch.device, dtype: torch.dtype
    ) -> Any:
        """Both embeddings of each pair and, where gradients are wanted, its caption's loss."""
        assert isinstance(batch, PairBatch)
        pixels = batch.pixels(self.preprocess, device=device, dtype=dtype)
        token_ids = batch.token_ids.to(device, non_blocking=True)
        if not (self.writer.writes and torch.is_grad_enabled()):
            return engine(pixels, token_ids)
        length = caption_length(batch.token_ids, pad_id=self.writer.pad_id)
        return engine(pixels, token_ids, caption_length=length)

    def write(
        self,
        folder: Path,
        weights: Mapping[str, Tensor],
        *,
        scalars: Mapping[str, float],
        name: str,
        history: RunHistory | None,
    ) -> None:
        """A folder that plain open_clip loads as a CoCa, with a card."""
        write_coca_folder(folder, self, weights, scalars=scalars, name=name, history=history)

    def forms(self) -> Mapping[str, Form]:
        """open_clip's; transformers has no class for it."""
        form = export_form()
        return {form.name: form}

    def compile(self) -> None:
        """Each part by itself; texts come in different lengths."""
        super().compile()
        self.writer.text_decoder.compile(dynamic=True)


def caption_length(token_ids: Tensor, *, pad_id: int) -> int:
    """Tokens of the longest caption, padding left out; 2 at least.

    Args:
        token_ids: [texts, length], on the CPU.
        pad_id: of padding, which a caption may hold in its middle ("!" in open_clip's).
    """
    used = (token_ids != pad_id).any(dim=0).nonzero()
    return max(2, int(used[-1]) + 1) if len(used) else 2
