"""In which words a caption is said again.

The four styles of "Rephrasing the Web" (WRAP; Maini et al. 2024, arXiv 2401.16380, section 3.1:
easy, medium, hard, Q/A), adapted to captions in our own words: a caption stays one line that fits
into 77 tokens, and nothing may be added that it does not say, since the writer does not see the
picture.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from data_pipelines.errors import ConfigError

#: Stands for the caption in a prompt.
PLACE = "{caption}"

_RULES = (
    "Keep all that it tells: things, people, places, names, numbers, colours. Add nothing that it "
    "does not tell, and leave out what is no description (file names, prices, invitations to "
    "click). Keep its language. At most 40 words, in one line. Write the new caption alone, "
    "without quotation marks or explanation.\n\nCaption: {caption}"
)
_MOST_PROMPT = 1 << 16  # bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Style:
    """A way of saying a caption again.

    Args:
        name: what it is called, and the default name of its column.
        about: what comes out, in some words.
        prompt: what the model is asked; "{caption}" stands for the caption.
    """

    name: str
    about: str
    prompt: str

    def __post_init__(self) -> None:
        if self.prompt.count(PLACE) != 1:
            raise ConfigError(
                f"the prompt of style '{self.name}' needs {PLACE} once, where the caption is to "
                f"stand; it has it {self.prompt.count(PLACE)} times"
            )

    def asked(self, caption: str) -> str:
        """The prompt for a caption."""
        return self.prompt.replace(PLACE, caption)

    @property
    def digest(self) -> str:
        """Of the wording."""
        return hashlib.sha256(self.prompt.encode()).hexdigest()


def _style(name: str, about: str, asks: str) -> Style:
    return Style(name=name, about=about, prompt=f"{asks} {_RULES}")


#: By name.
STYLES: Mapping[str, Style] = MappingProxyType(
    {
        style.name: style
        for style in (
            _style(
                "easy",
                "few and simple words",
                "Below is the caption of a picture. Say the same with very few, very simple words, "
                "as a small child would understand it.",
            ),
            _style(
                "medium",
                "plain good prose, as in an encyclopedia",
                "Below is the caption of a picture. Say the same in clear, correct prose, as an "
                "encyclopedia would word it.",
            ),
            _style(
                "hard",
                "terse and learned",
                "Below is the caption of a picture. Say the same tersely and in learned, precise "
                "words, as one scholar would write it for another.",
            ),
            _style(
                "qa",
                "a question about the picture with its answer",
                "Below is the caption of a picture. Turn it into one question about the picture "
                "and its answer, written as 'Question: ... Answer: ...'.",
            ),
        )
    }
)


#: What one's own style is called.
OWN = "own"


def style_of(name: str | None, prompt: Path | None = None) -> Style:
    """A style by name (None: medium), or one's own, whose prompt is in a file.

    Raises:
        ConfigError: no such style, the file is no prompt, or both are given.
    """
    if name is not None and prompt is not None:
        raise ConfigError("a style and a prompt of your own exclude each other; give one of them")
    if prompt is None:
        name = name or "medium"
        if name not in STYLES:
            raise ConfigError(
                f"unknown style '{name}'; choose from {', '.join(STYLES)}, or give your own words "
                "with --prompt FILE"
            )
        return STYLES[name]
    try:
        with prompt.open("rb") as stream:
            data = stream.read(_MOST_PROMPT + 1)
        text = data.decode("utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        told = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigError(f"cannot read the prompt {prompt}: {told or error}") from error
    if len(data) > _MOST_PROMPT:
        raise ConfigError(f"the prompt {prompt} has more than 64 KiB; it is sent with each caption")
    return Style(name=OWN, about="your own", prompt=text)
