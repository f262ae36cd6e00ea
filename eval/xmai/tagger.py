"""A contrastive model as a detector of attributes: which colour, size or material a noun has.

Our own: the picture is compared with the caption as it is and with every attribute of a group
before the noun; or, without a caption, with "a photo of a {attribute} {noun}". From each cosine
the mean over other pictures of the same set is taken away, so that a prompt that the model likes
whatever it sees gains nothing; a softmax over the group, with the model's own scale, gives
probabilities, and what is missing to 1 is "none of them".
"""

import hashlib
import json
import warnings
from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from eval.contract import EmbeddingModel
from eval.errors import EvaluationError
from eval.xmai.attributes import GROUPS, SKIN_GROUP, Groups, canonical, group_of
from eval.xmai.crossmodal import embed_pictures
from eval.xmai.objective import DECIMALS
from eval.xmai.people import has_skin
from eval.xmai.specs import TEMPLATE


class Frame(NamedTuple):
    """A text with a place for an attribute."""

    before: str
    after: str

    def prompts(self, attributes: Sequence[str]) -> list[str]:
        """With each attribute, and last without any."""
        filled = [f"{self.before}{attribute} {self.after}" for attribute in attributes]
        return [*filled, self.before + self.after]


class Claim(NamedTuple):
    """That the noun in a picture has an attribute.

    Attributes:
        picture: its row.
        noun: in lower case.
        word: the attribute.
        frame: the caption around it; None: the noun alone.
    """

    picture: int
    noun: str
    word: str
    frame: Frame | None = None


class Tag(NamedTuple):
    """An attribute and its probability within its group."""

    attribute: str
    probability: float


@runtime_checkable
class Tagger(Protocol):
    """Says how well pictures support claims."""

    @property
    def name(self) -> str:
        """What headers call it."""
        ...

    @property
    def fingerprint(self) -> str:
        """Tells it from others."""
        ...

    def picture_embeds(
        self, pictures: Sequence[bytes]
    ) -> tuple[Float[np.ndarray, "pictures embed_dim"], list[bool]]:
        """What ``support`` wants to know of pictures, and which could be decoded."""
        ...

    def support(
        self, picture_embeds: Float[np.ndarray, "pictures embed_dim"], claims: Sequence[Claim]
    ) -> Float[np.ndarray, " claims"]:
        """Probability of each claim, 0 to 1."""
        ...


class ClipTagger:
    """See the module.

    Args:
        model: embeds pictures and prompts.
        mean_embed: mean of the unit vectors of other pictures of the set; zeros: no calibration.
        groups: attributes by group.
        template: prompt without a caption, "{}" for attribute and noun.
    """

    def __init__(
        self,
        model: EmbeddingModel,
        mean_embed: Float[np.ndarray, " embed_dim"],
        *,
        groups: Groups = GROUPS,
        template: str = TEMPLATE,
    ) -> None:
        if "{}" not in template:
            raise EvaluationError(f"the tagger's template '{template}' has no {{}} for the noun")
        self._model = model
        self._mean = mean_embed
        self._groups = groups
        self._template = template
        self._known: dict[_Asked, np.ndarray] = {}
        self.name = model.name
        by_group = {group: list(words) for group, words in groups.items()}
        settings = [template, by_group, float(model.logit_scale)]
        digest = hashlib.sha256(json.dumps(settings).encode() + model.fingerprint.encode())
        self.fingerprint = digest.hexdigest()

    def picture_embeds(
        self, pictures: Sequence[bytes]
    ) -> tuple[Float[np.ndarray, "pictures embed_dim"], list[bool]]:
        """See ``Tagger``."""
        return embed_pictures(self._model, pictures)

    def support(
        self, picture_embeds: Float[np.ndarray, "pictures embed_dim"], claims: Sequence[Claim]
    ) -> Float[np.ndarray, " claims"]:
        """See ``Tagger``.

        A word of no group is weighed against the noun without it; as one of two is right by
        chance, half of the probability counts as none.
        """
        found = np.zeros(len(claims))
        fresh: dict[_Asked, np.ndarray] = {}
        for number, claim in enumerate(claims):
            word = canonical(claim.word)
            group = group_of(word, self._groups)
            attributes = self._groups[group] if group else (word,)
            frame = claim.frame or self.noun_frame(claim.noun)
            texts = self._texts(frame, attributes, fresh if claim.frame else self._known)
            share = self._shares(picture_embeds[claim.picture], [texts])[attributes.index(word)]
            found[number] = share if group else max(0.0, 2 * share - 1)
        return found

    def tags(
        self,
        picture_embed: Float[np.ndarray, " embed_dim"],
        noun: str,
        frames: Sequence[Frame] = (),
    ) -> dict[str, Tag]:
        """The likeliest attribute of each group that makes sense of the noun.

        Args:
            frames: captions around the noun, whose logits are averaged; none: the noun alone.
        """
        found = {}
        for group, attributes in self._groups.items():
            if group == SKIN_GROUP and not has_skin(noun):
                continue
            if frames:
                texts = [self._texts(frame, attributes, {}) for frame in frames]
            else:
                texts = [self._texts(self.noun_frame(noun), attributes, self._known)]
            shares = self._shares(picture_embed, texts)
            best = min(range(len(attributes)), key=lambda i: (-shares[i], attributes[i]))
            found[group] = Tag(attributes[best], float(shares[best]))
        return found

    def noun_frame(self, noun: str) -> Frame:
        """The template around a noun."""
        before, after = self._template.split("{}", 1)
        return Frame(before, noun + after)

    def _shares(
        self,
        picture_embed: Float[np.ndarray, " embed_dim"],
        texts: Sequence[Float[np.ndarray, "prompts embed_dim"]],
    ) -> list[float]:
        """Probabilities of the attributes, by the mean over the frames."""
        mean = np.mean(texts, axis=0)
        logits = self._model.logit_scale * (mean @ (picture_embed - self._mean))
        powers = np.exp(logits - logits.max())
        return [round(float(x), DECIMALS) for x in (powers / powers.sum())[:-1]]

    def _texts(
        self, frame: Frame, attributes: tuple[str, ...], known: "dict[_Asked, np.ndarray]"
    ) -> Float[np.ndarray, "prompts embed_dim"]:
        """Embedded in one pass a frame and group, so that vectors depend on nothing else."""
        key = (frame, attributes)
        if key not in known:
            with warnings.catch_warnings():
                # a caption that is cut off before its gap gives equal prompts: no attribute
                warnings.simplefilter("ignore")
                embeds = self._model.embed_texts(frame.prompts(attributes))
            known[key] = embeds.detach().cpu().numpy().astype(np.float64)
        return known[key]


_Asked = tuple[Frame, tuple[str, ...]]
