"""Shards of squares with boxes; see ``tests.support.detectors``."""

import json
from pathlib import Path

from data_pipelines.schema import make_uid
from tests.support.detectors import VOCABULARY, square_members
from tests.support.shards import write_tar


def write_squares(folder: Path, count: int, *, per_shard: int = 8) -> Path:
    """Shards with a vocabulary beside them; returns ``folder``."""
    for first in range(0, count, per_shard):
        members: list[tuple[str, bytes]] = []
        for number in range(first, min(count, first + per_shard)):
            fields, data = square_members(number)
            uid = make_uid("squares", str(number), data)
            members.append((f"{uid}.png", data))
            members.append((f"{uid}.json", json.dumps(fields | {"uid": uid}).encode()))
        write_tar(folder / f"squares-{first // per_shard:05d}.tar", members)
    (folder / "categories.json").write_bytes(VOCABULARY.to_bytes())
    return folder
