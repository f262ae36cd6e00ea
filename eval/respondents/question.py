"""A question about a picture and a sound, and the eight ways of asking it.

Li et al. 2024, OmniBench, arXiv 2409.15272. Each modality is shown as it is, replaced by a text
(the transcript of the sound, the description of the picture), or left out; both left out is no
setting. A model is given a ``Prompted`` alone, which holds nothing of what its setting removes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, NamedTuple, Protocol, runtime_checkable

#: How a modality reaches the model.
Shown = Literal["raw", "text", "none"]

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@runtime_checkable
class Media(Protocol):
    """An encoded picture or sound that is read when it is needed."""

    @property
    def name(self) -> str:
        """File name, for messages."""
        ...

    def read(self) -> bytes:
        """Encoded bytes as stored.

        Raises:
            DataError: it cannot be read.
        """
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class OmniQuestion:
    """One question with everything that is stored of it.

    Args:
        index: id in the data set.
        task_type: "Action and Activity" and the like, as stored.
        audio_type: "speech", "sound event" or "music", as stored.
        text: the question, as stored.
        options: the choices without letters, at least two.
        answer: number of the right option.
        transcript: what is said or heard, in words.
        caption: what the picture shows, in words.
        image, audio: the media themselves.
    """

    index: int
    task_type: str
    audio_type: str
    text: str
    options: tuple[str, ...]
    answer: int
    transcript: str
    caption: str
    image: Media
    audio: Media


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """Which modalities reach the model, and how.

    Args:
        name: as in results, "image_transcript".
        image: the picture, its description, or nothing.
        audio: the sound, its transcript, or nothing.
    """

    name: str
    image: Shown
    audio: Shown


def _setting(name: str, image: Shown, audio: Shown) -> Setting:
    return Setting(name=name, image=image, audio=audio)


#: The eight settings; the first is the benchmark itself.
SETTINGS: Mapping[str, Setting] = MappingProxyType(
    {
        setting.name: setting
        for setting in (
            _setting("image_audio", "raw", "raw"),
            _setting("image", "raw", "none"),
            _setting("audio", "none", "raw"),
            _setting("caption_audio", "text", "raw"),
            _setting("image_transcript", "raw", "text"),
            _setting("caption_transcript", "text", "text"),
            _setting("caption", "text", "none"),
            _setting("transcript", "none", "text"),
        )
    }
)


class Frame(NamedTuple):
    """A picture out of a video.

    Attributes:
        picture: encoded.
        seconds: at which it is shown.
    """

    picture: Media
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompted:
    """A question as a model gets it in one setting: removed modalities are not in here.

    Args:
        index: of the question, for the log alone.
        setting: name of the setting.
        text: the question.
        options: see ``OmniQuestion``; none for an open question.
        image, audio: None where the setting shows them as text or not at all.
        caption, transcript: None where the setting shows the original or nothing.
        frames: of a video, in order of time; only an open question has some.
    """

    index: int
    setting: str
    text: str
    options: tuple[str, ...] = ()
    image: Media | None = None
    audio: Media | None = None
    caption: str | None = None
    transcript: str | None = None
    frames: tuple[Frame, ...] = ()


def prompted(question: OmniQuestion, setting: Setting) -> Prompted:
    """The question in this setting."""
    return Prompted(
        index=question.index,
        setting=setting.name,
        text=question.text,
        options=question.options,
        image=question.image if setting.image == "raw" else None,
        audio=question.audio if setting.audio == "raw" else None,
        caption=question.caption if setting.image == "text" else None,
        transcript=question.transcript if setting.audio == "text" else None,
    )
