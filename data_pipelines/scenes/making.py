"""Scenes of a split as samples to store, and crops with captions to train a teacher on."""

import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from data_pipelines.detection.stored import to_fields
from data_pipelines.detection.vocabulary import BASE, NOVEL
from data_pipelines.errors import ConfigError
from data_pipelines.scenes.backgrounds import Backgrounds
from data_pipelines.scenes.categories import Chosen
from data_pipelines.scenes.drawing import Actor, draw_scene
from data_pipelines.scenes.looks import Look, draw_look, lay
from data_pipelines.schema import JsonValue, Sample, make_uid

#: Captions of the teacher; a picture has one of them, with a name or a keyword of its sprite.
TEACHER_TEMPLATES = ("a photo of a {c}.", "a picture of a {c}.", "a {c}.", "{c}")

_QUALITY = 95
_ROOM = (1.0, 1.7)  # side of a teacher's crop over the longer side of the thing in it
_OFF_CENTRE = 0.15  # of the room beside it


@dataclass(frozen=True, kw_only=True, slots=True)
class SceneSettings:
    """What all scenes of a set have in common.

    Args:
        side: of the square picture in pixels.
        sprites: fewest and most of a scene.
        sizes: smallest and largest longer side of a sprite in pixels.
        max_hidden: share of a sprite that others may hide.
        unlabelled_novel: share of the training pictures that show a novel thing unmarked.

    Raises:
        ConfigError: a setting is out of its range.
    """

    side: int = 160
    sprites: tuple[int, int] = (2, 5)
    sizes: tuple[int, int] = (20, 64)
    max_hidden: float = 0.3
    unlabelled_novel: float = 0.3

    def __post_init__(self) -> None:
        if not 32 <= self.side <= 2048:
            raise ConfigError(f"scenes of {self.side} pixels; take 32 to 2048")
        if not 1 <= self.sprites[0] <= self.sprites[1] <= 100:
            raise ConfigError(f"{_shown(self.sprites)} sprites; take 1 to 100, the fewer first")
        if not 4 <= self.sizes[0] <= self.sizes[1] <= self.side // 2:
            raise ConfigError(
                f"sprites of {_shown(self.sizes)} pixels in scenes of {self.side}; take 4 to "
                f"{self.side // 2}, the smaller first"
            )
        if not 0 < self.max_hidden <= 1 or not 0 <= self.unlabelled_novel <= 1:
            raise ConfigError("max_hidden and unlabelled_novel are shares; take 0 to 1")


class SceneDigests:
    """What a split is told by: its annotations, its pixels before coding, its files."""

    def __init__(self) -> None:
        self._parts = {name: hashlib.sha256() for name in ("annotations", "pixels", "files")}

    def add(self, fields: dict[str, JsonValue], pixels: np.ndarray, data: bytes) -> None:
        """Count in one picture, in order."""
        self._parts["annotations"].update(json.dumps(fields, sort_keys=True).encode() + b"\n")
        self._parts["pixels"].update(hashlib.sha256(pixels.tobytes()).digest())
        self._parts["files"].update(hashlib.sha256(data).digest())

    def hexadecimal(self) -> dict[str, JsonValue]:
        """SHA-256 of each part."""
        return {name: digest.hexdigest() for name, digest in self._parts.items()}


def make_scenes(
    chosen: Chosen,
    backgrounds: Backgrounds,
    settings: SceneSettings,
    *,
    split: str,
    seed: int,
    num: int,
    digests: SceneDigests,
) -> Iterator[Sample]:
    """Scenes with boxes: of "train", base names alone are marked; of others, all names.

    Every category comes about equally often: they are dealt from a shuffled pack, which is
    shuffled anew when it is empty. Boxes and masks are the same on any backgrounds.

    Args:
        split: goes into keys and draws, and says which backgrounds are used.
        seed: another one gives other scenes.
    """
    is_training = split == "train"
    base, novel = chosen.rows(BASE), chosen.rows(NOVEL)
    marked = _Pack(base if is_training else (*base, *novel), f"{split}/{seed}/marked")
    unmarked = _Pack(novel, f"{split}/{seed}/unmarked")
    for number in range(num):
        key = f"{split}/{seed}/{number:06d}"
        rng = _generator(key)
        count = int(rng.integers(settings.sprites[0], settings.sprites[1] + 1))
        hides_one = bool(
            is_training and novel and count > 1 and rng.random() < settings.unlabelled_novel
        )
        actors = [Actor(chosen.sprites[row], row) for row in marked.deal(count - hides_one)]
        actors += [Actor(chosen.sprites[row], None) for row in unmarked.deal(int(hides_one))]
        order = rng.permutation(len(actors))
        scene = draw_scene(
            backgrounds.draw(split, settings.side, _generator(f"{key}/background")),
            [actors[int(place)] for place in order],
            sizes=settings.sizes,
            max_hidden=settings.max_hidden,
            rng=rng,
        )
        annotations = scene.annotations._replace(picture_id=number)
        fields: dict[str, JsonValue] = to_fields(annotations, chosen.vocabulary)
        if scene.unmarked:
            fields["unmarked"] = list(scene.unmarked)
        data = _jpeg(scene.pixels)
        digests.add(fields, scene.pixels, data)
        yield _sample(key, scene.pixels, data, (), {"source": "detection-scenes", **fields})


