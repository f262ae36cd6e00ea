"""Frames of a video by way of a guarded process: broken input ends as an error, always.

FFmpeg crashes or hangs on some broken files. So it runs in a process of its own, with limits on
time and memory, that is killed and replaced when it fails.
"""

import functools
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

from data_pipelines.errors import BadSampleError, DataError
from data_pipelines.video.decoders import DecoderName
from data_pipelines.video.errors import MissingDecoderError
from data_pipelines.video.info import VideoInfo
from data_pipelines.video.limits import DecodeLimits
from data_pipelines.video.sampler import FrameSampling, Sampler

_MAX_REPLY = 1 << 20  # bytes of the line before an array
_START_SECONDS = 60.0  # for the process to import what it needs


@dataclass(frozen=True, kw_only=True, slots=True)
class ProcessLimits:
    """What one video may cost.

    Attributes:
        seconds: of wall clock, start of the process excepted.
        memory_bytes: of address space of the process; it takes about 0.5 GB for itself, and
            several more with torchcodec.
        max_bytes: of the encoded video.
        decode: of what comes out.
    """

    seconds: float = 10.0
    memory_bytes: int = 4 << 30
    max_bytes: int = 1 << 30
    decode: DecodeLimits = field(default_factory=DecodeLimits)


class SampledClip(NamedTuple):
    """Frames that stand for a video or a part of it.

    Attributes:
        frames: upright RGB pixels, in order of time.
        numbers: of the frames in the video, from 0.
        seconds: at which they are shown, counted from the first frame of the video.
        sampling: how they were chosen; results carry it.
    """

    frames: UInt8[np.ndarray, "num_frames height width 3"]
    numbers: tuple[int, ...]
    seconds: tuple[float, ...]
    sampling: FrameSampling


class ClipPart(NamedTuple):
    """Some frames of a clip.

    Attributes:
        first: place of the first of them in the clip; a part replaces an earlier one.
        frames: upright RGB pixels, in order of time.
        seconds: at which they are shown, counted from the first frame of the video.
    """

    first: int
    frames: UInt8[np.ndarray, "frames height width 3"]
    seconds: tuple[float, ...]


@functools.cache
def shared_process(decoder: DecoderName = "pyav") -> "VideoProcess":
    """The one that all of this process may use, for one thread."""
    return VideoProcess(decoder=decoder)


