"""Which captions become noisy, and what they become: the whole protocol before any byte moves."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from data_pipelines.errors import DataError
from data_pipelines.noise.captions import CaptionPair, Captions
from data_pipelines.noise.mismatch import PERMUTATIONS, mismatch
from data_pipelines.noise.order import hash_of, seeded_order
from data_pipelines.noise.partial import KINDS, delete_phrases, swap_phrase, truncate
from data_pipelines.noise.phrases import NounPhrases, rule_phrases
from data_pipelines.options import option

#: Other captions asked for a phrase before a swap is given up.
_MAX_GIVERS = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class NoiseConfig:
    """How captions are spoiled; see ``noise/mismatch.py`` and ``noise/partial.py``.

    The pairs are put in a seeded order. Mismatched are the first of them, partial the last, so
    the two never meet, and the subset of a lower rate lies within that of a higher one.

    Args:
        mismatched: share of the captions that are permuted among each other, 0 to 1.
        permutation: derangement: no caption true of its image; uniform: RDE's, some may stay.
        partial: share of the captions that are damaged, 0 to 1; none of them is mismatched.
        kind: of the damage: half of the noun phrases deleted, cut to four words, or one noun
            phrase of another caption.
        seed: another one gives other subsets and another permutation.
    """

    mismatched: float = option(default=0.0, metavar="RATE")
    permutation: str = option(default="derangement", choices=PERMUTATIONS)
    partial: float = option(default=0.0, metavar="RATE")
    kind: str = option(default="delete", choices=KINDS)
    seed: int = 0

    def __post_init__(self) -> None:
        for name, rate in (("mismatched", self.mismatched), ("partial", self.partial)):
            if not 0 <= rate <= 1:
                raise DataError(f"--{name} {rate} is no share; choose from 0 to 1")
        if self.mismatched + self.partial > 1:
            raise DataError(
                f"--mismatched {self.mismatched} and --partial {self.partial} exceed 1 together; "
                "lower one of them"
            )
        if self.kind not in KINDS:
            raise DataError(f"unknown kind '{self.kind}'; known: {', '.join(KINDS)}")
        if self.permutation not in PERMUTATIONS:
            raise DataError(
                f"unknown permutation '{self.permutation}'; known: {', '.join(PERMUTATIONS)}"
            )


class NoisyCaption(NamedTuple):
    """What became of one pair.

    Args:
        text: the caption to train on.
        kind: "clean", "mismatched" or "partial", by what the text is, not by what was tried.
        came_from: the pair whose caption ``text`` is or was.
    """

    text: str
    kind: str
    came_from: CaptionPair


class Plan(NamedTuple):
    """The fate of every pair, in the order of the captions it was made for.

    Args:
        noisy: one for each pair.
        counts: pairs by what was done and by why something could not be done.
    """

    noisy: tuple[NoisyCaption, ...]
    counts: dict[str, int]


def make_plan(captions: Captions, config: NoiseConfig, *, find: NounPhrases = rule_phrases) -> Plan:
    """Deal the noise; a pure function of the captions, whatever their order, and the settings."""
    pairs, total = captions.pairs, len(captions)
    order = seeded_order(range(total), pairs, seed=config.seed, purpose="subset")
    num_partial = min(round(config.partial * total), total - round(config.mismatched * total))
    chosen = order[: round(config.mismatched * total)]
    received = mismatch(captions, chosen, permutation=config.permutation, seed=config.seed)
    damaged = _damaged(captions, order[total - num_partial :], config, find)
    counts = Counter({"chosen for a mismatch": len(chosen), "chosen for damage": num_partial})
    noisy = []
    for i in range(total):
        giver = received.get(i, i)
        is_mismatched = not captions.describes(giver, image=i)
        text, kind = captions.texts[giver], "mismatched" if is_mismatched else "clean"
        if damaged.get(i) is not None:
            text, kind = str(damaged[i]), "partial"
        noisy.append(NoisyCaption(text, kind, pairs[giver]))
        counts[kind] += 1
        counts["mismatch not possible or true by chance"] += i in received and not is_mismatched
        counts[f"{config.kind} not possible"] += i in damaged and damaged[i] is None
    return Plan(tuple(noisy), {name: count for name, count in sorted(counts.items()) if count})


def _damaged(
    captions: Captions, chosen: Sequence[int], config: NoiseConfig, find: NounPhrases
) -> dict[int, str | None]:
    """The damaged text of each chosen pair; None where it could not be damaged."""
    if config.kind == "truncate":
        return {i: truncate(captions.texts[i]) for i in chosen}
    if config.kind == "delete":
        return {
            i: delete_phrases(captions.texts[i], find, _Draw(captions.pairs[i], config.seed))
            for i in chosen
        }
    givers = seeded_order(
        range(len(captions)), captions.pairs, seed=config.seed, purpose="give phrase"
    )
    own: dict[str, list[str]] = {}
    for pair, text in zip(captions.pairs, captions.texts, strict=True):
        own.setdefault(pair.uid, []).append(text)
    damaged: dict[int, str | None] = {}
    for i in chosen:
        draw = _Draw(captions.pairs[i], config.seed)
        others = islice(_others(captions, i, givers, draw), _MAX_GIVERS)
        texts = own[captions.pairs[i].uid]
        damaged[i] = swap_phrase(captions.texts[i], others, find, draw, own=texts)
    return damaged


def _others(captions: Captions, i: int, givers: Sequence[int], draw: "_Draw") -> Iterator[str]:
    """Captions that are not true of the image of pair ``i``, from a drawn place on."""
    first = draw("giver", len(givers))
    for step in range(len(givers)):
        giver = givers[(first + step) % len(givers)]
        if not captions.describes(giver, image=i):
            yield captions.texts[giver]


class _Draw:
    """Numbers that depend on the pair, the seed and the name of the choice only."""

    def __init__(self, pair: CaptionPair, seed: int) -> None:
        self._pair = pair
        self._seed = seed

    def __call__(self, name: str, below: int) -> int:
        return hash_of(self._pair, seed=self._seed, purpose=name) % below
