"""Encoded video to frames, by way of a guarded process: broken input ends as an error, always.

The decoding library (decord, which wraps FFmpeg) crashes or hangs on some broken files. So it
runs in a process of its own, with limits on time and memory, that is killed and replaced when it
fails.
"""

import functools
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from vlsuite.batches.video_container import promised_bytes
from vlsuite.errors import BadSampleError, ConfigError

_MAX_REPLY = 1 << 16  # bytes of the line before the frames


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoLimits:
    """What decoding one video may cost.

    Attributes:
        seconds: of wall clock, start of the process excepted.
        memory_bytes: of address space of the process; it takes about 0.4 GB for itself.
        max_bytes: of the encoded video.
        max_pixels: of one frame, as for pictures.
        max_frames: of the stretch to choose frames from.
    """

    seconds: float = 10.0
    memory_bytes: int = 4 << 30
    max_bytes: int = 1 << 30
    max_pixels: int = 64_000_000
    max_frames: int = 1_000_000


def decode_video(
    data: bytes,
    *,
    num_frames: int,
    rng: np.random.Generator | None = None,
    seconds: tuple[float, float] | None = None,
) -> UInt8[Tensor, "num_frames 3 height width"]:
    """Frames of a video, spread evenly over it, with the process that this caller shares.

    See :meth:`VideoDecoder.decode`.
    """
    return _shared_decoder().decode(data, num_frames=num_frames, rng=rng, seconds=seconds)


@functools.cache
def _shared_decoder() -> "VideoDecoder":
    return VideoDecoder()


class VideoDecoder:
    """A decoding process, started when the first video comes and replaced when it fails.

    For one thread. After a fork, the child starts a process of its own; pickling passes on the
    limits only.
    """

    def __init__(self, limits: VideoLimits | None = None) -> None:
        self.limits = limits or VideoLimits()
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: socket.socket | None = None
        self._owner = 0  # process id

    def __reduce__(self) -> tuple[type["VideoDecoder"], tuple[VideoLimits]]:
        return VideoDecoder, (self.limits,)

    def __enter__(self) -> "VideoDecoder":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def decode(
        self,
        data: bytes,
        *,
        num_frames: int,
        rng: np.random.Generator | None = None,
        seconds: tuple[float, float] | None = None,
    ) -> UInt8[Tensor, "num_frames 3 height width"]:
        """One frame of each of ``num_frames`` equal stretches, in order.

        Args:
            data: MP4, WebM, MKV, AVI or anything else FFmpeg reads, with a video stream.
            rng: draws a frame of each stretch; None takes the middle ones.
            seconds: start and end of the part to choose from; None is all of it.
        Raises:
            BadSampleError: "zero bytes", "video too large", "truncated video", "broken video", "no
                frames", "too many frames", "too many pixels", "container without exact frames",
                "time stamps without sense", "time stamps out of order", "video needs too much
                memory", "video hung the decoder" or "video crashed the decoder".
            ConfigError: this machine has no reader, which is no fault of any video.
        """
        if num_frames < 1 or (seconds is not None and not 0 <= seconds[0] < seconds[1]):
            raise ValueError(f"num_frames {num_frames} or seconds {seconds} make no sense")
        if not data:
            raise BadSampleError("zero bytes", "the video is empty")
        if len(data) > self.limits.max_bytes:
            raise BadSampleError("video too large", f"{len(data)} bytes")
        promised = promised_bytes(data)
        if promised is not None and promised > len(data):
            raise BadSampleError("truncated video", f"{len(data)} bytes of {promised}")
        draws = [None] * num_frames if rng is None else rng.random(num_frames).tolist()
        return self._result(self._job(data, draws, seconds), data)

    def check(self) -> None:
        """Find out before the first video whether this machine can read any.

        Raises:
            ConfigError: it cannot.
        """
        self._result(self._job(b"", [], None), b"")

    def close(self) -> None:
        """End the process; the next video starts another."""
        if self._connection is not None:
            self._connection.close()
        if self._process is not None and self._owner == os.getpid():
            self._process.kill()
            self._process.wait()
        self._process = self._connection = None

    def _job(
        self, data: bytes, draws: list[float] | list[None], seconds: Sequence[float] | None
    ) -> dict[str, Any]:
        return {
            "size": len(data),
            "draws": draws,
            "seconds": seconds,
            "max_pixels": self.limits.max_pixels,
            "max_frames": self.limits.max_frames,
        }

    def _result(self, job: dict[str, Any], data: bytes) -> Tensor:
        connection = self._ready()
        deadline = time.monotonic() + self.limits.seconds
        try:
            connection.settimeout(self.limits.seconds)
            connection.sendall(json.dumps(job).encode() + b"\n")
            connection.sendall(data)
            reply, rest = _reply(connection, deadline)
            if "missing" in reply:
                raise ConfigError(
                    "this machine cannot read videos: decord does not import "
                    f"({reply['missing']}); install it (pip install decord; there are "
                    "wheels for x86-64), or leave the videos out"
                )
            if "kind" in reply:
                raise BadSampleError(reply["kind"], reply["reason"])
            frames = _frames(connection, reply["shape"], rest, deadline)
        except TimeoutError:
            self.close()
            raise BadSampleError(
                "video hung the decoder", f"no frames after {self.limits.seconds:g} s"
            ) from None
        except (OSError, EOFError):
            raise BadSampleError("video crashed the decoder", self._obituary()) from None
        except BaseException as error:
            # Half a reply may be under way after an interrupt: the process is of no more use.
            if not isinstance(error, BadSampleError | ConfigError):
                self.close()
            raise
        return torch.from_numpy(frames).permute(0, 3, 1, 2).contiguous()

    def _ready(self) -> socket.socket:
        is_ours = self._owner == os.getpid()
        if is_ours and self._process is not None and self._process.poll() is None:
            assert self._connection is not None
            return self._connection
        self.close()
        ours, theirs = socket.socketpair()
        with theirs:
            number, memory = str(theirs.fileno()), str(self.limits.memory_bytes)
            self._process = subprocess.Popen(
                [sys.executable, "-m", "vlsuite.batches.video_process", number, memory],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            )
        self._connection, self._owner = ours, os.getpid()
        return ours

    def _obituary(self) -> str:
        """How the process ended."""
        assert self._process is not None
        try:
            code = self._process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            code = None
        self.close()
        return f"signal {-code}" if code and code < 0 else f"exit status {code}"


def _reply(connection: socket.socket, deadline: float) -> tuple[dict[str, Any], bytes]:
    """The line of JSON, and what was received after it."""
    received = b""
    while b"\n" not in received:
        _wait_until(connection, deadline)
        part = connection.recv(_MAX_REPLY)
        if not part or len(received) > _MAX_REPLY:
            raise EOFError
        received += part
    line, _, rest = received.partition(b"\n")
    return json.loads(line), rest


def _frames(
    connection: socket.socket, shape: Sequence[int], rest: bytes, deadline: float
) -> np.ndarray:
    frames = np.empty(shape, dtype=np.uint8)
    room = frames.data.cast("B")
    room[: len(rest)] = rest
    filled = len(rest)
    while filled < len(room):
        _wait_until(connection, deadline)
        count = connection.recv_into(room[filled:])
        if not count:
            raise EOFError
        filled += count
    return frames


def _wait_until(connection: socket.socket, deadline: float) -> None:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    connection.settimeout(left)
