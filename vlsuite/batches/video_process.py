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
import resource
import signal
import socket
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of prctl(2)


class RefusalError(Exception):
    """Why a video gives no frames: kind and detail."""


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
        RefusalError: it cannot be decoded, or is larger than the job allows.
    """
    import decord

    try:
        # At most one frame may be made up by the decoder; its default is any number.
        reader = decord.VideoReader(io.BytesIO(data), num_threads=1, fault_tol=1)
        first, last = _span(len(reader), job, reader)
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


def _span(total: int, job: dict[str, Any], reader: Any) -> tuple[int, int]:
    """First frame and the one after the last of the job's seconds."""
    if job["seconds"] is None:
        return 0, total
    start, end = job["seconds"]
    rate = reader.get_avg_fps()
    first, last = int(start * rate), min(total, round(end * rate))
    if last <= first:
        raise RefusalError(
            "no frames", f"none between {start} s and {end} s of {total / rate:.2f} s"
        )
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
        except RefusalError as refusal:
            reply = dict(zip(("kind", "reason"), refusal.args, strict=True))
        del data
        stream.write(json.dumps(reply).encode() + b"\n")
        if frames is not None:
            stream.write(np.ascontiguousarray(frames).data)
        stream.flush()


if __name__ == "__main__":
    main()
