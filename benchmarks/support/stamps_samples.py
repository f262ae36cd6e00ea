"""Stamps with spoken names and sounds, read from a shard and divided without a common copy."""

import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from data_pipelines.shards.index import ShardIndex

#: Languages that the training captions of pictures are taken from.
LANGUAGES = ("en", "fr", "de", "es", "it")


@dataclass(frozen=True, kw_only=True, slots=True)
class Stamp:
    """A picture with its name in some languages, read aloud in French, perhaps with its sound.

    Attributes:
        uid: of the shard.
        category: path of the collection, "animals/birds".
        picture: encoded.
        names: by language, with "en" and "fr" among them.
        speech, sound: encoded recordings; None where there is none.
    """

    uid: str
    category: str
    picture: bytes = field(repr=False)
    names: dict[str, str]
    speech: bytes | None = field(repr=False)
    sound: bytes | None = field(repr=False)

    @property
    def english(self) -> str:
        """The name that questions use."""
        return self.names["en"]

    @property
    def french(self) -> str:
        """What the recording says."""
        return self.names["fr"]


def read_stamps(shard: Path) -> list[Stamp]:
    """All samples of the shard that have a name in English and in French, in its order."""
    stamps = []
    for _, members in ShardIndex.open(shard):
        fields = json.loads(members["json"])
        names = {k: v.strip() for k, v in fields["captions"].items() if v.strip()}
        if {"en", "fr"} <= names.keys():
            stamps.append(
                Stamp(
                    uid=fields["uid"],
                    category=fields["category"],
                    picture=members["png"],
                    names=names,
                    speech=members.get("speech.ogg"),
                    sound=members.get("sound.ogg"),
                )
            )
    return stamps


def groups(stamps: Sequence[Stamp]) -> list[list[Stamp]]:
    """Stamps that share a name, a picture or a recording, directly or through others."""
    parent = list(range(len(stamps)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    first: dict[tuple[str, str | bytes], int] = {}
    for i, stamp in enumerate(stamps):
        marks: list[tuple[str, str | bytes | None]] = [
            ("en", _plain(stamp.english)),
            ("fr", _plain(stamp.french)),
            ("picture", stamp.picture),
            ("speech", stamp.speech),
            ("sound", stamp.sound),
        ]
        for kind, content in marks:
            if content is not None:
                parent[root(i)] = root(first.setdefault((kind, content), i))
    together: dict[int, list[Stamp]] = {}
    for i, stamp in enumerate(stamps):
        together.setdefault(root(i), []).append(stamp)
    return list(together.values())


def divide(
    stamps: Sequence[Stamp], *, test_share: float, seed: int
) -> tuple[list[Stamp], list[list[Stamp]]]:
    """Training stamps, and the groups of the test; no group is on both sides."""
    found = groups(stamps)
    random.Random(f"{seed}/division").shuffle(found)
    num_test = round(test_share * len(found))
    train = [stamp for group in found[num_test:] for stamp in group]
    return train, found[:num_test]


def distinct(values: Iterable[bytes | None]) -> list[bytes]:
    """Each content once, in order of appearance."""
    return list(dict.fromkeys(value for value in values if value is not None))


def _plain(text: str) -> str:
    return " ".join(text.casefold().split()).rstrip(".!?")
