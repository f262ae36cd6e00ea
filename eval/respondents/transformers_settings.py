"""Opens "transformers:FOLDER_OR_HUB_NAME": a CLIP, a SigLIP, or an omni model with settings."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from data_pipelines.options import option
from eval.errors import EvaluationError
from vlsuite.models.opening import openers

if TYPE_CHECKING:
    import torch


@openers.register("transformers")
@dataclass(frozen=True, kw_only=True, slots=True)
class TransformersSettings:
    """Choices about a model run here; what is None stands as ``OmniConfig`` has it.

    Attributes:
        style: vlsuite (default), upstream, lmms or evalscope: order, options, wording.
        system: system prompt (default: none).
        max_tokens: of an answer to a question with options (default: 128).
        max_side: scale larger pictures down (default: as stored; 448 where a task hands over
            pixels).
        batch_size: questions at a time (default 1).
    """

    style: str | None = None
    system: str | None = option(default=None, metavar="TEXT")
    max_tokens: int | None = option(default=None, metavar="N")
    max_side: int | None = option(default=None, metavar="PX")
    batch_size: int | None = option(default=None, metavar="N")

    def open(self, rest: str, device: "torch.device") -> Any:
        """The loaded model: one that embeds, or an omni model that is asked.

        Raises:
            EvaluationError: see ``load_omni``; or settings of asking for a model that embeds.
            ModelError: see ``vlsuite.models.huggingface_clip.folder.load``.
        """
        from vlsuite.models.huggingface_clip import folder

        if folder.is_dual_encoder(rest):
            if self != TransformersSettings():
                raise EvaluationError(
                    f"transformers:{rest} embeds and is not asked, so it has no settings; leave "
                    "model.* out"
                )
            return folder.load(rest, device=device)
        from eval.respondents.omni_transformers import OmniConfig, load_omni

        told = {
            "style": self.style,
            "system": self.system,
            "max_tokens": self.max_tokens,
            "max_side": self.max_side,
            "batch_size": self.batch_size,
        }
        chosen = {name: value for name, value in told.items() if value is not None}
        return load_omni(OmniConfig(model=rest, device=str(device), **chosen))
