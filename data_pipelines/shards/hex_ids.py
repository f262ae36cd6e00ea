"""Permanent ids as numbers: 32 hexadecimal digits are two of 64 bits."""

import numpy as np
from jaxtyping import Bool, UInt8, UInt64

#: Digits of a permanent id (see ``schema.is_uid``).
NUM_DIGITS = 32

_NO_DIGIT = 16
_DIGITS = np.full(256, _NO_DIGIT, dtype=np.uint8)
_DIGITS[np.frombuffer(b"0123456789abcdef", dtype=np.uint8)] = np.arange(16)


def ids_of_letters(
    letters: UInt8[np.ndarray, "ids 32"],
) -> tuple[UInt64[np.ndarray, "ids 2"], Bool[np.ndarray, " ids"]]:
    """The numbers of each row of letters, and whether all of the row are digits (small ones)."""
    digits = _DIGITS[letters]
    is_id = np.asarray((digits < _NO_DIGIT).all(axis=1))
    values = np.ascontiguousarray((digits[:, 0::2] & 15) << 4 | (digits[:, 1::2] & 15))
    return values.view(">u8").astype(np.uint64), is_id


def hex_of(high: int, low: int) -> str:
    """The inverse, of one id."""
    return f"{high:016x}{low:016x}"
