"""Stored clips: a scene drawn, shown in two orders, encoded, with true and false sentences."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from data_pipelines.errors import ConfigError
from data_pipelines.motion.drawing import draw_background, draw_frames
from data_pipelines.motion.encoding import CODINGS, Coding, encode_video
from data_pipelines.motion.kinds import KINDS, Kind
from data_pipelines.motion.scene import UNITS, Frame, Pose, Take, both_ways, spread
from data_pipelines.motion.sprites import Sprite
from data_pipelines.schema import JsonValue, Sample, make_uid

FRAMES = range(8, 257)
SIDES = range(32, 1025)


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipSettings:
    """What all clips of a set have in common.

    Args:
        num_frames: of a clip, a multiple of 8 from 8 to 256.
        side: of the square picture in pixels, even.
        fps: frames a second.
        kinds: of question, in turn.
        distractors: sprites at most that no sentence names.
        moving_distractors: whether they move too, where the kind can be played backwards.
        coding: see ``encoding.Coding``.
        gop: frames from one key frame to the next.
    """

    num_frames: int = 16
    side: int = 48
    fps: int = 8
    kinds: tuple[str, ...] = tuple(KINDS)
    distractors: int = 1
    moving_distractors: bool = False
    coding: Coding = "lossless"
    gop: int = 12

    def __post_init__(self) -> None:
        if self.num_frames not in FRAMES or self.num_frames % UNITS:
            raise ConfigError(f"clips of {self.num_frames} frames; take a multiple of 8 up to 256")
        if self.side not in SIDES or self.side % 2:
            raise ConfigError(f"clips of {self.side} pixels; take an even number from 32 to 1024")
        if not self.kinds or (unknown := sorted(set(self.kinds) - set(KINDS))):
            named = ", ".join(unknown) if self.kinds else "none given"
            raise ConfigError(f"no kind of question '{named}'; known: {', '.join(KINDS)}")
        if self.coding not in CODINGS:
            raise ConfigError(f"no coding '{self.coding}'; known: {', '.join(CODINGS)}")
        if self.fps < 1 or self.gop < 1 or not 0 <= self.distractors <= 8:
            raise ConfigError("clips: fps and gop are at least 1, distractors 0 to 8")


class Digests:
    """What a split is told by: its questions, its pixels before coding, its files."""

    def __init__(self) -> None:
        self._parts = {name: hashlib.sha256() for name in ("questions", "pixels", "files")}

    def add(self, fields: dict[str, JsonValue], pixels: np.ndarray, data: bytes) -> None:
        """Count in one clip, in order."""
        self._parts["questions"].update(json.dumps(fields, sort_keys=True).encode() + b"\n")
        self._parts["pixels"].update(hashlib.sha256(pixels.tobytes()).digest())
        self._parts["files"].update(hashlib.sha256(data).digest())

    def hexadecimal(self) -> dict[str, JsonValue]:
        """SHA-256 of each part."""
        return {name: digest.hexdigest() for name, digest in self._parts.items()}


def make_clips(
    sprites: Sequence[Sprite],
    settings: ClipSettings,
    *,
    split: str,
    seed: int,
    num_clips: int,
    digests: Digests,
) -> Iterator[Sample]:
    """Clips in pairs: the same frames in two orders, kinds in turn.

    Args:
        sprites: to draw from, at least one that shows turning.
        split: goes into keys and draws.
        seed: of all draws, with the split and the number of the pair.
        num_clips: an even number.
        digests: filled as clips are made.
    """
    turning = [sprite for sprite in sprites if sprite.shows_turning]
    for number in range(num_clips // 2):
        name = settings.kinds[number % len(settings.kinds)]
        kind = KINDS[name]
        rng = _generator(split, seed, number)
        first = _drawn(rng, turning if kind.needs_turning else sprites, 1)
        others = [sprite for sprite in sprites if sprite is not first[0]]
        num_others = kind.num_actors - 1 + int(rng.integers(settings.distractors + 1))
        cast = first + _drawn(rng, others, min(num_others, len(others)))
        take = kind.draw(tuple(s.name for s in cast[: kind.num_actors]), settings.num_frames, rng)
        take = _with_distractors(take, kind, cast, settings, rng)
        background = draw_background(rng, settings.side)
        wording = int(rng.integers(len(take.wordings)))
        pair = f"{split}/{seed}/{number:06d}"
        for which, frames in enumerate((take.first, take.second)):
            fields = _fields(take, which, wording, rng)
            fields |= _provenance(name, kind, pair, which, cast, settings)
            pixels = draw_frames(frames, cast, background)
            data = encode_video(pixels, fps=settings.fps, coding=settings.coding, gop=settings.gop)
            digests.add(fields, pixels, data)
            captions = fields.pop("captions")
            assert isinstance(captions, list)
            key = f"{pair}/{which}"
            yield Sample(
                uid=make_uid("motion", key, hashlib.sha256(pixels.tobytes()).digest()),
                image=data,
                image_suffix="mp4",
                captions=tuple(captions),
                provenance={"key": key, **fields},
            )


def _fields(take: Take, which: int, wording: int, rng: np.random.Generator) -> dict[str, JsonValue]:
    """The sentences of one clip of a pair: true, false, and as options."""
    order = [wording, *(i for i in range(len(take.wordings)) if i != wording)]
    told = [take.wordings[i] for i in order]
    options = list(told[0])
    shuffled = [options[int(i)] for i in rng.permutation(len(options))]
    return {
        "captions": [sentences[which] for sentences in told],
        "contrast": [sentences[1 - which] for sentences in told],
        "options": list(shuffled),
        "answer": shuffled.index(options[which]),
    }


def _provenance(
    name: str,
    kind: Kind,
    pair: str,
    which: int,
    cast: Sequence[Sprite],
    settings: ClipSettings,
) -> dict[str, JsonValue]:
    named, others = cast[: kind.num_actors], cast[kind.num_actors :]
    return {
        "source": "motion",
        "kind": name,
        "frames_as_twin": "backwards" if kind.mirrored else "in another order",
        "pair": pair,
        "take": which,
        "sprites": [sprite.key for sprite in named],
        "distractors": [sprite.key for sprite in others],
        "frames": settings.num_frames,
        "fps": settings.fps,
        "width": settings.side,
        "height": settings.side,
    }


def _with_distractors(
    take: Take,
    kind: Kind,
    cast: Sequence[Sprite],
    settings: ClipSettings,
    rng: np.random.Generator,
) -> Take:
    """The same pair with unnamed sprites behind it, still or moving along with the scene."""
    moves = settings.moving_distractors and kind.mirrored
    paths = [_path(actor, moves, rng) for actor in range(kind.num_actors, len(cast))]
    if not paths:
        return take

    def behind(time: float) -> Frame:
        return tuple(
            Pose(actor, x + (to_x - x) * time, y + (to_y - y) * time, size)
            for actor, x, y, to_x, to_y, size in paths
        )

    extras = both_ways(settings.num_frames, behind)
    first = tuple(extra + frame for extra, frame in zip(extras, take.first, strict=True))
    if kind.mirrored:
        return take._replace(first=first, second=first[::-1])
    return take._replace(first=first, second=tuple(extras[0] + frame for frame in take.second))


def _path(
    actor: int, moves: bool, rng: np.random.Generator
) -> tuple[int, float, float, float, float, float]:
    x, y, size = spread(rng, 0.1, 0.9), spread(rng, 0.1, 0.9), spread(rng, 0.16, 0.26)
    if not moves:
        return actor, x, y, x, y, size
    return actor, x, y, spread(rng, 0.1, 0.9), spread(rng, 0.1, 0.9), size


def _drawn(rng: np.random.Generator, sprites: Sequence[Sprite], count: int) -> list[Sprite]:
    return [sprites[int(i)] for i in rng.choice(len(sprites), size=count, replace=False)]


def _generator(split: str, seed: int, number: int) -> np.random.Generator:
    digest = hashlib.sha256(f"motion/{split}/{seed}/{number}".encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "big")))
