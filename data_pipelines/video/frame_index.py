"""What one pass over a video found out about its frames, stored so that it is done once.

A small file to lie beside the video in its shard, under the suffix ``SUFFIX``. It is read without
trust: it has to fit the bytes of the video, every number in it has to make sense, and the frames
it leads to are checked by their time stamps as all others are.
"""

import hashlib
import itertools
import struct
import zlib
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from jaxtyping import Int64

from data_pipelines.errors import BadSampleError
from data_pipelines.video.limits import Source
from data_pipelines.video.table import FrameTable

#: Of the member of a sample that holds the index of its video.
SUFFIX = "frames.index"

_MAGIC = b"VLFRAMES"
_VERSION = 1
#: magic, version, flags, digest, width, height, frames, keys, packets, time base (numerator,
#: denominator), first time stamp, end of the last frame
_HEADER = struct.Struct("<8sHH32sIIIIIIIqq")
_TIMED, _DECODED, _MIRRORED, _PROBE = 1, 2, 4, 32  # flags
_QUARTERS = 3  # bits that quarter turns are shifted by
_MAX_FRAMES = 1_000_000
_MAX_TIME = 1 << 61  # ticks
_EDGE = 1 << 14  # bytes that the digest reads at both ends
_PIECE, _NUM_PIECES = 1 << 10, 16  # and in between


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameIndex:
    """The frames of one video.

    Attributes:
        table: of the frames.
        digest: see ``digest_of``.
        width: of a frame as it is stored, in pixels.
        height: likewise.
        quarters: quarter turns clockwise that make it upright.
        is_mirrored: whether it is mirrored before that.
        needs_probe: whether streams and times of the container are known only after some packets.
    """

    table: FrameTable
    digest: bytes
    width: int
    height: int
    quarters: int
    is_mirrored: bool
    needs_probe: bool

    def to_bytes(self) -> bytes:
        """The stored form; ``from_bytes`` is its inverse."""
        table = self.table
        keys = np.flatnonzero(table.keys)
        flags = _TIMED * table.is_timed | _DECODED * table.is_decoded
        flags |= _MIRRORED * self.is_mirrored | _PROBE * self.needs_probe
        flags |= self.quarters << _QUARTERS
        columns = (table.packets, table.pts, keys, table.dts[keys])
        steps = [np.diff(column, prepend=0).astype("<i8").tobytes() for column in columns]
        base = table.time_base
        header = _HEADER.pack(
            *(_MAGIC, _VERSION, flags, self.digest, self.width, self.height),
            *(len(table), len(keys), table.num_packets, base.numerator, base.denominator),
            *(int(table.pts[0]), table.end),
        )
        return header + zlib.compress(b"".join(steps), 6)

    @classmethod
    def from_bytes(cls, data: bytes) -> "FrameIndex":
        """Read the stored form.

        Raises:
            BadSampleError: "broken frame index": damaged, of another version, or senseless.
        """
        try:
            return cls._read(data)
        except (struct.error, ValueError, ZeroDivisionError, zlib.error, BadSampleError) as error:
            raise BadSampleError(
                "broken frame index", f"{str(error)[:120]}; leave it out or make it anew"
            ) from error

    @classmethod
    def _read(cls, data: bytes) -> "FrameIndex":
        (magic, version, flags, digest, width, height, *counts, first, end) = _HEADER.unpack_from(
            data
        )
        num_frames, num_keys, num_packets, numerator, denominator = counts
        if (magic, version) != (_MAGIC, _VERSION):
            raise ValueError("no frame index of this version")
        if not 0 < num_frames <= _MAX_FRAMES or num_keys > num_frames or not width * height:
            raise ValueError(f"{num_frames} frames, {num_keys} of them keys, {width} x {height}")
        packets, pts, keys, dts = _columns(
            data[_HEADER.size :], (num_frames, num_frames, num_keys, num_keys)
        )
        _check(packets, pts, keys, dts, num_packets=num_packets)
        if pts[0] != first or not pts[-1] <= end < _MAX_TIME:
            raise ValueError("times contradict each other")
        is_key = np.zeros(num_frames, dtype=bool)
        is_key[keys] = True
        seek = pts.copy()
        seek[keys] = dts
        table = FrameTable(
            packets=packets,
            pts=pts,
            keys=is_key,
            dts=seek,
            end=end,
            time_base=Fraction(numerator, denominator),
            num_packets=num_packets,
            is_timed=bool(flags & _TIMED),
            is_decoded=bool(flags & _DECODED),
        )
        return cls(
            table=table,
            digest=digest,
            width=width,
            height=height,
            quarters=flags >> _QUARTERS & 0b11,
            is_mirrored=bool(flags & _MIRRORED),
            needs_probe=bool(flags & _PROBE),
        )


def digest_of(source: Source) -> bytes:
    """What tells the bytes of one video from those of another: SHA-256 over size and pieces.

    Both ends and sixteen pieces in between: an index that has become stale is noticed without
    reading a large video through. What the index says is checked besides.
    """
    size = source.seek(0, 2)
    digest = hashlib.sha256(size.to_bytes(8, "little"))
    for start, length in _pieces(size):
        source.seek(start)
        digest.update(source.read(length))
    return digest.digest()


def _pieces(size: int) -> list[tuple[int, int]]:
    if size <= 4 * _EDGE:
        return [(0, size)]
    inner = [size * (i + 1) // (_NUM_PIECES + 1) for i in range(_NUM_PIECES)]
    return [(0, _EDGE), *((start, _PIECE) for start in inner), (size - _EDGE, _EDGE)]


def _columns(blob: bytes, lengths: tuple[int, ...]) -> list[Int64[np.ndarray, " rows"]]:
    """Running sums of the stored differences."""
    size = 8 * sum(lengths)
    unpacking = zlib.decompressobj()
    content = unpacking.decompress(blob, size + 1)
    if len(content) != size or not unpacking.eof or unpacking.unused_data:
        raise ValueError(f"{len(content)} bytes of columns, expected {size}")
    steps = np.frombuffer(content, dtype="<i8").astype(np.int64)
    bounds = np.cumsum((0, *lengths))
    return [np.cumsum(steps[a:b]) for a, b in itertools.pairwise(bounds)]


def _check(
    packets: Int64[np.ndarray, " frames"],
    pts: Int64[np.ndarray, " frames"],
    keys: Int64[np.ndarray, " keys"],
    dts: Int64[np.ndarray, " keys"],
    *,
    num_packets: int,
) -> None:
    """Raises ``ValueError`` where the columns cannot belong to a video."""
    if packets.min() < 0 or packets.max() >= num_packets or len(np.unique(packets)) < len(packets):
        raise ValueError("frames come from packets that are not there, or share one")
    for times in (pts, dts):
        if len(times) and max(abs(int(times.min())), abs(int(times.max()))) > _MAX_TIME:
            raise ValueError("time stamps without sense")
    if (np.diff(pts) <= 0).any():
        raise ValueError("time stamps do not ascend")
    if len(keys) and (keys[0] < 0 or keys[-1] >= len(pts) or (np.diff(keys) <= 0).any()):
        raise ValueError("key frames that are not there")
