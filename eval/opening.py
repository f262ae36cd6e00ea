"""The door to models for evaluation: by name, those that embed and those that only answer.

The grammar and the kinds of models that are trained here are ``vlsuite.models.opening``'s. To them
come, from ``eval.respondents``: "transformers:", "http:" and "https:" (chat endpoints), "dual:" (a
CLIP with a sound model, for questions), "clap:" (a sound model) and "baseline:".
"""

from typing import TYPE_CHECKING

from eval.errors import EvaluationError
from vlsuite.models.opening import (
    ARCHITECTURE,
    FOLDER,
    ModelName,
    forms,
    open_model,
    openers,
    parsed,
    settings_of,
)

if TYPE_CHECKING:
    import torch

    from eval.contract import EmbeddingModel

__all__ = [
    "ARCHITECTURE",
    "FOLDER",
    "ModelName",
    "forms",
    "open_embedding_model",
    "open_model",
    "openers",
    "parsed",
    "settings_of",
]

openers.also_in("eval.respondents")


def open_embedding_model(name: str, *, device: "str | torch.device" = "cpu") -> "EmbeddingModel":
    """The model of that name where nothing but embeddings will do.

    Raises:
        EvaluationError: it embeds nothing.
        UserError: see ``open_model``.
    """
    from eval.contract import EmbeddingModel

    model = open_model(name, device=device)
    if not isinstance(model, EmbeddingModel):
        raise EvaluationError(
            f"{name} does not embed pictures and texts; give a run folder or ARCHITECTURE:WEIGHTS"
        )
    return model
