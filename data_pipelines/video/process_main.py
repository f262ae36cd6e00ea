"""The process that decodes videos, so that a decoder that crashes or hangs takes nobody along.

Started by ``data_pipelines.video.process``, never by hand: ``python -m
data_pipelines.video.process_main FD MEMORY``. It says whether it can read videos; then over the
socket FD come jobs: a line of JSON, the bytes of a frame index and those of a video; back go a
line of JSON and an array, several of them where frames are asked for in parts.
"""

import ctypes
import json
import os
import resource
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from data_pipelines.errors import BadSampleError, ConfigError, DataError, reason_of
from data_pipelines.video.decoders import other_decoder
from data_pipelines.video.limits import DecodeLimits
from data_pipelines.video.reader import VideoReader
from data_pipelines.video.sampler import FrameSampling

_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of prctl(2)


Answer = tuple[dict[str, Any], np.ndarray]


def answers(job: dict[str, Any], index: bytes, video: bytes | Path) -> Iterator[Answer]:
    """What a job asks for: fields and an array, or several of them ("is_last" tells).

    Raises:
        BadSampleError: the video cannot give it.
        DataError: there is no such file.
    """
    limits = DecodeLimits(**job["limits"])
    with VideoReader.open(
        video, decoder=job["decoder"], limits=limits, index=index or None
    ) as reader:
        if job["ask"] == "parts":
            yield from _parts(reader, job)
            return
        fields, array = _ASKED[job["ask"]](reader, job)
        yield fields | {"was_redone": reader.was_redone, "uses_index": reader.uses_index}, array


def _info(reader: VideoReader, _job: dict[str, Any]) -> Answer:
    info = reader.info
    names = [name for name in info.__dataclass_fields__ if name != "starts"]
    return {name: getattr(info, name) for name in names}, info.starts


def _frames(reader: VideoReader, job: dict[str, Any]) -> Answer:
    try:
        return {}, reader.frames(job["numbers"])
    except IndexError as error:
        return {"no_frame": str(error)}, np.zeros(0, dtype=np.uint8)


def _frames_at(reader: VideoReader, job: dict[str, Any]) -> Answer:
    return {}, reader.frames_at(job["seconds"])


def _sample(reader: VideoReader, job: dict[str, Any]) -> Answer:
    numbers, frames = reader.sample(
        FrameSampling(**job["sampling"]), span=job["span"], draws=job["draws"]
    )
    return {"numbers": numbers, "seconds": reader.starts[numbers].tolist()}, frames


def _parts(reader: VideoReader, job: dict[str, Any]) -> Iterator[Answer]:
    sampling = FrameSampling(**job["sampling"])
    sizes = {"most": job["most"], "most_bytes": job["most_bytes"]}
    for part in reader.sample_in_parts(sampling, span=job["span"], **sizes):
        last = part.first + len(part.frames)
        seconds = reader.starts[list(part.numbers[part.first : last])].tolist()
        is_last = last == len(part.numbers)
        yield {"first": part.first, "is_last": is_last, "seconds": seconds}, part.frames


def _index(reader: VideoReader, _job: dict[str, Any]) -> Answer:
    return {}, np.frombuffer(reader.make_index().to_bytes(), dtype=np.uint8)


_ASKED = {
    "info": _info,
    "frames": _frames,
    "frames_at": _frames_at,
    "sample": _sample,
    "index": _index,
}


def main() -> None:
    """Serve jobs until the socket closes."""
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    connection = socket.socket(fileno=int(sys.argv[1]))
    limit = int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.environ["DECORD_EOF_RETRY_MAX"] = "512"  # default 10,240: seconds spent on a cut file
    stream = connection.makefile("rwb")
    stream.write(json.dumps(_greeting(sys.argv[3])).encode() + b"\n")
    stream.flush()
    for line in iter(stream.readline, b""):
        job = json.loads(line)
        index, data = stream.read(job["index_size"]), stream.read(job["size"])
        if len(data) < job["size"]:
            return
        replies = _replies(job, index, Path(job["path"]) if "path" in job else data)
        del data
        for reply, array in replies:
            reply |= {"shape": array.shape, "dtype": array.dtype.str}
            stream.write(json.dumps(reply).encode() + b"\n")
            if array.size:
                stream.write(np.ascontiguousarray(array).data.cast("B"))
            del array
            stream.flush()


def _greeting(decoder: Any) -> dict[str, str]:
    try:
        other_decoder(decoder)
    except ConfigError as error:
        return {"missing": str(error)}
    return {}


def _replies(job: dict[str, Any], index: bytes, video: bytes | Path) -> Iterator[Answer]:
    try:
        yield from answers(job, index, video)
        return
    except BadSampleError as error:
        fields = {"kind": error.kind, "reason": str(error).removeprefix(f"{error.kind}: ")}
    except DataError as error:
        fields = {"unreadable": str(error)}
    except (LookupError, ValueError, ArithmeticError, OSError, RuntimeError) as error:
        # PyAV passes on what FFmpeg made of senseless numbers.
        fields = {"kind": "broken video", "reason": f"{type(error).__name__}: {reason_of(error)}"}
    except MemoryError:
        fields = {"kind": "video needs too much memory", "reason": ""}
    yield fields, np.zeros(0, dtype=np.uint8)


if __name__ == "__main__":
    main()