class VideoProcess:
    """A decoding process, started when the first video comes and replaced when it fails.

    For one thread. After a fork, the child starts a process of its own; pickling passes on the
    settings only. Videos are encoded bytes or paths of files, and all methods raise

    - BadSampleError: "zero bytes", "video too large", "truncated video", "broken video", "no
      frames", "too many frames", "too many pixels", "time stamps without sense", "video needs too
      much memory", "video hung the decoder" or "video crashed the decoder".
    - MissingDecoderError: this machine has no decoder, which is no fault of any video.

    Args:
        decoder: see ``VideoReader``.
    """

    def __init__(
        self, limits: ProcessLimits | None = None, *, decoder: DecoderName = "pyav"
    ) -> None:
        self.limits = limits or ProcessLimits()
        self.decoder: DecoderName = decoder
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: socket.socket | None = None
        self._owner = 0  # process id
        self._ahead = b""  # received of the next part of an answer

    def __reduce__(self) -> tuple[Any, ...]:
        return _remade, (self.limits, self.decoder)

    def __enter__(self) -> "VideoProcess":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """Of the process that decodes now; None before the first video."""
        return None if self._process is None else self._process.pid

    def check(self) -> None:
        """Find out before the first video whether this machine can read any.

        Raises:
            MissingDecoderError: it cannot.
        """
        self._ready()

    def info(self, video: bytes | Path, *, index: bytes = b"") -> VideoInfo:
        """See ``VideoReader.info``."""
        fields, starts = self._ask("info", video, index)
        return VideoInfo(starts=starts, **{name: fields[name] for name in _INFO_FIELDS})

    def frames(
        self, video: bytes | Path, indices: Iterable[int], *, index: bytes = b""
    ) -> UInt8[np.ndarray, "frames height width 3"]:
        """See ``VideoReader.frames``.

        Raises:
            IndexError: there is no such frame.
        """
        numbers = [int(number) for number in indices]
        fields, frames = self._ask("frames", video, index, numbers=numbers)
        if "no_frame" in fields:
            raise IndexError(fields["no_frame"])
        return frames

    def frames_at(
        self, video: bytes | Path, seconds: Sequence[float], *, index: bytes = b""
    ) -> UInt8[np.ndarray, "frames height width 3"]:
        """See ``VideoReader.frames_at``."""
        return self._ask("frames_at", video, index, seconds=[float(s) for s in seconds])[1]

    def sample(
        self,
        video: bytes | Path,
        num_frames: int,
        sampler: Sampler = "segments",
        *,
        span: tuple[float, float | None] | None = None,
        generator: np.random.Generator | None = None,
        index: bytes = b"",
    ) -> SampledClip:
        """Choose frames and decode them; see ``sample_frames``.

        Args:
            span: start and end in seconds from the first frame.
            generator: draws ``num_frames`` numbers, whatever the video; None takes the middles.
        """
        sampling = FrameSampling(
            sampler=sampler, num_frames=num_frames, is_random=generator is not None
        )
        draws = None if generator is None else generator.random(num_frames).tolist()
        fields, frames = self._ask(
            "sample", video, index, sampling=sampling.to_json(), span=span, draws=draws
        )
        return SampledClip(frames, tuple(fields["numbers"]), tuple(fields["seconds"]), sampling)

    def sample_in_parts(
        self,
        video: bytes | Path,
        sampling: FrameSampling,
        *,
        most: int,
        most_bytes: int = 0,
        span: tuple[float, float | None] | None = None,
        index: bytes = b"",
    ) -> Iterator["ClipPart"]:
        """What ``sample`` gives, some frames at a time; see ``VideoReader.sample_in_parts``.

        The limit of time is that of a part. An iteration that is left ends the process.

        Args:
            most, most_bytes: of a part.
        """
        details = {
            "sampling": sampling.to_json(),
            "span": span,
            "most": most,
            "most_bytes": most_bytes,
        }
        is_whole = False
        try:
            answer = self._ask("parts", video, index, **details)
            while True:
                fields, frames = answer
                is_last = fields["is_last"]
                is_whole = is_last
                yield ClipPart(fields["first"], frames, tuple(fields["seconds"]))
                if is_last:
                    return
                answer = self._next()
        except (BadSampleError, DataError):
            is_whole = True
            raise
        finally:
            if not is_whole:
                self.close()

    def make_index(self, video: bytes | Path) -> bytes:
        """See ``make_index`` of ``data_pipelines.video.reader``."""
        return self._ask("index", video, b"")[1].tobytes()

    def close(self) -> None:
        """End the process; the next video starts another."""
        if self._connection is not None:
            self._connection.close()
        if self._process is not None and self._owner == os.getpid():
            self._process.kill()
            self._process.wait()
        self._process = self._connection = None
        self._ahead = b""

    def _ask(
        self, ask: str, video: bytes | Path, index: bytes, **details: Any
    ) -> tuple[dict[str, Any], np.ndarray]:
        data = video if isinstance(video, bytes) else b""
        size = len(data) if isinstance(video, bytes) else _size_of(video)
        if not size:
            raise BadSampleError("zero bytes", "the video is empty")
        if size > self.limits.max_bytes:
            raise BadSampleError("video too large", f"{size} bytes")
        job = {
            "ask": ask,
            "size": len(data),
            "index_size": len(index),
            "decoder": self.decoder,
            "limits": asdict(self.limits.decode),
            **details,
        }
        if not isinstance(video, bytes):
            job["path"] = str(video)
        return self._result(job, index, data)

    def _result(
        self, job: Mapping[str, Any], index: bytes, data: bytes
    ) -> tuple[dict[str, Any], np.ndarray]:
        connection = self._ready()
        return self._received(connection, json.dumps(job).encode() + b"\n" + index, data)

    def _next(self) -> tuple[dict[str, Any], np.ndarray]:
        """The next part of an answer in parts."""
        assert self._connection is not None
        return self._received(self._connection)

    def _received(
        self, connection: socket.socket, *sent: bytes
    ) -> tuple[dict[str, Any], np.ndarray]:
        deadline = time.monotonic() + self.limits.seconds
        try:
            connection.settimeout(self.limits.seconds)
            for data in sent:
                connection.sendall(data)
            reply, rest = _reply(connection, deadline, self._ahead)
            array, self._ahead = _array(connection, reply, rest, deadline)
        except TimeoutError:
            self.close()
            raise BadSampleError(
                "video hung the decoder", f"no frames after {self.limits.seconds:g} s"
            ) from None
        except (OSError, EOFError):
            raise BadSampleError("video crashed the decoder", self._obituary()) from None
        except BaseException:
            # Half a reply may be under way after an interrupt: the process is of no more use.
            self.close()
            raise
        if "kind" in reply:
            raise BadSampleError(reply["kind"], reply["reason"])
        if "unreadable" in reply:
            raise DataError(reply["unreadable"])
        return reply, array

    def _ready(self) -> socket.socket:
        is_ours = self._owner == os.getpid()
        if is_ours and self._process is not None and self._process.poll() is None:
            assert self._connection is not None
            return self._connection
        self.close()
        ours, theirs = socket.socketpair()
        with theirs:
            arguments = (str(theirs.fileno()), str(self.limits.memory_bytes), self.decoder)
            self._process = subprocess.Popen(
                [sys.executable, "-m", "data_pipelines.video.process_main", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            )
        self._connection, self._owner = ours, os.getpid()
        self._greet(ours)
        return ours

    def _greet(self, connection: socket.socket) -> None:
        """Wait until the process has imported what it needs."""
        try:
            greeting, _ = _reply(connection, time.monotonic() + _START_SECONDS)
        except (OSError, EOFError) as error:
            ended = "no answer" if isinstance(error, TimeoutError) else self._obituary()
            self.close()
            raise MissingDecoderError(
                f"this machine cannot read videos: the decoding process does not start ({ended}); "
                "run 'vlsuite doctor'"
            ) from error
        except BaseException:
            self.close()
            raise
        if "missing" in greeting:
            self.close()
            raise MissingDecoderError(greeting["missing"])

    def _obituary(self) -> str:
        """How the process ended."""
        assert self._process is not None
        try:
            code = self._process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            code = None
        self.close()
        return f"signal {-code}" if code and code < 0 else f"exit status {code}"


_INFO_FIELDS = tuple(name for name in VideoInfo.__dataclass_fields__ if name != "starts")


def _remade(limits: ProcessLimits, decoder: DecoderName) -> VideoProcess:
    return VideoProcess(limits, decoder=decoder)


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise DataError(f"cannot read the video {path}: {error.strerror}") from error


def _reply(
    connection: socket.socket, deadline: float, ahead: bytes = b""
) -> tuple[dict[str, Any], bytes]:
    """The line of JSON, and what was received after it.

    Args:
        ahead: what was received before.
    """
    received = bytearray(ahead)
    while b"\n" not in received:
        _wait_until(connection, deadline)
        part = connection.recv(_MAX_REPLY)
        if not part or len(received) > _MAX_REPLY:
            raise EOFError
        received += part
    line, _, rest = bytes(received).partition(b"\n")
    return json.loads(line), rest


def _array(
    connection: socket.socket, reply: Mapping[str, Any], rest: bytes, deadline: float
) -> tuple[np.ndarray, bytes]:
    """The array, and what was received after it."""
    array = np.empty(reply["shape"], dtype=np.dtype(reply["dtype"]))
    if not array.size:
        return array, rest
    room = array.data.cast("B")
    filled = min(len(rest), len(room))
    room[:filled] = rest[:filled]
    left = rest[filled:]
    while filled < len(room):
        _wait_until(connection, deadline)
        count = connection.recv_into(room[filled:])
        if not count:
            raise EOFError
        filled += count
    return array, left


def _wait_until(connection: socket.socket, deadline: float) -> None:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    connection.settimeout(left)
