"""One word for the settings of a study."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def digest_of(settings: Mapping[str, Any]) -> str:
    """Of settings by name, JSON values; 3.0 is 3, since a stored study may have either."""
    whole = {k: int(v) for k, v in settings.items() if isinstance(v, float) and v.is_integer()}
    text = json.dumps({**settings, **whole}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
