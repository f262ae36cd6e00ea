"""Squares as a file of one's own marks them: with other names than the base set."""

import json
from pathlib import Path

from data_pipelines.detection.vocabulary import Category, Vocabulary
from data_pipelines.schema import make_uid
from tests.support.detectors import square_members
from tests.support.shards import write_tar

#: "yellow" is novel in the base set.
OWN_NAMES = ("zebra", "yellow")
OWN_VOCABULARY = Vocabulary(tuple(Category(n, row + 1) for row, n in enumerate(OWN_NAMES)))


def write_own_squares(folder: Path, count: int, *, first: int = 100) -> Path:
    """Shards in which yellow squares alone are marked; returns ``folder``."""
    members: list[tuple[str, bytes]] = []
    for number in range(first, first + count):
        fields, data = square_members(number)
        listed = fields["boxes"]
        assert isinstance(listed, list)
        own = [box for box in listed if isinstance(box, dict) and box["label"] == "yellow"]
        uid = make_uid("own", str(number), data)
        members.append((f"{uid}.png", data))
        members.append((f"{uid}.json", json.dumps({**fields, "boxes": own, "uid": uid}).encode()))
    write_tar(folder / "own-00000.tar", members)
    (folder / "categories.json").write_bytes(OWN_VOCABULARY.to_bytes())
    return folder
