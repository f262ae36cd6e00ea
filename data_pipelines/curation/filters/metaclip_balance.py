"""MetaCLIP's balancing: fewer pairs of what the web has too many of, all of what is rare.

Xu et al. 2023, arXiv 2309.16671, Algorithm 1: c_e texts contain entry e of a list; p_e =
t / max(c_e, t); a pair is kept if one of its entries e draws a number below p_e, that is with
probability 1 - prod_e (1 - p_e). Texts without an entry are dropped. A text contains an entry if
" entry " stands in it after marks of punctuation got blanks around them and tabs and line breaks
became blanks (``substr_matching.py`` of the authors).

The draw is a keyed hash of seed, uid and entry: it does not depend on shards, order or processes.
Run this stage last: counts are of what reaches it. Text matching is exact and in Python, some ten
thousand captions a second; the captions are read twice.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from data_pipelines.curation.filter import Rule, SampleFilter, StageInput, filters
from data_pipelines.errors import ConfigError, DataError
from data_pipelines.text_lines import lines_of

_SPACED = str.maketrans({**{c: f" {c} " for c in ",.;:?!`"}, **dict.fromkeys("\t\n\r", " ")})

_COLUMNS = pa.schema(
    [
        pa.field("id", pa.int64()),
        pa.field("entries", pa.int32()),
        pa.field("draw", pa.float64()),
        pa.field("share", pa.float64()),
        pa.field("entry", pa.string()),
    ]
)

#: Entries by their words; the empty word at the end of one holds its number.
_Words = dict[str, "_Words | int"]


@filters.register("metaclip-balance")
@dataclass(frozen=True, kw_only=True)
class MetaclipBalance(SampleFilter):
    """Settings of balancing.

    Args:
        file: one entry a line, as in MetaCLIP's metadata (WordNet synsets, Wikipedia's unigrams,
            bigrams and titles).
        t: matches above which an entry is thinned: 20,000 for 400M pairs of CLIP's scale.
        seed: of the draw.
    """

    file: Path
    t: int = 20_000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.t < 1:
            raise ConfigError(f"filter 'metaclip-balance': t is {self.t}, not 1 or more")

    def needs(self) -> tuple[str, ...]:
        """The caption."""
        return ("caption",)

    def files(self) -> tuple[Path, ...]:
        """The list of entries."""
        return (self.file,)

    def rules(self, samples: StageInput) -> Sequence[Rule]:
        """Without an entry; no entry drew a low number."""
        entries = self._entries()
        matcher = EntryMatcher(entries)
        counts: Counter[int] = Counter()
        for _, _, found in _matches(samples, matcher):
            counts.update(found)
        shares = {entry: self.t / max(count, self.t) for entry, count in counts.items()}
        batches = _judged(samples, matcher, entries, shares, self.seed)
        samples.add_relation("balance", pa.RecordBatchReader.from_batches(_COLUMNS, batches))
        samples.add_query("FROM balance")
        return [
            Rule("no entry", "entries IS NULL OR entries = 0"),
            Rule("thinned out", "draw >= share", "draw", "share", "entry"),
        ]

    def _entries(self) -> list[str]:
        try:
            lines = lines_of(self.file.read_text(encoding="utf-8-sig"))
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"cannot read the entries {self.file}: {error}") from error
        found = list(dict.fromkeys(line for line in lines if line.strip()))
        if not found:
            raise ConfigError(f"{self.file} has no entry; give one a line")
        return found


class EntryMatcher:
    """Which of many entries a text contains, between blanks.

    Args:
        entries: by their numbers.
    """

    def __init__(self, entries: Sequence[str]) -> None:
        self._words: _Words = {}
        for number, entry in enumerate(entries):
            place = self._words
            for word in entry.split(" "):
                inner = place.setdefault(word, {})
                assert isinstance(inner, dict)
                place = inner
            place["\0"] = number

    def __call__(self, text: str) -> list[int]:
        """Numbers of the entries, sorted."""
        words = text.translate(_SPACED).split(" ")
        found = set()
        for start in range(len(words)):
            place: _Words | int | None = self._words
            for word in words[start:]:
                place = place.get(word)  # type: ignore[union-attr]
                if place is None:
                    break
                number = place.get("\0")  # type: ignore[union-attr]
                if isinstance(number, int):
                    found.add(number)
        return sorted(found)


def draw(seed: int, uid: str, entry: str) -> float:
    """A number in [0, 1) that follows from the three alone."""
    key = f"{seed}\0{uid}\0{entry}".encode("utf-8", "surrogateescape")
    return int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big") / 2**64


def _matches(samples: StageInput, matcher: EntryMatcher) -> Iterator[tuple[int, str, list[int]]]:
    """Id, uid and entries of each sample."""
    for batch in samples.batches(f"SELECT id, uid, caption FROM {samples.relation}"):
        columns = (batch[name].to_pylist() for name in ("id", "uid", "caption"))
        for number, uid, caption in zip(*columns, strict=True):
            yield number, uid, matcher(caption or "")


def _judged(
    samples: StageInput,
    matcher: EntryMatcher,
    entries: Sequence[str],
    shares: dict[int, float],
    seed: int,
) -> Iterator[pa.RecordBatch]:
    """For each sample the draw that came nearest to the share of its entry, or below it."""
    rows: list[dict[str, Any]] = []
    for number, uid, found in _matches(samples, matcher):
        draws = [(draw(seed, uid, entries[e]), shares[e], entries[e]) for e in found]
        best = min(draws, key=lambda one: one[0] - one[1], default=(None, None, None))
        own = dict(zip(("draw", "share", "entry"), best, strict=True))
        rows.append({"id": number, "entries": len(found), **own})
        if len(rows) == 1 << 14:
            yield pa.RecordBatch.from_pylist(rows, schema=_COLUMNS)
            rows = []
    yield pa.RecordBatch.from_pylist(rows, schema=_COLUMNS)
