"""Pictures and sounds as chat endpoints take them: recognised by content, never by name."""

import base64
import io
import math
from typing import Any, Literal, NamedTuple, TypeAlias

from data_pipelines.errors import DataError, reason_of

#: How sounds are sent: OpenAI's part, DashScope's variant of it with a data URI, vLLM's part.
AudioForm: TypeAlias = Literal["input_audio", "data_uri", "audio_url"]

AUDIO_FORMS: tuple[AudioForm, ...] = ("input_audio", "data_uri", "audio_url")

_SENT_IMAGES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_SENT_SOUNDS = {"audio/wav": "wav", "audio/mpeg": "mp3"}

#: Pixels of a picture that become one token, and tokens of a second of sound: those of
#: Qwen2.5-Omni (arXiv 2503.20215), taken as an estimate for every endpoint.
_PIXELS_PER_TOKEN = 28 * 28
_TOKENS_PER_SECOND = 25.0
_MAX_IMAGE_TOKENS = 16_384


class Encoded(NamedTuple):
    """A medium ready to be sent.

    Attributes:
        mime: of ``data``.
        data: encoded file.
        tokens: estimate of what it costs.
    """

    mime: str
    data: bytes
    tokens: int


def sniff(data: bytes) -> str | None:
    """MIME type by the first bytes; None for what is not known here."""
    if data[:4] == b"RIFF":
        return {b"WAVE": "audio/wav", b"WEBP": "image/webp"}.get(data[8:12])
    for start, mime in (
        (b"\xff\xd8\xff", "image/jpeg"),
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"GIF8", "image/gif"),
        (b"BM", "image/bmp"),
        (b"ID3", "audio/mpeg"),
        (b"OggS", "audio/ogg"),
        (b"fLaC", "audio/flac"),
    ):
        if data.startswith(start):
            return mime
    if len(data) > 2 and data[0] == 0xFF and data[1] & 0xE6 in {0xE2, 0xE4, 0xE6}:
        return "audio/mpeg"  # frame sync of MPEG audio, layers 3 to 1
    return None


def encode_image(data: bytes, *, max_side: int | None = None) -> Encoded:
    """The picture as stored where endpoints take that, else as PNG; smaller if asked for.

    Args:
        data: encoded picture.
        max_side: longest side that is sent, pixels; larger pictures are scaled down, JPEG stays
            JPEG (quality 95), all others become PNG.

    Raises:
        DataError: it cannot be decoded.
    """
    from PIL import Image, ImageOps

    from data_pipelines.image_formats import open_image

    mime = sniff(data)
    try:
        with open_image(data) as picture:
            size = picture.size
            too_large = max_side is not None and max(size) > max_side
            if mime in _SENT_IMAGES and not too_large:
                return Encoded(str(mime), data, _image_tokens(size))
            upright = ImageOps.exif_transpose(picture)
            if max_side is not None and too_large:
                upright.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
            out = io.BytesIO()
            if mime == "image/jpeg":
                upright.convert("RGB").save(out, "JPEG", quality=95)
                return Encoded("image/jpeg", out.getvalue(), _image_tokens(upright.size))
            keeps_mode = upright.mode in {"1", "L", "LA", "RGB", "RGBA", "I;16"}
            (upright if keeps_mode else upright.convert("RGBA")).save(out, "PNG")
            return Encoded("image/png", out.getvalue(), _image_tokens(upright.size))
    except Exception as error:  # Pillow raises all kinds for broken files
        raise DataError(f"the picture cannot be decoded: {reason_of(error)}") from error


def encode_audio(data: bytes) -> Encoded:
    """The sound as stored where it is wav or mp3, else as 16-bit wav of the same rate.

    A stored wav or mp3 is not decoded here: an endpoint may read what libsndfile cannot.

    Raises:
        DataError: it is neither, and cannot be decoded.
    """
    mime = sniff(data)
    if mime in _SENT_SOUNDS:
        return Encoded(mime, data, _audio_tokens(data))
    wav = _as_wav(data)
    return Encoded("audio/wav", wav, _audio_tokens(wav))


def is_decodable_audio(data: bytes) -> bool:
    """Whether libsndfile can decode the sound to its end."""
    import soundfile

    try:
        samples, _ = soundfile.read(io.BytesIO(data), dtype="int16")
    except (RuntimeError, TypeError, ValueError):  # LibsndfileError is a RuntimeError
        return False
    return len(samples) > 0


def image_part(image: Encoded) -> dict[str, Any]:
    """``image_url`` with a data URI."""
    return {"type": "image_url", "image_url": {"url": _uri(image)}}


def audio_part(sound: Encoded, form: AudioForm) -> dict[str, Any]:
    """The sound in the form the endpoint wants."""
    if form == "audio_url":
        return {"type": "audio_url", "audio_url": {"url": _uri(sound)}}
    data = _uri(sound) if form == "data_uri" else _base64(sound.data)
    return {
        "type": "input_audio",
        "input_audio": {"data": data, "format": _SENT_SOUNDS[sound.mime]},
    }


def _as_wav(data: bytes) -> bytes:
    import soundfile

    out = io.BytesIO()
    try:
        samples, rate = soundfile.read(io.BytesIO(data), dtype="int16")
        if not len(samples):
            raise DataError("the sound is empty")
        soundfile.write(out, samples, rate, format="WAV", subtype="PCM_16")
    except (RuntimeError, TypeError, ValueError) as error:
        raise DataError(f"the sound cannot be decoded: {reason_of(error)}") from error
    return out.getvalue()


def _image_tokens(size: tuple[int, int]) -> int:
    return min(_MAX_IMAGE_TOKENS, math.ceil(size[0] * size[1] / _PIXELS_PER_TOKEN))


def _audio_tokens(data: bytes) -> int:
    import soundfile

    try:
        seconds = soundfile.info(io.BytesIO(data)).duration
    except (RuntimeError, TypeError, ValueError):
        seconds = 10.0  # about what a clip of the benchmark lasts
    return math.ceil(seconds * _TOKENS_PER_SECOND)


def _uri(encoded: Encoded) -> str:
    return f"data:{encoded.mime};base64,{_base64(encoded.data)}"


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
