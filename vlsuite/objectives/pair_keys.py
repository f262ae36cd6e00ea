"""Numbers that stand for pairs and identities, so that tensors and collectives can carry them."""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from vlsuite.batches.captioned import CaptionedBatch
from vlsuite.objectives import gather


class PairKeys(NamedTuple):
    """What this rank's pairs are, row by row.

    Attributes:
        pairs: one number a pair (uid and number of the caption), the same in every run.
        identities: one number an identity (a person, in person retrieval); a picture without one
            is an identity of its own.
    """

    pairs: Int64[Tensor, " batch"]
    identities: Int64[Tensor, " batch"]

    def to(self, device: torch.device | str) -> "PairKeys":
        """The same keys on a device."""
        return PairKeys(self.pairs.to(device), self.identities.to(device))


def pair_keys(micro_batches: Sequence[CaptionedBatch]) -> PairKeys:
    """The keys of the pairs of one step of this process, in batch order, on the CPU."""
    pairs, identities = [], []
    for batch in micro_batches:
        for uid, number, identity in zip(
            batch.uids, batch.caption_numbers, batch.identities, strict=True
        ):
            pairs.append(hashed("pair", uid, str(number)))
            identities.append(
                hashed("uid", uid) if identity is None else hashed("identity", identity)
            )
    return PairKeys(torch.tensor(pairs), torch.tensor(identities))


def hashed(*parts: str) -> int:
    """A number in [-2^63, 2^63) for a tuple of strings.

    64 bits of BLAKE2b: among 10^8 pairs two share a number with probability 3 in 10,000.
    """
    digest = hashlib.blake2b("\0".join(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def same_identity(
    identities: Int64[Tensor, " batch"],
) -> Bool[Tensor, "batch global_batch"]:
    """Which pairs of the global batch show what this rank's pairs show, themselves included."""
    return identities[:, None] == gather.all_gather_rows(identities[:, None]).T
