"""Seeded orders of caption pairs that no order of shards or samples can change.

A pair's place follows from a hash of the seed, a purpose and the pair itself, so the same pairs
come in the same order however they are stored, on every platform and version. Own design: the
published noise indices are arrays of positions, which fit one order of one file only.
"""

import hashlib
from collections.abc import Iterable, Sequence

from data_pipelines.noise.captions import CaptionPair


def hash_of(pair: CaptionPair, *, seed: int, purpose: str) -> int:
    """128 bits that are independent for every seed, purpose and pair."""
    text = f"{seed}/{purpose}/{pair.uid}/{pair.number}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "big")


def seeded_order(
    which: Iterable[int], pairs: Sequence[CaptionPair], *, seed: int, purpose: str
) -> list[int]:
    """Positions ``which`` of ``pairs``, uniformly shuffled.

    Args:
        purpose: another one gives an independent order.
    """
    return sorted(which, key=lambda i: (hash_of(pairs[i], seed=seed, purpose=purpose), pairs[i]))
