"""Roles of a stored sample beyond picture and text: clips, frames, sound, boxes, masks.

Each function takes what is stored and gives the role, empty or None where the sample has none.
Nothing decodes video, sound or pictures. What the roles are is said in ``data_pipelines.schema``.
"""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from data_pipelines.arrays import read_array
from data_pipelines.errors import BadSampleError
from data_pipelines.field_types import is_finite_number
from data_pipelines.image_formats import FORMAT_OF_SUFFIX
from data_pipelines.schema import (
    SOUND_SUFFIXES,
    VIDEO_SUFFIXES,
    Box,
    Clip,
    EncodedImage,
    EncodedSound,
    Frames,
    JsonValue,
    Mask,
)
from data_pipelines.video.frame_index import SUFFIX as INDEX_SUFFIX

_FRAME = re.compile(r"frame\.(\d{1,9})\.(png|jpe?g|webp)")
_FRAMES_ARRAY = "frames.npy"
_MASKS = {"mask.png": "mask", "seg.png": "seg"}
_PNG = b"\x89PNG\r\n\x1a\n"
_MAX_LISTED = 10_000


def clips_of(members: Mapping[str, bytes], fields: Mapping[str, JsonValue]) -> tuple[Clip, ...]:
    """Spans of the video of a sample, in the order of its json.

    Raises:
        BadSampleError: "broken clips": several videos, no video to the spans, or spans that are
            none.
    """
    videos = [(suffix, members[suffix]) for suffix in VIDEO_SUFFIXES if suffix in members]
    listed = _listed(fields, "clips")
    if len(videos) > 1:
        names = " and ".join(suffix for suffix, _ in videos)
        raise BadSampleError("broken clips", f"two videos, {names}; keep one in a sample")
    if not videos:
        if listed:
            known = ", ".join(VIDEO_SUFFIXES)
            raise BadSampleError("broken clips", f"spans without a video; add a member {known}")
        return ()
    ((suffix, data),) = videos
    index = members.get(INDEX_SUFFIX, b"")
    if listed is None:
        return (Clip(suffix, data, index=index),)
    return tuple(Clip(suffix, data, *_span(span), index=index) for span in listed)


def _span(span: JsonValue) -> tuple[float, float | None, str]:
    own: dict[str, Any] = span if isinstance(span, dict) else {}
    start: Any = own.get("start")
    end, caption = own.get("end"), own.get("caption", "")
    is_span = (
        is_finite_number(start)
        and start >= 0
        and (end is None or (is_finite_number(end) and start < end))
    )
    if not is_span or not isinstance(caption, str):
        raise BadSampleError(
            "broken clips",
            f'{_shown(span)} is no span; write {{"start": 0.5, "end": 2.0}} in seconds',
        )
    return float(start), None if end is None else float(end), caption.strip()


def frames_of(members: Mapping[str, bytes]) -> Frames | None:
    """The frames of a sample in order of time; None where it has none.

    Raises:
        BadSampleError: "broken frames": a number is missing or there twice, or an array of
            another kind or shape; "broken array".
    """
    if _FRAMES_ARRAY in members:
        pixels = read_array(members[_FRAMES_ARRAY], _FRAMES_ARRAY)
        if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[-1] != 3 or not pixels.size:
            raise BadSampleError(
                "broken frames",
                f"{_FRAMES_ARRAY} holds {pixels.dtype} of shape {pixels.shape}; store uint8 of "
                "frames x height x width x 3",
            )
        return Frames((), pixels)
    found = [(int(m[1]), m[2], data) for s, data in members.items() if (m := _FRAME.fullmatch(s))]
    if not found:
        return None
    found.sort(key=lambda frame: frame[0])
    numbers = [number for number, _, _ in found]
    if numbers != list(range(numbers[0], numbers[0] + len(found))):
        raise BadSampleError(
            "broken frames",
            f"{len(found)} frames are numbered {numbers[0]} to {numbers[-1]}; number them one by "
            "one",
        )
    return Frames(tuple(EncodedImage(FORMAT_OF_SUFFIX[suffix], data) for _, suffix, data in found))


def sound_of(members: Mapping[str, bytes]) -> EncodedSound | None:
    """The encoded sound of a sample; None where it has none.

    Raises:
        BadSampleError: "broken sound": several sounds, or an empty one.
    """
    found = [suffix for suffix in SOUND_SUFFIXES if suffix in members]
    if not found:
        return None
    if len(found) > 1:
        raise BadSampleError(
            "broken sound", f"two sounds, {' and '.join(found)}; keep one in a sample"
        )
    if not members[found[0]]:
        raise BadSampleError("broken sound", f"{found[0]} is empty; store the sound again")
    return EncodedSound(found[0], members[found[0]])


def boxes_of(fields: Mapping[str, JsonValue]) -> tuple[Box, ...]:
    """The boxes that the json of a sample lists.

    Raises:
        BadSampleError: "broken boxes": an entry is no box, or its sides are not in order.
    """
    return tuple(_box(entry) for entry in _listed(fields, "boxes") or ())


def _box(entry: JsonValue) -> Box:
    sides: Any = entry.get("box") if isinstance(entry, dict) else entry
    label: Any = entry.get("label") if isinstance(entry, dict) else None
    is_box = isinstance(sides, list) and len(sides) == 4 and all(map(is_finite_number, sides))
    is_label = label is None or (isinstance(label, str | int) and not isinstance(label, bool))
    if not is_box or not is_label or sides[0] >= sides[2] or sides[1] >= sides[3]:
        raise BadSampleError(
            "broken boxes",
            f"{_shown(entry)} is no box; write [left, top, right, bottom] in pixels, or "
            '{"box": [...], "label": "dog"}',
        )
    return Box(*map(float, sides), label=label)


def masks_of(members: Mapping[str, bytes]) -> tuple[Mask, ...]:
    """The masks of a sample.

    Raises:
        BadSampleError: "broken mask": a member is no PNG.
    """
    for suffix in _MASKS:
        if suffix in members and not members[suffix].startswith(_PNG):
            raise BadSampleError("broken mask", f"{suffix} is no PNG; store the mask again")
    return tuple(
        Mask(name, members[suffix]) for suffix, name in _MASKS.items() if suffix in members
    )


def _listed(fields: Mapping[str, JsonValue], name: str) -> list[JsonValue] | None:
    listed = fields.get(name)
    if listed is not None and not isinstance(listed, list):
        raise BadSampleError(f"broken {name}", f"'{name}' of json is no list: {_shown(listed)}")
    if listed is not None and len(listed) > _MAX_LISTED:
        raise BadSampleError(f"broken {name}", f"{len(listed):,} entries; keep {_MAX_LISTED:,}")
    return listed


def _shown(value: JsonValue) -> str:
    return " ".join(repr(value).split())[:80]
