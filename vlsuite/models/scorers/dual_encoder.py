"""A dual encoder opened for scoring."""

from typing import Any

from vlsuite.errors import ConfigError
from vlsuite.models.opening import open_model
from vlsuite.models.score_shards import Scorer


def opened_dual_encoder(name: str, *, device: str) -> Any:
    """A model that embeds pictures and texts (``Scorer``).

    Raises:
        ConfigError: it does not.
    """
    model = open_model(name, device=device)
    if not isinstance(model, Scorer):
        raise ConfigError(f"--model {name} does not embed pictures and texts; name a dual encoder")
    return model
