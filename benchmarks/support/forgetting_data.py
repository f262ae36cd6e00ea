"""Two detection sets of sprites: general ones, and a COCO file of one's own with a few other names.

Pictures of the own set show general things as well, which its file does not mark, as a user's do.
"""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from data_pipelines.detection.detection_set import DetectionSample, open_detection_set
from data_pipelines.scenes.sprites import Sprite, load_sprites
from data_pipelines.shards.find import find_shards
from data_pipelines.shards.index import ShardIndex
from data_pipelines.shards.pairs import captions_of
from data_pipelines.skips import Skips
from data_pipelines.sources.detection import DetectionSource
from data_pipelines.sources.detection_scenes import DetectionScenesSource
from data_pipelines.sources.source import Target
from vlsuite.batches.tokenizer import train_tokenizer

_TOKENS, _WORDS = 1024, 16  # of the vocabulary, and of a caption


class Sizes(NamedTuple):
    """How much is drawn; counts, and the side of a picture in pixels."""

    general_names: int
    own_names: int
    general: int
    general_test: int
    own: int
    own_test: int
    teacher_pairs: int
    side: int


class ForgettingData:
    """The folders of both sets; what is there is not made again.

    Attributes:
        general, general_test: shards with the general names.
        own: shards built of the own COCO file.
        own_test: such a file with its pictures, not built into shards.
        teacher: single sprites of all names with captions.
        tokenizer: of these.
    """

    def __init__(self, work: Path) -> None:
        self._work = work
        self.general, self.general_test = work / "general" / "train", work / "general" / "test"
        self.own, self.own_test = work / "own-shards", work / "own" / "test"
        self.teacher, self.tokenizer = work / "mixed" / "teacher", work / "tokenizer"

    def make(self, sizes: Sizes) -> None:
        """Draw all that is missing."""
        if self.tokenizer.is_dir():
            return
        own_names = self._sort_sprites(sizes)
        sprites = self._work / "sprites"
        _draw(self._work / "general", [sprites / "general"], sizes, own=False)
        _draw(self._work / "mixed", [sprites / "general", sprites / "own"], sizes, own=True)
        for split, most in (("train", sizes.own), ("test", sizes.own_test)):
            _write_own_file(
                self._work / "mixed" / split, self._work / "own" / split, own_names, most
            )
        source = DetectionSource(annotations=self._work / "own" / "train" / "instances.json")
        source.build(Target(out_dir=self.own, overwrite=True))
        captions: list[str] = []
        for path in find_shards([self.teacher]):
            index = ShardIndex.open(path)
            for row in range(len(index)):
                captions += captions_of(index.read(row), one_per_line=False)
        train_tokenizer(captions, vocab_size=_TOKENS, out_dir=self.tokenizer, context_length=_WORDS)

    def _sort_sprites(self, sizes: Sizes) -> frozenset[str]:
        """Draw names by their rank; returns the own ones."""
        total = sizes.general_names + sizes.own_names
        sprites = load_sprites((), Skips())[:total]
        for place, sprite in enumerate(sprites):
            kind = "general" if place < sizes.general_names else "own"
            _save(sprite, self._work / "sprites" / kind)
        return frozenset(sprite.name for sprite in sprites[sizes.general_names :])


def _save(sprite: Sprite, folder: Path) -> None:
    place = folder / sprite.parent
    place.mkdir(parents=True, exist_ok=True)
    Image.fromarray(sprite.pixels, "RGBA").save(place / f"{sprite.name}.png")


def _draw(out: Path, sprites: Sequence[Path], sizes: Sizes, *, own: bool) -> None:
    # of the mixed scenes, those without an own thing are left out: some two in three
    train, test = (
        (4 * sizes.own, 4 * sizes.own_test) if own else (sizes.general, sizes.general_test)
    )
    source = DetectionScenesSource(
        train=train,
        validation=1,
        test=test,
        teacher_pairs=sizes.teacher_pairs if own else 1,
        categories=sizes.general_names + sizes.own_names,
        novel_share=0.0,
        unlabelled_novel=0.0,
        most=4,
        largest=48,
        side=sizes.side,
        teacher_side=32,
        cut_outs=tuple(map(str, sprites)),
        seed=int(own),
    )
    source.build(Target(out_dir=out, overwrite=out.exists()))


def _write_own_file(shards: Path, out: Path, names: frozenset[str], most: int) -> None:
    """A COCO file beside its pictures; boxes of other names are left out of it."""
    found = open_detection_set(shards, skips=Skips())
    listed = [name for name in found.vocabulary.names if name in names]
    (out / "pictures").mkdir(parents=True, exist_ok=True)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for sample in found.samples():
        boxes = _own_boxes(sample, found.vocabulary.names, listed)
        if not boxes or len(images) == most:
            continue
        number = len(images) + 1
        height, width = sample.annotations.size
        name = f"{number:06d}.png"
        with Image.open(io.BytesIO(sample.image.data)) as picture:
            picture.save(out / "pictures" / name)
        images.append({"id": number, "file_name": name, "height": height, "width": width})
        for box in boxes:
            annotations.append({"id": len(annotations) + 1, "image_id": number, **box})
    categories = [{"id": row + 1, "name": name} for row, name in enumerate(listed)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (out / "instances.json").write_text(json.dumps(content))


def _own_boxes(
    sample: DetectionSample, names: Sequence[str], listed: list[str]
) -> list[dict[str, Any]]:
    annotations = sample.annotations
    found = []
    for row, label in enumerate(annotations.labels):
        name = names[int(label)]
        if name in listed:
            left, top, right, bottom = (float(side) for side in annotations.boxes[row])
            bbox = [left, top, right - left, bottom - top]
            area = float(annotations.areas[row])
            category = listed.index(name) + 1
            found.append({"category_id": category, "bbox": bbox, "area": area, "iscrowd": 0})
    return found
