"""Opens "transformers:FOLDER_OR_HUB_NAME": an omni model run here, with what a user may choose."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from data_pipelines.options import option
from vlsuite.models.opening import openers

if TYPE_CHECKING:
    import torch

    from eval.respondents.omni_transformers import OmniTransformers


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

    def open(self, rest: str, device: "torch.device") -> "OmniTransformers":
        """The loaded model.

        Raises:
            EvaluationError: see ``load_omni``.
        """
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
