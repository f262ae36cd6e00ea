"""Parts of ``vlsuite xmai`` and ``vlsuite data noise`` outside the package, one of each kind.

Used as ``vlsuite xmai perturb DATA --method shout --import tests/outside/xmai_parts.py --out DIR``.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from PIL import Image

from data_pipelines.noise.phrases import NounPhrases, Phrase, phrase_finders
from eval.hub.similarity import similarities
from eval.xmai.chunks import CaptionSource, Chunk, Method
from eval.xmai.detectors import Box, BoxLimits, Detector, detectors
from eval.xmai.matching import Noun, Nouns, noun_finders
from eval.xmai.methods import methods
from eval.xmai.perturbers.contract import PerturberOptions, perturbers
from eval.xmai.proposals import Context, Proposal, proposers
from eval.xmai.records import PerturbedCaption
from eval.xmai.specs import MethodSpec


@perturbers.register("shout")
class Shout:
    """Capitals throughout."""

    def __init__(self, options: PerturberOptions) -> None:
        del options

    def perturb(self, caption: str, *, row_id: str, seed: int) -> str:
        """See ``Perturber``."""
        del row_id, seed
        return caption.upper()


@detectors.register("whole:")
def whole(name: str, limits: BoxLimits) -> Detector:
    """The whole picture is one thing of that name."""

    def detect(picture: Image.Image) -> list[Box]:
        corners = (0.0, 0.0, float(picture.width), float(picture.height))
        return [Box(name, 1.0, corners)][: limits.max_boxes]

    return detect


@noun_finders.register("last-word")
def last_word(_: str) -> Nouns:
    """The last word of a caption is its noun."""

    def find(captions: Sequence[str]) -> list[list[Noun]]:
        starts = [caption.rfind(" ") + 1 for caption in captions]
        return [
            [Noun(start, start, len(caption), caption[start:])]
            for caption, start in zip(captions, starts, strict=True)
        ]

    return find


@phrase_finders.register("first:")
def first_characters(count: str) -> NounPhrases:
    """As many characters from the start."""
    return lambda caption: [Phrase(0, min(int(count), len(caption)))]


@similarities.register("equal")
class Equal:
    """1 for equal texts, else 0."""

    name = "equal"

    def __init__(self, _: str) -> None:
        pass

    def matrix(
        self, first: Sequence[str], second: Sequence[str]
    ) -> Float[np.ndarray, "first second"]:
        """See ``Similarity``."""
        return np.array([[float(a == b) for b in second] for a in first])


@proposers.register("always:")
class Always:
    """One word for every gap."""

    fingerprint = ""

    def __init__(self, word: str) -> None:
        self.name = f"always:{word}"
        self._word = word

    def propose(self, contexts: Sequence[Context], *, count: int) -> list[list[Proposal]]:
        """See ``Proposer``."""
        del count
        return [[Proposal(self._word, 1.0)] for _ in contexts]


class Unchanged:
    """Leaves every caption as it is."""

    needs_pictures = False

    @property
    def models(self) -> dict[str, dict[str, str]]:
        """See ``Method``."""
        return {}

    def perturb(self, chunk: Chunk) -> Sequence[PerturbedCaption]:
        """See ``Method``."""
        return [
            PerturbedCaption(
                uid=row.uid,
                caption_number=row.number,
                original=row.text,
                perturbed=row.text,
                method="unchanged",
                insertions=(),
                label=row.label,
            )
            for row in chunk.rows
        ]


@methods.register("unchanged")
def unchanged(spec: MethodSpec, source: CaptionSource) -> Method:
    """From settings."""
    del spec, source
    return Unchanged()
