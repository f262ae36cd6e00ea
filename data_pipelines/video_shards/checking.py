"""What is wrong with the video or the frames of a stored sample; decoding is guarded."""

import io
from collections.abc import Mapping

from data_pipelines.errors import BadSampleError, DataError
from data_pipelines.images import check_image
from data_pipelines.schema import VIDEO_SUFFIXES, Clip, Frames
from data_pipelines.shards.stored_sample import StoredSample
from data_pipelines.video.frame_index import FrameIndex, digest_of
from data_pipelines.video.info import VideoInfo
from data_pipelines.video.process import shared_process
from data_pipelines.video.sampler import frames_of_span

#: Frames of a video that are decoded, the first and the last among them.
_NUM_FRAMES = 8

Problem = tuple[str, str]


def has_moving_content(members: Mapping[str, bytes]) -> bool:
    """Whether a sample holds a video or a sequence of frames."""
    is_frame = (suffix.startswith(("frame.", "frames.npy")) for suffix in members)
    return any(suffix in members for suffix in VIDEO_SUFFIXES) or any(is_frame)


def check_moving_content(members: Mapping[str, bytes]) -> list[Problem]:
    """Kind and detail of each problem of a sample that has it.

    Raises:
        MissingDecoderError: this machine cannot read videos.
    """
    sample = StoredSample("", members)
    try:
        clips, frames = sample.clips, sample.frames
        problems = _of_clips(clips) if clips else []
        return [*problems, *(_of_frames(frames) if frames is not None else ())]
    except BadSampleError as error:
        return [(error.kind, str(error).removeprefix(f"{error.kind}: "))]
    except DataError:
        return []  # a broken json, which its captions tell of


def _of_clips(clips: tuple[Clip, ...]) -> list[Problem]:
    """Raises ``BadSampleError`` where the video cannot be decoded."""
    process, data = shared_process(), clips[0].data
    info = process.info(data)
    process.sample(data, _NUM_FRAMES, "uniform")
    problems = []
    for clip in clips:
        if clip.start or clip.end is not None:
            problems += _of_span(clip, info)
    return [*problems, *_of_index(clips[0])]


def _of_span(clip: Clip, info: VideoInfo) -> list[Problem]:
    try:
        frames_of_span(info.starts, info.duration, (clip.start, clip.end))
    except BadSampleError as error:
        return [("span outside the video", str(error).removeprefix(f"{error.kind}: "))]
    return []


def _of_index(clip: Clip) -> list[Problem]:
    if not clip.index:
        return []
    try:
        index = FrameIndex.from_bytes(clip.index)
    except BadSampleError as error:
        return [(error.kind, str(error).removeprefix(f"{error.kind}: "))]
    if index.digest != digest_of(io.BytesIO(clip.data)):
        return [("frame index of another video", "training does not use it; build it anew")]
    return []


def _of_frames(frames: Frames) -> list[Problem]:
    problems, sizes = [], set()
    for number, image in enumerate(frames.images):
        try:
            info = check_image(image.data)
        except DataError as error:
            kind, _, detail = str(error).partition(": ")
            problems.append((kind, f"frame {number}: {detail}"))
        else:
            sizes.add((info.width, info.height))
    if len(sizes) > 1:
        problems.append(("frames of different sizes", f"{sorted(sizes)[:3]}"))
    return problems
