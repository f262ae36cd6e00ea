"""Sounds as pictures: a log-mel spectrogram in 8 bits, for any model that looks at pictures.

The mel scale is Slaney's (Auditory Toolbox, 1998): linear below 1 kHz, logarithmic above, each
triangle scaled to unit area. The formulas are published; how decibels become gray levels and how
many columns a picture has are our own choice.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, UInt8
from PIL import Image

from data_pipelines.errors import DataError
from data_pipelines.sound import SPEECH_RATE, WINDOWS, Sound, Window, decode, resampled, windowed

#: Beside shards of such pictures: the settings they were drawn with.
SPECTROGRAM_FILE = "spectrogram.json"

_LINEAR_HZ = 200.0 / 3.0  # a mel below the break
_BREAK_HZ = 1000.0
_LOG_STEP = np.log(6.4) / 27.0  # of the natural logarithm, a mel above the break


@dataclass(frozen=True, kw_only=True, slots=True)
class SpectrogramConfig:
    """What a picture shows of a sound; see ``data_pipelines.sound.windowed`` for the windows.

    Attributes:
        side: pixels of the square picture: mel bands upwards, moments to the right.
        seconds: of sound from left to right.
        window: which seconds of a longer sound.
        rate: samples per second after resampling; the highest frequency is half of it.
        fft_size: samples under the Hann window of one column.
        range_db: decibels below the loudest cell that are black.
    """

    side: int = 96
    seconds: float = 2.88
    window: Window = "onset"
    rate: int = SPEECH_RATE
    fft_size: int = 1024
    range_db: float = 80.0

    def __post_init__(self) -> None:
        if self.window not in WINDOWS:
            raise DataError(f"window '{self.window}' is none of {', '.join(WINDOWS)}")
        if not 8 <= self.side <= 1024 or not 0 < self.seconds <= 600:
            raise DataError(
                f"a spectrogram has 8 to 1024 pixels a side and up to 600 s, not {self.side} "
                f"and {self.seconds}"
            )
        if self.side * 2 > self.fft_size or self.hop < 1:
            raise DataError(
                f"{self.side} mel bands need a fft_size of {2 * self.side} at least, and "
                f"{self.seconds} s at {self.rate} Hz must hold a sample for each column"
            )
        if self.range_db <= 0 or self.rate < 1000:
            raise DataError("range_db must be positive and rate at least 1000 Hz")

    @property
    def hop(self) -> int:
        """Samples from one column to the next."""
        return round(self.seconds * self.rate) // self.side


def sound_picture(data: bytes, config: SpectrogramConfig, *, name: str = "sound") -> Image.Image:
    """An encoded sound as a gray picture.

    Raises:
        DataError: it cannot be decoded.
    """
    sound = resampled(decode(data, name=name), config.rate)
    return Image.fromarray(
        gray_levels(windowed(sound, config.seconds, window=config.window), config)
    )


def gray_levels(sound: Sound, config: SpectrogramConfig) -> UInt8[np.ndarray, "side side"]:
    """Decibels below the loudest cell, [-range_db, 0] to [0, 255]; low tones at the bottom.

    Silence is black.
    """
    powers = mel_powers(
        sound.samples, rate=sound.rate, fft_size=config.fft_size, hop=config.hop, bands=config.side
    )[:, : config.side]
    peak = float(powers.max(initial=0.0))
    if peak <= 0:
        return np.zeros((config.side, config.side), dtype=np.uint8)
    floor = 10 ** (-config.range_db / 10)
    decibels = 10 * np.log10(np.maximum(powers / peak, floor))
    levels = np.rint(255 * (1 + decibels / config.range_db)).astype(np.uint8)
    return np.ascontiguousarray(levels[::-1])


def mel_powers(
    samples: Float32[np.ndarray, " samples"], *, rate: int, fft_size: int, hop: int, bands: int
) -> Float64[np.ndarray, "bands moments"]:
    """Power in each mel band at each moment.

    Columns are centred on samples 0, hop, 2 hop...; the ends are mirrored (zeros where the sound
    is too short to mirror). A column is |FFT(Hann window * samples)|^2, weighted by the triangles.

    Args:
        bands: mel bands from 0 Hz to half the rate.
    """
    half = fft_size // 2
    mode = "reflect" if len(samples) > half else "constant"
    padded = np.pad(samples.astype(np.float64), half, mode=mode)
    frames = np.lib.stride_tricks.sliding_window_view(padded, fft_size)[::hop]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(fft_size) / fft_size)
    spectrum = np.abs(np.fft.rfft(frames * hann, axis=1)) ** 2
    return mel_filters(rate=rate, fft_size=fft_size, bands=bands) @ spectrum.T


def mel_filters(
    *, rate: int, fft_size: int, bands: int
) -> Float64[np.ndarray, "bands frequencies"]:
    """Triangles between neighbouring points of the mel scale, 2 / (width in Hz) high."""
    edges = _hertz(np.linspace(0.0, float(_mel(np.array(rate / 2))), bands + 2))
    tones = np.linspace(0.0, rate / 2, fft_size // 2 + 1)
    low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising, falling = (tones - low) / (centre - low), (high - tones) / (high - centre)
    return np.maximum(0.0, np.minimum(rising, falling)) * 2.0 / (high - low)


def _mel(hertz: np.ndarray) -> np.ndarray:
    above = np.log(np.maximum(hertz, _BREAK_HZ) / _BREAK_HZ) / _LOG_STEP
    return np.where(hertz < _BREAK_HZ, hertz / _LINEAR_HZ, _BREAK_HZ / _LINEAR_HZ + above)


def _hertz(mel: np.ndarray) -> np.ndarray:
    break_mel = _BREAK_HZ / _LINEAR_HZ
    above = _BREAK_HZ * np.exp(_LOG_STEP * (np.maximum(mel, break_mel) - break_mel))
    return np.where(mel < break_mel, mel * _LINEAR_HZ, above)
