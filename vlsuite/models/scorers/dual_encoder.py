"""A dual encoder opened for scoring."""

from typing import Any

from vlsuite.errors import ConfigError
from vlsuite.models.embedding import PairEmbedder
from vlsuite.models.opening import open_model


def opened_dual_encoder(name: str, *, device: str) -> Any:
    """A model that embeds pictures and texts (``PairEmbedder``).

    Raises:
        ConfigError: it does not.
    """
    model = open_model(name, device=device)
    if not isinstance(model, PairEmbedder):
        raise ConfigError(f"--model {name} does not embed pictures and texts; name a dual encoder")
    return model