def make_teacher_pairs(
    chosen: Chosen,
    backgrounds: Backgrounds,
    settings: SceneSettings,
    *,
    side: int,
    seed: int,
    num: int,
    digests: SceneDigests,
) -> Iterator[Sample]:
    """Single sprites of all categories on backgrounds of training, with captions.

    A teacher knows novel names, as CLIP does from the web; it sees no scene.

    Args:
        side: of the square pictures in pixels.
    """
    pack = _Pack(tuple(range(len(chosen.sprites))), f"teacher/{seed}/marked")
    for number in range(num):
        key = f"teacher/{seed}/{number:06d}"
        rng = _generator(key)
        (row,) = pack.deal(1)
        sprite = chosen.sprites[row]
        # drawn at the sizes that scenes have, so that a crop of a scene looks like this
        longest = int(rng.integers(settings.sizes[0], settings.sizes[1] + 1))
        pixels = _crop(
            backgrounds.draw("train", settings.side, rng),
            draw_look(sprite, longest, rng),
            side,
            rng,
        )
        words = (sprite.name, *sprite.keywords)
        word = sprite.name if rng.random() < 0.5 else words[int(rng.integers(len(words)))]
        template = TEACHER_TEMPLATES[int(rng.integers(len(TEACHER_TEMPLATES)))]
        captions = dict.fromkeys((template.replace("{c}", word), sprite.name, *sprite.keywords))
        fields: dict[str, JsonValue] = {"category": sprite.name, "captions": list(captions)}
        data = _jpeg(pixels)
        digests.add(fields, pixels, data)
        provenance: dict[str, JsonValue] = {
            "source": "detection-teacher",
            "category": sprite.name,
            "group": chosen.vocabulary.categories[row].group,
        }
        yield _sample(key, pixels, data, tuple(captions), provenance)


def _crop(
    background: np.ndarray, look: Look, side: int, rng: np.random.Generator
) -> UInt8[np.ndarray, "side side 3"]:
    """A thing with some background around it, as a detector's proposals show it."""
    height, width = look.is_solid.shape
    room = min(round(max(height, width) * float(rng.uniform(*_ROOM))), len(background))
    room = max(room, height, width)
    left, top = (
        round((room - length) / 2 + (room - length) * float(rng.uniform(-_OFF_CENTRE, _OFF_CENTRE)))
        for length in (width, height)
    )
    x, y = (int(rng.integers(len(background) - room + 1)) for _ in range(2))
    part = background[y : y + room, x : x + room].copy()
    lay(part, look, left, top)
    return np.asarray(Image.fromarray(part).resize((side, side), Image.Resampling.BICUBIC))


class _Pack:
    """Numbers dealt so that each comes as often as the others, but for one."""

    def __init__(self, rows: Sequence[int], purpose: str) -> None:
        self._rows = np.array(rows, np.int64)
        self._rng = _generator(purpose)
        self._left: list[int] = []

    def deal(self, count: int) -> list[int]:
        """The next ones."""
        while len(self._left) < count:
            self._left += self._rng.permutation(self._rows).tolist()
        dealt, self._left = self._left[:count], self._left[count:]
        return dealt


def _sample(
    key: str,
    pixels: np.ndarray,
    data: bytes,
    captions: tuple[str, ...],
    provenance: dict[str, JsonValue],
) -> Sample:
    return Sample(
        uid=make_uid("detection-scenes", key, hashlib.sha256(pixels.tobytes()).digest()),
        image=data,
        image_suffix="jpg",
        captions=captions,
        provenance={"key": key, **provenance},
    )


def _jpeg(pixels: np.ndarray) -> bytes:
    """All colours kept (4:4:4): small things lose their edges otherwise."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=_QUALITY, subsampling=0)
    return stream.getvalue()


def _generator(purpose: str) -> np.random.Generator:
    digest = hashlib.sha256(f"scenes/{purpose}".encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "big")))


def _shown(pair: tuple[int, int]) -> str:
    return f"{pair[0]} to {pair[1]}"
