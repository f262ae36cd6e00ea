"""The demo collection: Twemoji pictures with their names, split into training and three tests.

The pictures come from ordinary packages (extra "demo"), so nothing is downloaded here. Tests are
written in the evaluation layout with both captions and labels: image i has class i, so each
folder serves retrieval and zero-shot classification.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from data_pipelines.errors import DataError
from data_pipelines.options import option
from data_pipelines.schema import JsonValue, Sample
from data_pipelines.shards.folder import building
from data_pipelines.shards.manifest import Manifest, Origin, joined_manifest
from data_pipelines.shards.write import write_benchmark, write_pairs
from data_pipelines.skips import Skips
from data_pipelines.sources.source import Source, Target, sources
from data_pipelines.twemoji.collection import (
    LICENCE,
    Collection,
    Picture,
    attribution,
    known_languages,
)
from data_pipelines.twemoji.names import PROMPT_TEMPLATES, plain_captions, training_captions
from data_pipelines.twemoji.splits import Splits, SplitSizes, split

#: Small shards, so that several processes each have some to read.
SHARD_SAMPLES = 512

#: Name of the one split of each evaluation folder.
TEST_SPLIT = "test"

_TEMPLATES = (*PROMPT_TEMPLATES, "a drawing of {c}")

#: The line drawings are a shift of the same emoji in colour.
_SHIFTS = {"line_art": "line_art_colour"}


@sources.register("emoji")
@dataclass(frozen=True, kw_only=True)
class EmojiSource(Source):
    """Settings of the emoji demo; see the module for what it writes."""

    HELP: ClassVar[str] = "demo: 3,900 emoji with their names, and three tests (no download)"
    EXAMPLE: ClassVar[str] = "vlsuite data build emoji --out data/emoji"

    seed: int = option("draws the tests; another seed gives other tests", default=0)
    languages: tuple[str, ...] = option(
        "languages of the training captions, such as en,de,fr (tests are in English)",
        default=("en",),
    )
    unseen_emoji: int = option("pictures of the test of that name", default=320)
    unseen_compositions: int = option("pictures of the test of that name", default=320)
    line_art: int = option("pictures of the test of that name", default=320)

    def samples(self, skips: Skips) -> Iterator[Sample]:
        """The training samples; the tests are written by ``build`` only."""
        collection = self._load(skips)
        return self._training_samples(collection, self._split(collection))

    def build(self, target: Target) -> Manifest:
        """Write ``train`` and the evaluation folders below ``target.out_dir``.

        Raises:
            DataError: the extra "demo" is missing, a setting does not fit, or the target cannot
                be written.
        """
        if target.layout != "pairs":
            raise DataError("the emoji source writes training and tests at once; drop --layout")
        skips = Skips()
        collection = self._load(skips)
        splits = self._split(collection)
        origin = replace(target.origin, licence=LICENCE, attribution=attribution())
        with building(target.out_dir, overwrite=target.overwrite) as place:
            train = write_pairs(
                target.progress(self._training_samples(collection, splits)),
                place / "train",
                prefix="emoji",
                max_samples=target.max_samples or SHARD_SAMPLES,
                max_bytes=target.max_bytes,
                origin=origin,
                skips=skips,
            )
            manifests = {"train": train}
            for name, samples in _tests(collection, splits).items():
                manifests[f"{name}/{TEST_SPLIT}"] = _write_test(
                    samples, place / name, origin=origin, shift_of=_SHIFTS.get(name)
                )
            details = _details(self.seed, splits, manifests)
            whole = joined_manifest(manifests, replace(origin, details=details), skips)
            whole.save(place)
        return whole

    def _load(self, skips: Skips) -> Collection:
        known = known_languages()
        for code in self.languages:
            if code not in known:
                raise DataError(f"no emoji names in language '{code}'; known: {', '.join(known)}")
        return Collection(skips)

    def _split(self, collection: Collection) -> Splits:
        sizes = SplitSizes(
            unseen_emoji=self.unseen_emoji,
            unseen_compositions=self.unseen_compositions,
            line_art=self.line_art,
        )
        emoji = [picture.emoji for picture in collection.pictures.values()]
        return split(emoji, sizes=sizes, seed=self.seed, drawing=collection.drawing)

    def _training_samples(self, collection: Collection, splits: Splits) -> Iterator[Sample]:
        pictures = collection.pictures
        reserved = frozenset(picture.name.english.lower() for picture in pictures.values())
        for key in splits.train:
            picture = pictures[key]
            captions = training_captions(picture.name, reserved=reserved)
            yield picture.sample(_in_languages(picture, captions, self.languages))


def _in_languages(
    picture: Picture, english: Sequence[str], languages: Sequence[str]
) -> tuple[str, ...]:
    """Captions in the wanted languages; English where the picture has a name in none of them."""
    captions = list(english) if "en" in languages else []
    names = picture.name.by_language
    captions += [names[code] for code in languages if code != "en" and names.get(code)]
    return tuple(dict.fromkeys(captions)) or tuple(english)


def _tests(collection: Collection, splits: Splits) -> dict[str, list[Sample]]:
    """Samples of each evaluation folder; label i is the emoji of image i."""
    pictures = collection.pictures

    def colour(keys: Sequence[str]) -> list[Sample]:
        return [
            pictures[key].sample(plain_captions(pictures[key].name), label=label)
            for label, key in enumerate(keys)
        ]

    lines = [
        collection.line_sample(key, plain_captions(pictures[key].name), label=label)
        for label, key in enumerate(splits.line_art)
    ]
    return {
        "unseen_compositions": colour(splits.unseen_compositions),
        "unseen_emoji": colour(splits.unseen_emoji),
        "line_art": lines,
        "line_art_colour": colour(splits.line_art),
    }


def _write_test(
    samples: Sequence[Sample], out_dir: Path, *, origin: Origin, shift_of: str | None
) -> Manifest:
    return write_benchmark(
        samples,
        out_dir,
        split=TEST_SPLIT,
        kind="retrieval",
        class_names=[sample.captions[0] for sample in samples],
        templates=_TEMPLATES,
        shift_of=shift_of,
        origin=origin,
    )


def _details(seed: int, splits: Splits, manifests: dict[str, Manifest]) -> dict[str, JsonValue]:
    return {
        "seed": seed,
        "samples": {name: manifest.num_samples for name, manifest in manifests.items()},
        "unused_variants_of_unseen_emoji": len(splits.unused),
    }
