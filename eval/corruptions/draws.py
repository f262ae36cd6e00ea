"""Random numbers for corruptions: a pure function of who asks, the same on every device.

Each picture has its own key, made from (image id, corruption, severity, seed); number ``i`` of a
picture is a hash of key and ``i``. So a picture's draws do not depend on the batch it is in, on
the order of pictures, or on any generator's state, and no library's stream can change them.

The hash is SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number
generators", figure 17 with the mixing constants of Stafford's variant 13).
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float32, Int64
from torch import Tensor

_GOLDEN_GAMMA = 0x9E3779B97F4A7C15
_MIX_1 = 0xBF58476D1CE4E5B9
_MIX_2 = 0x94D049BB133111EB

#: Numbers of one stream lie this far from those of the next, more than a picture ever needs.
_STREAM_LENGTH = 1 << 40

_UNIFORM_BITS = 24
_UNIFORM_STEP = 2.0**-_UNIFORM_BITS


def keys_of(
    image_ids: Sequence[int],
    corruption: str,
    severity: int,
    *,
    seed: int,
    device: torch.device | str = "cpu",
) -> Int64[Tensor, " batch"]:
    """One 64-bit key a picture.

    Args:
        image_ids: any integers; equal ids get equal draws.
        seed: of the whole evaluation.
    """
    keys = [_key(f"{image_id}/{corruption}/{severity}/{seed}") for image_id in image_ids]
    return torch.tensor(keys, dtype=torch.int64, device=device)


@dataclass(frozen=True, slots=True)
class Draws:
    """Streams of numbers for a batch of pictures.

    Args:
        keys: from :func:`keys_of`; numbers live on their device.
    """

    keys: Int64[Tensor, " batch"]

    def uniform(self, *shape: int, stream: int) -> Float32[Tensor, "batch ..."]:
        """Multiples of 2**-24 in [0, 1), exact in float32.

        Args:
            shape: of one picture's numbers.
            stream: different numbers for each; the caller counts 0, 1, 2.
        """
        count = math.prod(shape)
        high, low = self._halves(count, stream)
        numbers = torch.cat([high, low], dim=1)[:, :count]
        return (numbers * _UNIFORM_STEP).reshape(-1, *shape)

    def normal(self, *shape: int, stream: int) -> Float32[Tensor, "batch ..."]:
        """Standard normal numbers, by Box and Muller 1958; none lies beyond 5.8."""
        count = math.prod(shape)
        high, low = self._halves(count, stream)
        radius = high.add_(1).mul_(_UNIFORM_STEP).log_().mul_(-2).sqrt_()
        angle = low.mul_(2 * math.pi * _UNIFORM_STEP)
        numbers = torch.cat([angle.cos().mul_(radius), angle.sin_().mul_(radius)], dim=1)
        return numbers[:, :count].reshape(-1, *shape)

    def _halves(self, count: int, stream: int) -> tuple[Tensor, Tensor]:
        """Two whole numbers below 2**24 from each hash, as float32."""
        words = self._words(-(-count // 2), stream)
        mask = (1 << _UNIFORM_BITS) - 1
        high = (words >> 40).bitwise_and_(mask).float()
        low = (words >> 8).bitwise_and_(mask).float()
        return high, low

    def _words(self, count: int, stream: int) -> Int64[Tensor, "batch words"]:
        first = stream * _STREAM_LENGTH + 1
        counter = torch.arange(first, first + count, device=self.keys.device)
        words = self.keys[:, None] + counter * _signed(_GOLDEN_GAMMA)
        words = _fold(words, 30).mul_(_signed(_MIX_1))
        words = _fold(words, 27).mul_(_signed(_MIX_2))
        return _fold(words, 31)


def _key(text: str) -> int:
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


def _fold(words: Tensor, shift: int) -> Tensor:
    """``words ^ (words >>> shift)``; torch's own shift repeats the sign."""
    return (words >> shift).bitwise_and_((1 << (64 - shift)) - 1).bitwise_xor_(words)


def _signed(value: int) -> int:
    """The same 64 bits as the signed number that torch takes."""
    return value - (1 << 64) if value >> 63 else value
