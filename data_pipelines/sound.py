"""Encoded sound to samples: one channel, one rate, one length, each step by a stated rule."""

import io
import math
from typing import Literal, NamedTuple, get_args

import numpy as np
from jaxtyping import Float32

from data_pipelines.errors import DataError, reason_of

#: What speech models and our spectrograms take, in samples per second.
SPEECH_RATE = 16_000

#: Refused above this, for a small file can claim hours.
MAX_SECONDS = 1200.0

#: Which part of a sound a fixed window shows; see ``windowed``.
Window = Literal["start", "middle", "loudest", "onset"]
WINDOWS: tuple[str, ...] = get_args(Window)

_BLOCK_SECONDS = 0.02
_ONSET_DB = -40.0


class Sound(NamedTuple):
    """One channel of samples in [-1, 1], and how many of them a second has."""

    samples: Float32[np.ndarray, " samples"]
    rate: int

    @property
    def seconds(self) -> float:
        """Duration."""
        return len(self.samples) / self.rate


def decode(data: bytes, *, name: str = "sound") -> Sound:
    """Decode wav, mp3, ogg, flac and whatever else libsndfile reads; channels are averaged.

    The bytes decide about the format, not the name.

    Args:
        name: of the file, for the message.
    Raises:
        DataError: not a sound, damaged, empty, longer than ``MAX_SECONDS``, or not finite.
    """
    import soundfile

    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            rate = file.samplerate
            limit = int(MAX_SECONDS * rate) + 1
            channels = file.read(frames=limit, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError, RuntimeError, ValueError, TypeError) as error:
        reason = reason_of(error)
        raise DataError(f"{name}: cannot decode the sound ({len(data)} bytes): {reason}") from error
    if len(channels) == limit:
        raise DataError(f"{name}: the sound is longer than {MAX_SECONDS:.0f} s; cut it")
    samples = channels.mean(axis=1, dtype=np.float32)
    if not len(samples):
        raise DataError(f"{name}: the sound holds no samples")
    if not np.isfinite(samples).all():
        raise DataError(f"{name}: the sound holds NaN or infinity")
    return Sound(samples, rate)


def resample(
    samples: Float32[np.ndarray, " samples"], rate: int, target: int
) -> Float32[np.ndarray, " resampled"]:
    """From one rate to another, by scipy's polyphase filter (Kaiser window)."""
    if rate == target:
        return samples
    from scipy.signal import resample_poly

    common = math.gcd(rate, target)
    return resample_poly(samples, target // common, rate // common).astype(np.float32)


def resampled(sound: Sound, rate: int) -> Sound:
    """At another rate; see ``resample``."""
    return Sound(resample(sound.samples, sound.rate, rate), rate)


def windowed(sound: Sound, seconds: float, *, window: Window) -> Sound:
    """Exactly so many seconds of a sound; a shorter one is followed by silence.

    Args:
        seconds: positive.
        window: "start": from the first sample. "middle": as much cut before as after.
            "loudest": the span with the most energy. "onset": from the first 20 ms block that is
            at most 40 dB below the loudest one, so that leading silence takes no room.
    """
    length = round(seconds * sound.rate)
    first = _FIRST[window](sound, length)
    kept = sound.samples[first : first + length]
    return Sound(np.pad(kept, (0, length - len(kept))), sound.rate)


def _start(sound: Sound, length: int) -> int:
    return 0


def _middle(sound: Sound, length: int) -> int:
    return max(0, (len(sound.samples) - length) // 2)


def _loudest(sound: Sound, length: int) -> int:
    spare = len(sound.samples) - length
    if spare <= 0:
        return 0
    total = np.concatenate([[0.0], np.cumsum(np.square(sound.samples, dtype=np.float64))])
    return int(np.argmax(total[length:] - total[: spare + 1]))


def _onset(sound: Sound, length: int) -> int:
    size = max(1, round(_BLOCK_SECONDS * sound.rate))
    padded = np.pad(sound.samples, (0, -len(sound.samples) % size))
    energy = np.square(padded.reshape(-1, size), dtype=np.float64).sum(axis=1)
    return int(np.argmax(energy >= energy.max() * 10 ** (_ONSET_DB / 10))) * size


_FIRST = {"start": _start, "middle": _middle, "loudest": _loudest, "onset": _onset}
