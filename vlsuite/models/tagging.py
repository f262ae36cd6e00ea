"""Names what is in a picture: any ``Tagger``; by default a CLIP over a list of concepts.

Zero-shot tags by a CLIP as the default tagger, the prompt "a photo of {}", five concepts at most
and a threshold for each concept are our own inference; NEVLP (arXiv 2409.09582) only says that
visual concepts come from a corpus.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from vlsuite.batches.concepts import TaggerSettings
from vlsuite.errors import ConfigError, ModelError
from vlsuite.models.dual_encoder.clip import Clip

TEMPLATE = "a photo of {}"


@runtime_checkable
class Tagger(Protocol):
    """Anything that names what is in pictures: a detector, a tagger, a CLIP."""

    def __call__(self, images: UInt8[Tensor, "batch 3 height width"]) -> list[tuple[str, ...]]:
        """Concepts of each picture in [0, 255], the surest first."""
        ...


class ZeroShotTagger:
    """Concepts whose cosine with a picture is above their thresholds, the furthest first.

    Args:
        clip: embeds pictures and concepts.
        settings: whose thresholds were made for this model.
    """

    def __init__(self, clip: Clip, settings: TaggerSettings) -> None:
        self.settings = settings
        self._clip = clip
        self._concepts = concept_embeds(clip, settings.concepts, template=settings.template)
        self._thresholds = torch.tensor(settings.thresholds, device=self._concepts.device)

    def __call__(self, images: UInt8[Tensor, "batch 3 height width"]) -> list[tuple[str, ...]]:
        return self.of_embeds(self._clip.embed_images(images))

    def of_embeds(self, image_embeds: Float[Tensor, "batch embed_dim"]) -> list[tuple[str, ...]]:
        """The same for pictures that are embedded already."""
        excess = image_embeds.to(self._concepts.device) @ self._concepts.T - self._thresholds
        best = excess.topk(min(self.settings.top, len(self.settings.concepts)), dim=1)
        names = self.settings.concepts
        return [
            tuple(names[i] for i, value in zip(row, values, strict=True) if value > 0)
            for row, values in zip(best.indices.tolist(), best.values.tolist(), strict=True)
        ]


def check_fits(settings: TaggerSettings, clip: Clip) -> None:
    """Refuse thresholds that were made for another model.

    Raises:
        ModelError: another fingerprint.
    """
    if settings.fingerprint != clip.fingerprint and settings.fingerprint != clip.weights_digest():
        raise ModelError(
            f"the concepts were named by '{settings.model}', whose weights are not those of "
            f"'{clip.name}', so their thresholds do not fit; make them again with 'vlsuite data "
            f"concepts --model {clip.name}'"
        )


def calibrated(
    clip: Clip,
    shares: Mapping[str, float],
    image_embeds: Float[Tensor, "images embed_dim"],
    *,
    top: int,
    template: str = TEMPLATE,
) -> TaggerSettings:
    """Thresholds such that each concept is found in a given share of some pictures.

    A concept's cosines have an offset of their own (its frequency in the model's training data),
    which a quantile of its own takes away.

    Args:
        shares: of the pictures that are to be above a concept's threshold, (0, 1].
        image_embeds: of pictures like those to be tagged, training pictures only.
        top: concepts of a picture at most.
    Raises:
        ConfigError: no concepts, no pictures, or a share outside (0, 1].
    """
    if not shares or not len(image_embeds):
        raise ConfigError("concepts need a list of words and pictures to calibrate them on")
    for concept, share in shares.items():
        if not 0 < share <= 1:
            raise ConfigError(f"the share of '{concept}', {share}, must lie between 0 and 1")
    embeds = concept_embeds(clip, tuple(shares), template=template)
    cosines = image_embeds.to(embeds.device) @ embeds.T
    count = len(cosines)
    ranks = [min(count - 1, int((1 - share) * count)) for share in shares.values()]
    # sorted rather than torch.quantile, which takes at most 2^24 values
    ordered = cosines.sort(dim=0).values
    thresholds = ordered[torch.tensor(ranks), torch.arange(len(ranks))]
    return TaggerSettings(
        concepts=tuple(shares),
        thresholds=tuple(thresholds.tolist()),
        top=top,
        template=template,
        fingerprint=clip.fingerprint,
        model=clip.name,
    )


def concept_embeds(
    clip: Clip, concepts: Sequence[str], *, template: str
) -> Float[Tensor, "concepts embed_dim"]:
    """Unit-norm embeddings of concepts in their template, on the model's device."""
    return clip.embed_texts([template.replace("{}", concept) for concept in concepts])
