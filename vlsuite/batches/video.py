"""Encoded video to frames as tensors, decoded in a guarded process."""

import numpy as np
import torch
from einops import rearrange
from jaxtyping import UInt8
from torch import Tensor

from data_pipelines.video.process import VideoProcess, shared_process
from data_pipelines.video.sampler import Sampler


def decode_video(
    data: bytes,
    *,
    num_frames: int,
    sampler: Sampler = "segments",
    rng: np.random.Generator | None = None,
    seconds: tuple[float, float | None] | None = None,
    index: bytes = b"",
    process: VideoProcess | None = None,
) -> UInt8[Tensor, "num_frames 3 height width"]:
    """Frames of a video in order of time, upright.

    Args:
        data: MP4, WebM, MKV, AVI, MPEG or anything else FFmpeg reads, with a video stream.
        sampler: how they are chosen; by default one of each of equal stretches.
        rng: draws a frame of each stretch; None takes the middle ones.
        seconds: start and end of the part to choose from; None is all of it.
        index: of the video's frames, where the shard has one.
        process: that decodes; None is the one that all callers of this process share.
    Raises:
        BadSampleError: see ``VideoProcess``.
        MissingDecoderError: this machine has no decoder, which is no fault of any video.
    """
    clip = (process or shared_process()).sample(
        data, num_frames, sampler, span=seconds, generator=rng, index=index
    )
    return rearrange(torch.from_numpy(clip.frames), "f h w c -> f c h w").contiguous()
