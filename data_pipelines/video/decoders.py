"""Decoders besides PyAV: faster on some machines, checked by the times that PyAV reads."""

from collections.abc import Callable
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Float64

from data_pipelines.errors import ConfigError
from data_pipelines.video.errors import MissingDecoderError
from data_pipelines.video.limits import Source
from data_pipelines.video.opening import require_av
from data_pipelines.video.runs_of_packets import MismatchError
from data_pipelines.video.table import FrameTable

DecoderName = Literal["pyav", "torchcodec", "decord"]
DECODERS: tuple[str, ...] = get_args(DecoderName)

#: Gives the pixels of frames by their numbers.
OtherDecoder = Callable[[Source, list[int], FrameTable], dict[int, np.ndarray]]

_CLOCK = 1e-3  # seconds; decord's times are 32-bit floats


def other_decoder(name: str) -> OtherDecoder | None:
    """The decoder of a name; None for PyAV.

    Raises:
        ConfigError: no decoder is called so.
        MissingDecoderError: it or PyAV does not import.
    """
    if name not in DECODERS:
        raise ConfigError(f"no video decoder '{name}'; choose {', '.join(DECODERS)}")
    require_av()
    if name == "pyav":
        return None
    _require(name)
    return {"torchcodec": _torchcodec, "decord": _decord}[name]


def _require(name: str) -> None:
    try:
        if name == "torchcodec":
            import torchcodec.decoders  # pyright: ignore[reportMissingImports]  # noqa: F401
        else:
            import decord  # noqa: F401
    except (ImportError, OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:160]
        raise MissingDecoderError(
            f"this machine cannot read videos by {name}: it does not import ({reason}); install "
            "it, or set the decoder to pyav"
        ) from error


def _torchcodec(source: Source, numbers: list[int], table: FrameTable) -> dict[int, np.ndarray]:
    """By torchcodec's exact mode, whose frames carry their times; frames come upright."""
    from torchcodec.decoders import VideoDecoder  # pyright: ignore[reportMissingImports]

    source.seek(0)
    try:
        decoder = VideoDecoder(
            source.read(), dimension_order="NHWC", num_ffmpeg_threads=1, seek_mode="exact"
        )
        if len(decoder) != len(table):
            raise MismatchError(f"{len(decoder)} frames, expected {len(table)}")
        batch = decoder.get_frames_at(numbers)
    except (RuntimeError, ValueError, IndexError) as error:
        raise MismatchError(str(error)) from error
    _check_times(batch.pts_seconds.numpy(), table, numbers)
    return dict(zip(numbers, batch.data.numpy(), strict=True))


def _decord(source: Source, numbers: list[int], table: FrameTable) -> dict[int, np.ndarray]:
    """By decord, in containers whose packets tell of their frames: elsewhere it gives others."""
    import decord

    source.seek(0)
    try:
        # At most one frame may be made up by the decoder; its default is any number.
        reader: Any = decord.VideoReader(source, num_threads=1, fault_tol=1)
        if len(reader) != len(table):
            raise MismatchError(f"{len(reader)} frames, expected {len(table)}")
        starts = np.asarray(reader.get_frame_timestamp(numbers))[:, 0].astype(np.float64)
        _check_times(starts, table, numbers)
        frames = reader.get_batch(numbers).asnumpy()
    except (decord.DECORDError, RuntimeError, ValueError, IndexError, StopIteration) as error:
        raise MismatchError(" ".join(str(error).split())[:160]) from error
    return dict(zip(numbers, frames, strict=True))


def _check_times(
    times: Float64[np.ndarray, " frames"], table: FrameTable, numbers: list[int]
) -> None:
    expected = table.start + table.starts[numbers]
    if np.abs(times - expected).max() > _CLOCK:
        raise MismatchError("frames with other time stamps came back")
