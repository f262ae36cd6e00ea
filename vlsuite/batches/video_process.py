"""The process that decodes videos, so that a decoder that crashes or hangs takes nobody along.

Started by ``vlsuite.batches.video``, never by hand: ``python -m vlsuite.batches.video_process FD
MEMORY``. Over the socket FD come jobs: a line of JSON, then the bytes of a video; back go a
line of JSON, then the frames. It imports neither torch nor anything else of this package, so it
starts in a fraction of a second.
"""

import ctypes
import io
import json
import os
import re
import resource
import signal
import socket
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of prctl(2)


#: Containers whose frames decord returns exactly, by their first bytes. Measured on one film of
#: 1,441 frames and five others with a picture of every frame: on MPEG program streams it returns
#: frame i + 12 or another one for frame i, on ASF (wmv) i - 12, on raw MPEG-1 frame 0, and its time
#: stamps do not tell; transport streams and all others are not measured.
_EXACT = {
    "AVI": re.compile(rb"RIFF....AVI ", re.DOTALL),
    "MP4 or QuickTime": re.compile(rb"....(ftyp|moov|mdat|wide|free|skip|pnot)", re.DOTALL),
    "Matroska or WebM": re.compile(rb"\x1a\x45\xdf\xa3"),
    "FLV": re.compile(rb"FLV\x01"),
    "RealMedia": re.compile(rb"\.RMF"),
}
_LATEST = 1e7  # seconds, about four months; time stamps beyond are none
_CLOCK = 1e-3  # seconds; time stamps are 32-bit floats, some in whole milliseconds


class RefusalError(Exception):
    """Why a video gives no frames: kind and detail."""


class MissingReaderError(Exception):
    """decord does not import here, whatever the video."""


def frame_numbers(total: int, draws: Sequence[float | None]) -> list[int]:
    """One frame of each of ``len(draws)`` equal stretches of a video.

    The segments of TSN (Wang et al. 2016, arXiv 1608.00859, section 3.1), cut where Frozen in
    Time (Bain et al. 2021, arXiv 2104.00650) cuts them. A video with fewer frames than stretches
    repeats frames; Frozen in Time pads with black ones instead.

    Args:
        total: frames of the video, at least 1.
        draws: for each stretch a place in [0, 1), or None for its middle.
    """
    bounds = np.linspace(0, total, num=len(draws) + 1).astype(int).tolist()
    numbers = []
    for first, after, draw in zip(bounds[:-1], bounds[1:], draws, strict=True):
        last = max(first, after - 1)
        middle = (first + last) // 2
        numbers.append(middle if draw is None else first + int(draw * (last - first + 1)))
    return [min(number, total - 1) for number in numbers]


def decode(data: bytes, job: dict[str, Any]) -> np.ndarray:
    """Frames as uint8 [frames, height, width, 3].

    Raises:
        RefusalError: it cannot be decoded, is larger than the job allows, or is of a kind whose
            frames would be others than those asked for.
        MissingReaderError: there is no decord.
    """
    try:
        import decord
    except (ImportError, OSError) as error:
        raise MissingReaderError(" ".join(str(error).split())[:160]) from error
    if not data:
        return np.zeros((1, 1, 1, 3), dtype=np.uint8)  # whether it imports was the question
    try:
        # At most one frame may be made up by the decoder; its default is any number.
        reader = decord.VideoReader(io.BytesIO(data), num_threads=1, fault_tol=1)
        _refuse_inexact(data)
        first, last = _span(_starts(reader), job)
        if last - first > job["max_frames"]:
            raise RefusalError(
                "too many frames", f"{last - first}, the limit is {job['max_frames']}"
            )
        numbers = [first + number for number in frame_numbers(last - first, job["draws"])]
        height, width, _ = reader[numbers[0]].shape
        if height * width > job["max_pixels"] or height * width * len(numbers) > 1 << 30:
            raise RefusalError(
                "too many pixels", f"frames of {width} x {height} are over the limit"
            )
        return reader.get_batch(numbers).asnumpy()
    except decord.DECORDLimitReachedError:
        raise RefusalError("broken video", "several frames cannot be decoded") from None
    except MemoryError:
        raise RefusalError("video needs too much memory", "") from None
    except (decord.DECORDError, RuntimeError, ValueError, AssertionError, IndexError) as error:
        raise RefusalError("broken video", _reason(error)) from None
    except StopIteration:
        raise RefusalError(
            "broken video", "it ends before the frames that its header promises"
        ) from None


