"""Training sets for the stamps: pictures with their names, and spectrograms with what is said.

Neither holds a picture or a recording of the test half. The names of the test half are spoken by
synthetic voices, so that the words are known and the recordings are not.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.support.stamps_samples import LANGUAGES, Stamp, distinct
from benchmarks.support.stamps_speech import spoken, varied, voices
from data_pipelines.errors import DataError
from data_pipelines.images import encode_png
from data_pipelines.schema import Sample, make_uid
from data_pipelines.shards.find import find_shards
from data_pipelines.shards.index import ShardIndex
from data_pipelines.shards.pairs import captions_of, image_of
from data_pipelines.shards.write import write_pairs
from data_pipelines.sound import SPEECH_RATE, Sound, decode, resampled, windowed
from data_pipelines.spectrogram import SPECTROGRAM_FILE, SpectrogramConfig, gray_levels

#: How a picture and a recording are named together; also the form of the options that need both.
PAIR = "In the picture: {picture} In the recording: {recording}"

#: Captions in the two-part form beside each plain one.
_PAIRED = 3


def two_part(picture: str, recording: str) -> str:
    """Both names as one text."""
    return PAIR.format(picture=_ended(picture), recording=_ended(recording))


def picture_samples(
    train: Sequence[Stamp], others: Sequence[Path], *, repeat: int, seed: int
) -> Iterator[Sample]:
    """The training stamps ``repeat`` times, then each picture of other collections once."""
    rng = np.random.default_rng([seed, 2])
    fillers = sorted({stamp.english for stamp in train})
    for turn in range(repeat):
        for stamp in train:
            names = list(dict.fromkeys(stamp.names[k] for k in LANGUAGES if k in stamp.names))
            pairs = [two_part(stamp.english, str(rng.choice(fillers))) for _ in range(_PAIRED)]
            yield _sample(
                f"{stamp.uid}/{turn}", stamp.picture, "png", [stamp.english, *names, *pairs]
            )
    for shard in find_shards([str(path) for path in others]):
        for key, members in ShardIndex.open(shard):
            try:
                image, texts = image_of(members), _names(members)
            except DataError:
                continue
            if texts:
                pair = two_part(texts[0], str(rng.choice(fillers)))
                yield _sample(f"{shard.name}/{key}", image.data, image.suffix, [*texts, pair])


def _names(members: dict[str, bytes]) -> list[str]:
    """The captions, and names in other languages where the json has them."""
    texts = list(captions_of(members, one_per_line=False))
    names = json.loads(members.get("json", b"{}")).get("names") or {}
    texts += [names[k] for k in LANGUAGES[1:] if names.get(k)]
    return list(dict.fromkeys(texts))


def sound_samples(
    stamps: Sequence[Stamp],
    train: Sequence[Stamp],
    config: SpectrogramConfig,
    *,
    num_voices: int,
    repeat: int,
    seed: int,
    progress: Callable[[str], None] = print,
) -> Iterator[Sample]:
    """Names of all stamps by synthetic voices, and the training recordings ``repeat`` times."""
    rng = np.random.default_rng([seed, 3])
    fillers = sorted({stamp.english for stamp in train})
    by_text: dict[str, Stamp] = {stamp.french: stamp for stamp in stamps}
    for number, voice in enumerate(voices(num_voices, seed=seed)):
        progress(f"voice {number + 1} of {num_voices}: {voice.name}")
        for text, sound in zip(by_text, spoken(list(by_text), voice), strict=True):
            texts = _said(by_text[text], fillers, rng)
            yield _shown(f"voice-{number}/{text}", varied(sound, rng), texts, config)
    for data, stamp in _recordings(train):
        sound = resampled(decode(data, name=stamp.uid), SPEECH_RATE)
        for turn in range(repeat):
            texts = _said(stamp, fillers, rng)
            changed = varied(sound, rng) if turn else sound
            yield _shown(f"{stamp.uid}/{turn}", changed, texts, config)


def write_sound_set(
    stamps: Sequence[Stamp],
    train: Sequence[Stamp],
    out: Path,
    config: SpectrogramConfig,
    *,
    num_voices: int,
    repeat: int,
    seed: int,
) -> None:
    """As shards, with the settings of the pictures beside them."""
    samples = sound_samples(stamps, train, config, num_voices=num_voices, repeat=repeat, seed=seed)
    told = json.dumps(asdict(config), sort_keys=True) + "\n"
    write_pairs(samples, out, texts={SPECTROGRAM_FILE: told.encode()})


def _recordings(train: Sequence[Stamp]) -> list[tuple[bytes, Stamp]]:
    """Each speech and each sound effect once, with the first stamp that has it."""
    owner: dict[bytes, Stamp] = {}
    for stamp in train:
        for data in distinct([stamp.speech, stamp.sound]):
            owner.setdefault(data, stamp)
    return list(owner.items())


def _said(stamp: Stamp, fillers: Sequence[str], rng: np.random.Generator) -> list[str]:
    pairs = [two_part(str(rng.choice(fillers)), stamp.english) for _ in range(_PAIRED)]
    return [stamp.french, stamp.english, stamp.english, *pairs]


def _shown(key: str, sound: Sound, texts: list[str], config: SpectrogramConfig) -> Sample:
    levels = gray_levels(windowed(sound, config.seconds, window=config.window), config)
    return _sample(key, encode_png(Image.fromarray(levels)), "png", texts)


def _sample(key: str, image: bytes, suffix: str, texts: Sequence[str]) -> Sample:
    return Sample(
        uid=make_uid("stamps", key, image),
        image=image,
        image_suffix=suffix,
        captions=tuple(text.strip() for text in texts if text.strip()),
    )


def _ended(text: str) -> str:
    text = text.strip()
    return text if text.endswith((".", "!", "?")) else f"{text}."
