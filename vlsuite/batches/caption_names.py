"""What ``data.captions`` and ``data.caption_weights`` may say."""

import math
from collections.abc import Sequence

from vlsuite.errors import ConfigError

#: In data.captions: what a sample came with; a field of its json.
OWN, JSON = "own", "json:"


def check_captions(captions: Sequence[str], weights: Sequence[float]) -> None:
    """Refuse columns and weights that do not fit each other.

    Raises:
        ConfigError: a column is named twice, or the weights are no weights of these columns.
    """
    if len(set(captions)) < len(captions):
        raise ConfigError(f"data.captions={','.join(captions)} names a column twice")
    if any(not name or name == JSON for name in captions):
        raise ConfigError(
            "data.captions has a column without a name; write own, a folder, or json:NAME"
        )
    if not weights:
        return
    if len(weights) != len(captions):
        raise ConfigError(
            f"data.caption_weights has {len(weights)} values for {len(captions)} columns in "
            "data.captions; give one for each (own is one of them)"
        )
    is_usable = all(math.isfinite(weight) and weight >= 0 for weight in weights)
    if not is_usable or not sum(weights) > 0:
        raise ConfigError(f"data.caption_weights {tuple(weights)} must be 0 or more, and not all 0")
