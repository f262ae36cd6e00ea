"""Scenes to pixels: sprites scaled, turned and laid over a still background."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from data_pipelines.cut_outs import blend, turned
from data_pipelines.motion.scene import Frame, Pose
from data_pipelines.motion.sprites import Sprite


def draw_frames(
    frames: Sequence[Frame],
    cast: Sequence[Sprite],
    background: UInt8[np.ndarray, "side side 3"],
) -> UInt8[np.ndarray, "frames side side 3"]:
    """Every frame of a clip; equal frames have equal pixels wherever they stand in it.

    Args:
        frames: poses of the members of the cast, back to front.
        cast: sprites by number.
    """
    side = len(background)
    looks: dict[tuple, UInt8[np.ndarray, "height width 4"]] = {}
    drawn: dict[Frame, np.ndarray] = {}
    for frame in frames:
        if frame in drawn:
            continue
        canvas = background.copy()
        for pose in frame:
            look = (pose.actor, round(pose.size * side), round(pose.angle, 3))
            if look not in looks:
                looks[look] = turned(
                    cast[pose.actor].pixels, look[1], -pose.angle, resampling=Image.Resampling.BOX
                )
            _lay(canvas, looks[look], pose)
        drawn[frame] = canvas
    return np.stack([drawn[frame] for frame in frames])


def draw_background(rng: np.random.Generator, side: int) -> UInt8[np.ndarray, "side side 3"]:
    """A still ground of soft light patches of colour, another one for each scene."""
    patches = int(rng.integers(1, 5))
    base = rng.integers(96, 256, size=3)
    colours = np.clip(base + rng.integers(-64, 65, size=(patches, patches, 3)), 0, 255)
    small = Image.fromarray(colours.astype(np.uint8))
    return np.asarray(small.resize((side, side), Image.Resampling.BILINEAR)).copy()


def _lay(
    canvas: UInt8[np.ndarray, "side side 3"],
    look: UInt8[np.ndarray, "height width 4"],
    pose: Pose,
) -> None:
    """Blend a premultiplied picture into the canvas, centred where the pose says."""
    side = len(canvas)
    height, width = look.shape[:2]
    left, top = round(pose.x * side - width / 2), round(pose.y * side - height / 2)
    rows = slice(max(top, 0), min(top + height, side))
    columns = slice(max(left, 0), min(left + width, side))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return
    own = look[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    blend(canvas[rows, columns], own)
