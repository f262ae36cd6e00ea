"""Shards with sounds as samples with pictures of them: the rest of the suite then takes them."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path

from data_pipelines.errors import DataError
from data_pipelines.images import encode_png
from data_pipelines.schema import JsonValue, Sample, make_uid
from data_pipelines.shards.find import find_shards
from data_pipelines.shards.index import ShardIndex
from data_pipelines.shards.manifest import Manifest, Origin
from data_pipelines.shards.pairs import captions_of, fields_of
from data_pipelines.shards.write import DEFAULT_MAX_SAMPLES, write_pairs
from data_pipelines.skips import Skips
from data_pipelines.spectrogram import SPECTROGRAM_FILE, SpectrogramConfig, sound_picture


@dataclass(frozen=True, kw_only=True, slots=True)
class SoundShards:
    """Shards of anyone's making whose samples have a sound among their members.

    Attributes:
        shards: tars, folders or patterns.
        member: suffix of the sound ("speech.ogg"); samples without it are counted.
        languages: where "captions" of the json is a mapping by language, take these, in this
            order; empty takes txt, or the list of captions.
        config: how sounds are drawn.
    """

    shards: tuple[str, ...]
    member: str
    languages: tuple[str, ...] = ()
    config: SpectrogramConfig = field(default_factory=SpectrogramConfig)

    def samples(self, skips: Skips) -> Iterator[Sample]:
        """One sample a sound, in the order of the shards.

        Raises:
            ShardError: a shard is missing or no tar.
        """
        for shard in find_shards(self.shards):
            for key, members in ShardIndex.open(shard):
                where = f"{shard.name}, {key}"
                if self.member not in members:
                    skips.add(f"no member {self.member}", where)
                    continue
                try:
                    yield self._sample(where, members)
                except DataError as error:
                    skips.add("no usable sound or caption", f"{where}: {error}")

    def _sample(self, where: str, members: Mapping[str, bytes]) -> Sample:
        captions = self._captions(members)
        if not captions:
            raise DataError("no caption")
        data = members[self.member]
        picture = encode_png(sound_picture(data, self.config, name=self.member))
        stored: JsonValue = fields_of(members).get("uid")
        return Sample(
            uid=make_uid("sounds", where, data),
            image=picture,
            image_suffix="png",
            captions=captions,
            provenance={"source": "sounds", "key": where, "sound_of": stored},
        )

    def _captions(self, members: Mapping[str, bytes]) -> tuple[str, ...]:
        by_language = fields_of(members).get("captions")
        if self.languages and isinstance(by_language, dict):
            found = [by_language.get(language) for language in self.languages]
            named = [text.strip() for text in found if isinstance(text, str) and text.strip()]
            return tuple(dict.fromkeys(named))
        return captions_of(members, one_per_line=False)


def write_sounds(
    source: SoundShards,
    out_dir: Path,
    *,
    max_samples: int = DEFAULT_MAX_SAMPLES,
    overwrite: bool = False,
    progress: Callable[[Iterable[Sample]], Iterable[Sample]] = iter,
) -> Manifest:
    """Write the pictures as a training set, with ``spectrogram.json`` beside the shards.

    Raises:
        DataError: no usable sound at all, the folder holds a set already, or it cannot be written.
    """
    skips = Skips()
    found = source.samples(skips)
    first = next(found, None)
    if first is None:
        reasons = ", ".join(f"{count} x {reason}" for reason, count in skips.counts.items())
        raise DataError(
            f"no usable sound in {', '.join(source.shards)} (skipped: {reasons or 'none'}); name "
            "the member with --member, as 'vlsuite data inspect' lists them"
        )
    told = json.dumps(asdict(source.config), indent=1, sort_keys=True) + "\n"
    return write_pairs(
        progress(chain([first], found)),
        out_dir,
        max_samples=max_samples,
        origin=Origin(source="sounds", details={"member": source.member}),
        skips=skips,
        texts={SPECTROGRAM_FILE: told.encode()},
        overwrite=overwrite,
    )
