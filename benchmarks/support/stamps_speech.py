"""Spoken names for training: synthesised voices and real recordings, both with changes."""

import io
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import soundfile

from data_pipelines.sound import SPEECH_RATE, Sound, decode, resampled

_VARIANTS = ("m1", "m3", "m5", "m7", "f2", "f3", "f4", "klatt2", "croak", "f5")
_ACCENTS = ("fr", "fr-be", "fr-ch")


class Voice(NamedTuple):
    """Settings of espeak-ng: name with variant, words a minute, pitch (0 to 99)."""

    name: str
    speed: int
    pitch: int


def voices(count: int, *, seed: int) -> list[Voice]:
    """Seeded French voices."""
    rng = np.random.default_rng([seed, 1])
    return [
        Voice(
            f"{_ACCENTS[i % len(_ACCENTS)]}+{_VARIANTS[i % len(_VARIANTS)]}",
            int(rng.integers(110, 190)),
            int(rng.integers(20, 80)),
        )
        for i in range(count)
    ]


def spoken(texts: Sequence[str], voice: Voice) -> Iterator[Sound]:
    """Each text read aloud by espeak-ng, in order.

    Raises:
        OSError, subprocess.CalledProcessError: espeak-ng is missing or fails.
    """
    with ThreadPoolExecutor(2) as pool:
        for data in pool.map(lambda text: _speak(text, voice), texts):
            yield resampled(decode(data), SPEECH_RATE)


def _speak(text: str, voice: Voice) -> bytes:
    command = ["espeak-ng", "-v", voice.name, "-s", str(voice.speed), "-p", str(voice.pitch)]
    done = subprocess.run(
        [*command, "--stdout", "--", text], capture_output=True, check=True, timeout=60
    )
    return _with_true_length(done.stdout)


def _with_true_length(data: bytes) -> bytes:
    """A wav streamed to a pipe claims 2 GB; its header is given the length that came."""
    samples = np.frombuffer(data[44:], dtype="<i2")
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, int.from_bytes(data[24:28], "little"), format="WAV")
    return buffer.getvalue()


def varied(sound: Sound, rng: np.random.Generator) -> Sound:
    """Another tempo and pitch (together, up to 8%), spectral tilt, and noise 15 to 40 dB below."""
    speed = float(np.exp(rng.uniform(-0.08, 0.08)))
    places = np.arange(0, len(sound.samples) - 1, speed)
    samples = np.interp(places, np.arange(len(sound.samples)), sound.samples)
    tilt = rng.uniform(-0.6, 0.6)
    samples = samples - tilt * np.concatenate([[0.0], samples[:-1]])
    level = np.sqrt(np.mean(samples**2)) * 10 ** (-rng.uniform(15, 40) / 20)
    noise = rng.normal(size=len(samples))
    noise = noise + rng.uniform(0, 0.9) * np.concatenate([[0.0], noise[:-1]])
    return Sound((samples + level * noise).astype(np.float32), sound.rate)
