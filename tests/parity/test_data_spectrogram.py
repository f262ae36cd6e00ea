"""Log-mel pictures: float64 loops over the published definitions, and transformers' filters."""

import io

import numpy as np
import pytest
import soundfile
from PIL import Image
from transformers.audio_utils import mel_filter_bank, spectrogram, window_function

from data_pipelines.errors import DataError
from data_pipelines.sound import Sound, decode, resampled, windowed
from data_pipelines.spectrogram import (
    SpectrogramConfig,
    gray_levels,
    mel_filters,
    mel_powers,
    sound_picture,
)

RATE = 16_000


def _noise(count: int, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=count).astype(np.float32) * 0.1


def _encoded(samples: np.ndarray, *, form: str, rate: int = RATE) -> bytes:
    stream = io.BytesIO()
    subtype = "VORBIS" if form == "OGG" else None
    soundfile.write(stream, samples, rate, format=form, subtype=subtype)
    return stream.getvalue()


@pytest.mark.parametrize(("bands", "fft_size"), [(8, 64), (64, 1024), (96, 1024)])
def test_filters_equal_transformers(bands, fft_size):
    theirs = mel_filter_bank(
        fft_size // 2 + 1, bands, 0, RATE / 2, RATE, norm="slaney", mel_scale="slaney"
    )
    np.testing.assert_allclose(
        mel_filters(rate=RATE, fft_size=fft_size, bands=bands), theirs.T, atol=1e-14
    )


def test_powers_equal_transformers():
    samples = _noise(4_000)
    filters = mel_filters(rate=RATE, fft_size=256, bands=32)
    theirs = spectrogram(
        samples.astype(np.float64), window_function(256, "hann"), 256, 100, 256,
        power=2.0, mel_filters=filters.T, center=True,
    )  # fmt: skip
    ours = mel_powers(samples, rate=RATE, fft_size=256, hop=100, bands=32)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-9)


def test_powers_equal_a_fourier_sum_written_out():
    samples, size, hop = _noise(90).astype(np.float64), 16, 30
    filters = mel_filters(rate=1600, fft_size=size, bands=4)
    mirrored = np.concatenate(
        [samples[size // 2 : 0 : -1], samples, samples[-2 : -size // 2 - 2 : -1]]
    )
    powers = mel_powers(samples.astype(np.float32), rate=1600, fft_size=size, hop=hop, bands=4)
    for column in range(4):
        frame = mirrored[column * hop : column * hop + size]
        for band in range(4):
            total = 0.0
            for k in range(size // 2 + 1):
                value = sum(
                    (0.5 - 0.5 * np.cos(2 * np.pi * n / size))
                    * frame[n]
                    * np.exp(-2j * np.pi * k * n / size)
                    for n in range(size)
                )
                total += filters[band, k] * abs(value) ** 2
            assert powers[band, column] == pytest.approx(total, rel=1e-5, abs=1e-12)


def test_a_tone_is_a_bright_line_at_its_height_and_silence_is_black():
    config = SpectrogramConfig(side=64, seconds=1.0)
    time = np.arange(RATE) / RATE
    low, high = (
        gray_levels(Sound(np.sin(2 * np.pi * f * time).astype(np.float32), RATE), config)
        for f in (300.0, 4000.0)
    )
    assert low[:, 30].argmax() > high[:, 30].argmax()  # row 0 is the top
    assert low.max() == 255
    silent = gray_levels(Sound(np.zeros(RATE, dtype=np.float32), RATE), config)
    assert not silent.any()


def test_gray_levels_are_decibels_below_the_peak():
    config = SpectrogramConfig(side=8, seconds=0.5, fft_size=64, range_db=40.0)
    samples = _noise(8_000)
    powers = mel_powers(samples, rate=RATE, fft_size=64, hop=config.hop, bands=8)[:, :8]
    levels = gray_levels(Sound(samples, RATE), config)
    for row in range(8):
        for column in range(8):
            decibels = max(-40.0, 10 * np.log10(powers[7 - row, column] / powers.max()))
            assert abs(float(levels[row, column]) - 255 * (1 + decibels / 40)) <= 0.5 + 1e-6


@pytest.mark.parametrize("form", ["WAV", "FLAC", "OGG", "MP3"])
def test_formats_are_known_by_their_bytes_and_channels_averaged(form):
    times = np.arange(2 * RATE) / RATE
    left, right = (0.4 * np.sin(2 * np.pi * f * times) for f in (440.0, 880.0))
    sound = decode(_encoded(np.stack([left, right], axis=1), form=form), name="x.bin")
    assert sound.rate == RATE
    middle = slice(RATE // 2, RATE)
    expected = ((left + right) / 2)[middle]
    error = np.abs(sound.samples[middle] - expected).max()
    assert error < (1e-3 if form in ("WAV", "FLAC") else 0.06)


def test_resampling_keeps_a_tone():
    times = np.arange(44_100) / 44_100
    sound = resampled(Sound(np.sin(2 * np.pi * 500 * times).astype(np.float32), 44_100), RATE)
    expected = np.sin(2 * np.pi * 500 * np.arange(RATE) / RATE)
    assert len(sound.samples) == RATE
    assert np.abs(sound.samples - expected)[500:-500].max() < 2e-3


@pytest.mark.parametrize(
    ("window", "first"), [("start", 0), ("middle", 40), ("loudest", 60), ("onset", 20)]
)
def test_each_window_begins_where_it_says(window, first):
    samples = np.zeros(100, dtype=np.float32)
    samples[20:40], samples[60:80] = 0.1, 1.0
    samples += np.arange(100, dtype=np.float32) * 1e-6
    cut = windowed(Sound(samples, 50), 0.4, window=window).samples
    assert len(cut) == 20
    np.testing.assert_array_equal(cut, samples[first : first + 20])


def test_a_short_sound_is_followed_by_silence():
    cut = windowed(Sound(np.ones(5, dtype=np.float32), 10), 1.0, window="loudest").samples
    assert cut.tolist() == [1.0] * 5 + [0.0] * 5


@pytest.mark.parametrize(
    "data", [b"", b"RIFF", b"not a sound" * 50, _encoded(_noise(0), form="WAV")]
)
def test_what_is_no_sound_is_named(data):
    with pytest.raises(DataError, match=r"clip\.mp3"):
        decode(data, name="clip.mp3")


def test_truncated_bytes_never_crash():
    data = _encoded(_noise(4_000), form="OGG")
    for cut in range(0, len(data), 97):
        try:
            decode(data[:cut])
        except DataError:
            continue


def test_equal_sounds_give_equal_pictures():
    data, config = _encoded(_noise(8_000), form="WAV"), SpectrogramConfig(side=32)
    first, second = sound_picture(data, config), sound_picture(data, config)
    assert isinstance(first, Image.Image)
    assert first.size == (32, 32)
    assert first.mode == "L"
    assert first.tobytes() == second.tobytes()


@pytest.mark.parametrize(
    "change", [{"side": 4}, {"side": 600}, {"seconds": 0.0}, {"range_db": 0.0}]
)
def test_settings_that_cannot_be_are_refused(change):
    with pytest.raises(DataError):
        SpectrogramConfig(**change)
