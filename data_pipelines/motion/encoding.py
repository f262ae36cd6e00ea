"""Frames to mp4 whose decoded frames do not depend on their order.

An ordinary lossy encoder gives a frame other errors in another place, so what is left of it would
tell the order to whoever looks at single frames. Here each frame comes back the same wherever it
stands: without loss, or each coded alone with one quantiser.

The bytes rest on the coding library that PyAV bundles and on the settings here: one thread, fixed
rates, no time stamps of the day. Conversion to YUV is done here in whole numbers, so that no
machine rounds it in another way.
"""

import io
from fractions import Fraction
from typing import Any, Literal, get_args

import av
import numpy as np
from jaxtyping import UInt8

from data_pipelines.errors import DataError

#: "lossless": H.264 with predicted frames, smallest, for every decoder that is FFmpeg. "intra":
#: H.264 of key frames alone, which every player and GPU shows. "mpeg4": key frames alone, for
#: builds of FFmpeg without x264.
Coding = Literal["lossless", "intra", "mpeg4"]
CODINGS: tuple[str, ...] = get_args(Coding)

_CODEC = {"lossless": "libx264", "intra": "libx264", "mpeg4": "mpeg4"}
_OPTIONS = {
    "lossless": {"qp": "0", "preset": "veryfast", "threads": "1"},
    "intra": {"qp": "14", "preset": "veryfast", "threads": "1"},
    "mpeg4": {"qmin": "2", "qmax": "2", "threads": "1"},
}


def encode_video(
    frames: UInt8[np.ndarray, "frames height width 3"],
    *,
    fps: int,
    coding: Coding = "lossless",
    gop: int = 12,
) -> bytes:
    """An mp4 file; equal frames, settings and libraries give equal bytes.

    Args:
        frames: RGB, of even height and width.
        fps: frames a second.
        coding: see ``Coding``.
        gop: frames from one key frame to the next, for "lossless".
    Raises:
        DataError: the size is odd, or this PyAV has no such encoder.
    """
    height, width = frames.shape[1:3]
    if height % 2 or width % 2:
        raise DataError(f"frames of {width} x {height} pixels; H.264 needs even sides")
    if _CODEC[coding] not in av.codecs_available:
        raise DataError(
            f"this PyAV has no encoder {_CODEC[coding]}; choose --coding mpeg4, or install PyAV "
            "from a wheel"
        )
    stream_of_bytes = io.BytesIO()
    options = {"fflags": "+bitexact"}
    with av.open(stream_of_bytes, "w", format="mp4", options=options) as container:
        stream: Any = container.add_stream(_CODEC[coding], rate=fps, options=_OPTIONS[coding])
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        context = stream.codec_context
        context.thread_count = 1
        context.gop_size = gop if coding == "lossless" else 1
        context.time_base = Fraction(1, fps)
        for number, planes in enumerate(to_yuv420(frames)):
            picture = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            picture.pts = number
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return stream_of_bytes.getvalue()


def to_yuv420(
    frames: UInt8[np.ndarray, "frames height width 3"],
) -> UInt8[np.ndarray, "frames rows width"]:
    """BT.601, limited range: 16 bits of fraction; colour is the mean of two by two pixels.

    Returns:
        Y above U above V, as PyAV takes planar frames.
    """
    count, height, width, _ = frames.shape
    rgb = frames.astype(np.int32)
    weights = np.array([[16829, 33039, 6416], [-9714, -19071, 28785], [28784, -24103, -4681]])
    luma = (rgb @ weights[0] + (16 << 16) + (1 << 15)) >> 16
    blocks = rgb.reshape(count, height // 2, 2, width // 2, 2, 3).sum(axis=(2, 4))
    chroma = (blocks @ weights[1:].T + (128 << 18) + (1 << 17)) >> 18
    planes = np.empty((count, height * 3 // 2, width), dtype=np.uint8)
    planes[:, :height] = luma
    planes[:, height:] = chroma.transpose(0, 3, 1, 2).reshape(count, height // 2, width)
    return planes