def _refuse_inexact(data: bytes) -> None:
    if not any(start.match(data) for start in _EXACT.values()):
        raise RefusalError(
            "container without exact frames",
            f"it begins with {data[:4].hex()}, as none of {', '.join(_EXACT)} does, and decord "
            "returns other frames of such files than those asked for; pack it as MP4 or Matroska",
        )


def _starts(reader: Any) -> np.ndarray:
    """When each frame is shown, in seconds, checked: a decoder seeks by these."""
    if not len(reader):
        raise RefusalError("no frames", "the video has none")
    starts = np.asarray(reader.get_frame_timestamp(list(range(len(reader)))))[:, 0]
    starts = starts.astype(np.float64)
    if not np.isfinite(starts).all() or np.abs(starts).max() > _LATEST:
        raise RefusalError("time stamps without sense", f"from {starts.min()} to {starts.max()} s")
    backward = np.flatnonzero(np.diff(starts) <= 0)
    if len(backward):
        frame = int(backward[0]) + 1
        raise RefusalError(
            "time stamps out of order",
            f"frame {frame} is shown at {starts[frame]:.3f} s, the one before at "
            f"{starts[frame - 1]:.3f} s",
        )
    return starts - starts[0]


def _span(starts: np.ndarray, job: dict[str, Any]) -> tuple[int, int]:
    """First frame and the one after the last of the job's seconds, by their time stamps.

    The first is the one that is shown at the begin; the average rate would give another wherever
    frames were dropped.
    """
    if job["seconds"] is None:
        return 0, len(starts)
    start, end = job["seconds"]
    usual = float(np.median(np.diff(starts))) if len(starts) > 1 else np.inf
    first = int(np.searchsorted(starts, start + _CLOCK, side="right")) - 1
    last = int(np.searchsorted(starts, end - _CLOCK, side="left"))
    if last <= first or start >= starts[-1] + usual:
        length = starts[-1] + (usual if np.isfinite(usual) else 0)
        raise RefusalError("no frames", f"none between {start} s and {end} s of {length:.2f} s")
    return first, last


def _reason(error: Exception) -> str:
    """The last part of a message of decord, without its time stamps and source lines."""
    text = " ".join(str(error).split("\n")[0].split())
    return text.rsplit(".cc:", 1)[-1].partition(": ")[2][:160] or text[-160:]


def main() -> None:
    """Serve jobs until the socket closes."""
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    connection = socket.socket(fileno=int(sys.argv[1]))
    limit = int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.environ["DECORD_EOF_RETRY_MAX"] = "512"  # default 10,240: seconds spent on a cut file
    stream = connection.makefile("rwb")
    for line in iter(stream.readline, b""):
        job = json.loads(line)
        data = stream.read(job["size"])
        if len(data) < job["size"]:
            return
        frames = None
        try:
            frames = decode(data, job)
            reply = {"shape": frames.shape}
        except MissingReaderError as missing:
            reply = {"missing": str(missing)}
        except RefusalError as refusal:
            reply = dict(zip(("kind", "reason"), refusal.args, strict=True))
        del data
        stream.write(json.dumps(reply).encode() + b"\n")
        if frames is not None:
            stream.write(np.ascontiguousarray(frames).data)
        stream.flush()


if __name__ == "__main__":
    main()
