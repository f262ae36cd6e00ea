"""Sounds of questions as the models hear them: decoded by their bytes, one channel, 16 kHz.

``decode`` and ``resample`` are those that training data is made with.
"""

import numpy as np
from jaxtyping import Float32

from data_pipelines.sound import SPEECH_RATE, Sound, Window, decode, resample, windowed
from eval.respondents.question import Media

__all__ = ["decode", "heard", "resample"]


def heard(
    media: Media, *, rate: int = SPEECH_RATE, seconds: float | None = None, window: Window = "start"
) -> Float32[np.ndarray, " samples"]:
    """The samples of a sound at a rate, cut or padded to so many seconds; None keeps its length.

    Raises:
        DataError: it cannot be read or decoded.
    """
    sound = decode(media.read(), name=media.name)
    at_rate = Sound(resample(sound.samples, sound.rate, rate), rate)
    return (at_rate if seconds is None else windowed(at_rate, seconds, window=window)).samples
