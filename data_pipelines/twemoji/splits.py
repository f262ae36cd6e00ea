"""Which emoji train and which test: a pure function of the emoji and a seed.

Three tests of one model, each with its own promise:

- ``unseen_emoji``: no variant of the emoji is in training.
- ``unseen_compositions``: other variants of its base are in training, this one is not.
- ``line_art``: the emoji was trained on in colour and is shown as a line drawing.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from data_pipelines.twemoji.bases import Points

#: A base gives at most this many of its variants, and at most a third, to unseen_compositions.
MAX_COMPOSITIONS_PER_BASE = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Emoji:
    """What the split of one picture depends on.

    Args:
        key: file name without suffix ("1f44b-1f3fb").
        base: shared by all its variants (see ``bases.base_of``).
        num_modifiers: skin tones, gender and so on that make it a variant; 0 for plain emoji.
        is_component: a skin-tone or hair swatch; trained on, never tested.
        is_drawable: whether a line drawing can show the same thing.
    """

    key: str
    base: Points
    num_modifiers: int
    is_component: bool
    is_drawable: bool


#: Digest of the line drawing of the emoji with a key, "" where the font has none.
Drawing = Callable[[str], str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Splits:
    """Keys of each split in order of use; ``unused`` are the spare variants of unseen emoji."""

    train: tuple[str, ...]
    unseen_emoji: tuple[str, ...]
    unseen_compositions: tuple[str, ...]
    line_art: tuple[str, ...]
    unused: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitSizes:
    """Pictures wanted in each test; a smaller collection gives fewer."""

    unseen_emoji: int = 320
    unseen_compositions: int = 320
    line_art: int = 320


def split(emoji: Sequence[Emoji], *, sizes: SplitSizes, seed: int, drawing: Drawing) -> Splits:
    """Assign every emoji to training, to one test, or to none.

    Args:
        emoji: keys must be unique; their order does not matter.
        sizes: wanted pictures; at most a quarter of all bases becomes unseen.
        seed: another seed gives other tests.
        drawing: asked only until ``line_art`` is full.
    """
    bases: dict[Points, list[Emoji]] = defaultdict(list)
    for one in sorted(emoji, key=lambda one: one.key):
        bases[one.base].append(one)
    eligible = [b for b, variants in bases.items() if not any(v.is_component for v in variants)]
    num_unseen = min(sizes.unseen_emoji, len(bases) // 4)
    unseen = set(_drawn(eligible, seed, "unseen emoji", _base_name)[:num_unseen])
    unseen_emoji = [_plainest(bases[base]).key for base in unseen]
    unused = [v.key for base in unseen for v in bases[base] if v.key not in unseen_emoji]

    seen = {base: variants for base, variants in bases.items() if base not in unseen}
    candidates = [v for variants in seen.values() for v in _spare_variants(variants, seed)]
    drawn = _drawn(candidates, seed, "unseen compositions", lambda v: v.key)
    compositions = {v.key for v in drawn[: sizes.unseen_compositions]}
    train = [v for variants in seen.values() for v in variants if v.key not in compositions]

    line_art = _line_art(train, sizes.line_art, seed, drawing)
    return Splits(
        train=_shuffled([v.key for v in train], seed),
        unseen_emoji=_shuffled(unseen_emoji, seed),
        unseen_compositions=_shuffled(compositions, seed),
        line_art=_shuffled(line_art, seed),
        unused=tuple(sorted(unused)),
    )


def _spare_variants(variants: Sequence[Emoji], seed: int) -> list[Emoji]:
    """Variants of one base that may be held out: never its plainest, which stays in training."""
    quota = min(len(variants) // 3, MAX_COMPOSITIONS_PER_BASE)
    plainest = _plainest(variants)
    others = [v for v in variants if v.num_modifiers and not v.is_component and v is not plainest]
    return _drawn(others, seed, "variants of a base", lambda v: v.key)[:quota]


def _line_art(train: Sequence[Emoji], wanted: int, seed: int, drawing: Drawing) -> list[str]:
    """Trained emoji with different drawings, at most one of a base, which is its plainest."""
    bases: dict[Points, list[Emoji]] = defaultdict(list)
    for one in train:
        if one.is_drawable and not one.is_component:
            bases[one.base].append(one)
    candidates = [_plainest(variants) for variants in bases.values()]
    chosen: dict[str, str] = {}
    for one in _drawn(candidates, seed, "line art", lambda v: v.key):
        if len(chosen) == wanted:
            break
        digest = drawing(one.key)
        if digest:
            chosen.setdefault(digest, one.key)
    return list(chosen.values())


def _plainest(variants: Sequence[Emoji]) -> Emoji:
    return min(variants, key=lambda v: (v.num_modifiers, len(v.key), v.key))


def _base_name(base: Points) -> str:
    return "-".join(f"{point:x}" for point in base)


def _shuffled(keys: Iterable[str], seed: int) -> tuple[str, ...]:
    return tuple(_drawn(keys, seed, "order", str))


def _drawn(items: Iterable, seed: int, purpose: str, name: Callable[..., str]) -> list:
    """All items in an order that depends only on their names, the seed and the purpose."""
    return sorted(items, key=lambda item: _rank(f"{seed}/{purpose}/{name(item)}"))


def _rank(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
