"""The three losses of NEVLP: contrast, matching, generation, from one pass of its model.

Published (NEVLP, arXiv 2409.09582, abstract): image-text contrast with noise-adaptive
regularisation, concept-enhanced matching and concept-enhanced image-grounded generation. That the
three are added, and a pair is matched against one hard negative picture and one hard negative
text, is BLIP-2's (arXiv 2301.12597, section 3.1; read from the public LAVIS code as well). How
much each counts is not known of NEVLP; 1 as in BLIP-2.

b = this rank's pairs, B = those of all ranks, q = queries
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor

from data_pipelines.settings import component
from vlsuite.errors import ConfigError
from vlsuite.objectives import gather, registry
from vlsuite.objectives.joint import JointObjective, global_mean
from vlsuite.objectives.objective import Losses
from vlsuite.objectives.pair_keys import PairKeys
from vlsuite.objectives.pairwise import PairwiseObjective, Similarities, similarities


@registry.register("nevlp")
@dataclass(frozen=True, kw_only=True, slots=True)
class NevlpObjectiveConfig:
    """Settings of NEVLP's objective.

    Attributes:
        itc: contrast of the queries' and the texts' embeddings: "nitc" adapts to noise,
            "label_smoothing" is the control that it has to beat (smoothing=0 is plain
            contrast); any other objective over all pairs works.
        itc_weight: of the contrast.
        itm_weight: of matching; 0 leaves it out.
        itg_weight: of generation; 0 leaves it out.
    """

    itc: Any = component(registry, "nitc")
    itc_weight: float = 1.0
    itm_weight: float = 1.0
    itg_weight: float = 1.0

    def __post_init__(self) -> None:
        weights = (self.itc_weight, self.itm_weight, self.itg_weight)
        if not all(math.isfinite(weight) and weight >= 0 for weight in weights):
            raise ConfigError("objective: the weights of itc, itm and itg must be 0 or positive")

    def build(self) -> "NevlpObjective":
        """The trainable objective, on the CPU.

        Raises:
            ConfigError: ``itc`` is no objective over all pairs.
        """
        itc = self.itc.build()
        if not isinstance(itc, PairwiseObjective):
            raise ConfigError(
                "objective.itc must be an objective over all pairs: choose nitc or label_smoothing"
            )
        return NevlpObjective(
            itc,
            itc_weight=self.itc_weight,
            itm_weight=self.itm_weight,
            itg_weight=self.itg_weight,
        )


class NevlpObjective(JointObjective):
    """Weighted sum of contrast, matching and generation.

    Args: see :class:`NevlpObjectiveConfig`.
    """

    def __init__(
        self,
        itc: PairwiseObjective,
        *,
        itc_weight: float,
        itm_weight: float,
        itg_weight: float,
    ) -> None:
        super().__init__()
        self.itc = itc
        self._weights = (itc_weight, itm_weight, itg_weight)

    def forward(self, output: Any, keys: PairKeys) -> Losses:
        """Global loss of one micro-batch.

        The term "itm" starts near ln 2 = 0.693 and falls to H(1/3) = 0.6365 when the head has
        learned nothing but that one pair of three belongs together; only lower values show that
        it compares. "itm_correct" is the share of the three that it gets right (2/3 then).

        Args:
            output: ``vlsuite.models.nevlp.encoder.NevlpOutput``.
            keys: of this rank's pairs, by row.
        """
        with torch.autocast(output.text_embeds.device.type, enabled=False):
            scores = query_similarities(output.image_embeds, output.text_embeds, keys)
            itc = self.itc.pair_losses(scores, keys)
            matching, correct = matching_losses(output.match_logits, output.has_negative)
            means = [global_mean(v) for v in (itc.losses, matching, output.caption_losses)]
            total = sum(
                (w * mean for w, mean in zip(self._weights, means, strict=True)),
                start=means[0].new_zeros(()),
            )
        terms = {name: global_mean(values.detach()) for name, values in itc.terms.items()}
        terms |= {n: m.detach() for n, m in zip(("itc", "itm", "itg"), means, strict=True)}
        terms["itm_correct"] = global_mean(correct)
        return Losses(total, terms)

    @property
    def writes(self) -> bool:
        """Whether generation counts; where it does not, it need not be computed."""
        return self._weights[2] > 0

    @property
    def logit_scale(self) -> float:
        """The multiplier now applied to cosine similarities."""
        return self.itc.logit_scale

    def noise_probabilities(self) -> dict[int, float] | None:
        """See ``Objective.noise_probabilities``."""
        return self.itc.noise_probabilities()

    def begin_step(self, epoch: float) -> None:
        """See ``Objective.begin_step``."""
        self.itc.begin_step(epoch)

    def memory(self) -> dict[str, Tensor]:
        """See ``Objective.memory``."""
        return self.itc.memory()

    def load_memory(self, stored: dict[str, Tensor]) -> None:
        """See ``Objective.load_memory``."""
        self.itc.load_memory(stored)

    def clamp_(self) -> None:
        """Bring the scale back into its range."""
        self.itc.clamp_()


def query_similarities(
    image_embeds: Float[Tensor, "batch queries embed_dim"],
    text_embeds: Float[Tensor, "batch embed_dim"],
    keys: PairKeys | None,
) -> Similarities:
    """Cosine of a picture and a text: of the picture's best vector (BLIP-2, section 3.1).

    With one vector a picture this is ``similarities``.

    Args:
        image_embeds: unit norm.
        text_embeds: unit norm, paired by row.
    """
    first = similarities(image_embeds[:, 0], text_embeds, keys)
    if image_embeds.shape[1] == 1:
        return first
    images, texts = image_embeds.float(), text_embeds.float()
    all_images, all_texts = gather.gather_rows(images), gather.gather_rows(texts)
    of_images = torch.einsum("bqd,td->bqt", images, all_texts)
    of_texts = torch.einsum("bd,iqd->bqi", texts, all_images)
    return first._replace(images=of_images.amax(dim=1), texts=of_texts.amax(dim=1))


def matching_losses(
    match_logits: Float[Tensor, "batch 3 2"], has_negative: Bool[Tensor, " batch"]
) -> tuple[Float[Tensor, " batch"], Float[Tensor, " batch"]]:
    """Cross-entropy of "belongs" for each pair and of "does not" for its two negatives.

    Args:
        match_logits: (does not belong, belongs) for the pair, and for its two negatives.
        has_negative: where False the pair alone counts.
    Returns:
        Mean of a pair's three losses in nats, and share of the three that are right.
    """
    labels = torch.zeros(match_logits.shape[:2], dtype=torch.int64, device=match_logits.device)
    labels[:, 0] = 1
    losses = F.cross_entropy(
        rearrange(match_logits, "b k two -> b two k"), labels, reduction="none"
    )
    counts = torch.ones_like(losses)
    counts[:, 1:] = has_negative[:, None].to(losses.dtype)
    total = counts.sum(dim=1)
    is_right = (match_logits.argmax(dim=2) == labels).to(losses.dtype)
    return (losses * counts).sum(dim=1) / total, (is_right * counts).sum(dim=1) / total
