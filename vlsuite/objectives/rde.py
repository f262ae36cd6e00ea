"""Robust dual embedding (RDE): triplet alignment on the pairs that two embeddings find clean."""

from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from vlsuite.errors import ConfigError
from vlsuite.objectives import registry
from vlsuite.objectives.joint import global_mean
from vlsuite.objectives.mismatched import mismatched_alignment_losses, mismatched_pairs
from vlsuite.objectives.objective import Losses, check_pairs
from vlsuite.objectives.pair_division import DivisionConfig, PairDivision, PartLosses
from vlsuite.objectives.pair_keys import PairKeys
from vlsuite.objectives.pairwise import PairwiseObjective, Similarities, similarities
from vlsuite.objectives.triplet import fix_scale
from vlsuite.objectives.triplet_alignment import TripletAlignment, triplet_alignment_losses

_NAMES = ("global", "token_selection")


@registry.register("rde")
@dataclass(frozen=True, kw_only=True, slots=True)
class RdeConfig:
    """Settings of RDE.

    Args:
        margin: m of the loss, in cosine.
        tau: its temperature; 0.015 in the paper, on CLIP ViT-B/16. Small models trained from
            little data do better with more, 0.05.
        reference_batch: correct the growth of the loss with the batch; see ``TripletAlignment``.
        divide: leave out pairs that look mismatched; without, the loss alone is used.
        division: when and how they are found.
        clean_threshold: a part calls a pair clean where its noise probability is below it.
    """

    margin: float = 0.1
    tau: float = 0.015
    reference_batch: int | None = None
    divide: bool = True
    division: DivisionConfig = field(default_factory=DivisionConfig)
    clean_threshold: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.margin <= 2:
            raise ConfigError(f"objective.margin={self.margin} must lie in [0, 2] (cosines)")
        if not 1e-4 <= self.tau <= 1:
            raise ConfigError(f"objective.tau={self.tau} must lie in [0.0001, 1]")
        if self.reference_batch is not None and self.reference_batch < 2:
            raise ConfigError("objective.reference_batch must be 2 or more, or none")
        if not 0 < self.clean_threshold < 1:
            raise ConfigError("objective.clean_threshold must lie between 0 and 1")

    def build(self) -> "Rde":
        """The objective, on the CPU."""
        return Rde(self)


class Rde(PairwiseObjective):
    """Mean over the batch of l_i (L_global,i + L_selection,i), with l_i in {0, 1}.

    Qin et al. 2024 (CVPR), equations 2 to 5. L is :func:`triplet_alignment_losses` on the global
    embedding and on the token-selection embedding of ``models.token_selection``; a model with one
    embedding has one term. A pair is clean (l = 1) where both mixtures say so, noisy (0) where
    neither does, and where they disagree l is drawn anew in each epoch. A part without a usable
    mixture yet does not vote.

    Departures: a mean over the batch instead of a sum, so that the step does not depend on its
    size; losses recycled from training instead of an extra pass, not normalised to [0, 1], which
    changes no mixture; mixtures of one setting, where the authors' code switches on the true
    noise rate; no 1% declared noisy where none is, and no division at all without evidence for it
    (see ``pair_division``; ``division.fit=free`` divides as published). The draw is a function of
    the pair and the epoch, so that ranks agree. The multiplier of the trained model is 1 / tau.
    """

    def __init__(self, config: RdeConfig) -> None:
        scale = max(1.0, 1 / config.tau)
        super().__init__(init_logit_scale=scale, max_logit_scale=scale)
        fix_scale(self)
        self._constants = TripletAlignment(config.margin, config.tau, config.reference_batch)
        self._threshold = config.clean_threshold
        self._divides = config.divide
        self._division_config = config.division
        self._epoch = 0
        self.use_layout(())

    def use_layout(self, embed_parts: tuple[int, ...]) -> None:
        """See :meth:`Objective.use_layout`.

        Raises:
            ConfigError: more than two parts.
        """
        if len(embed_parts) > len(_NAMES):
            raise ConfigError(f"objective=rde takes one or two embeddings, not {len(embed_parts)}")
        self._parts = embed_parts
        self.division = PairDivision(self._division_config, _NAMES[: max(1, len(embed_parts))])

    def set_logit_scale(self, value: float, *, logit_bias: float | None = None) -> None:
        """The multiplier is 1 / tau whatever a pretrained one was."""

    def begin_step(self, epoch: float) -> None:
        """See :meth:`Objective.begin_step`."""
        self._epoch = int(epoch)
        if self._divides:
            self.division.begin_step(epoch)

    def forward(
        self,
        image_embeds: Float[Tensor, "batch embed_dim"],
        text_embeds: Float[Tensor, "batch embed_dim"],
        keys: PairKeys | None = None,
    ) -> Losses:
        """See :meth:`ContrastiveObjective.forward`."""
        check_pairs(image_embeds, text_embeds)
        if keys is None:
            raise ValueError("rde needs the keys of the pairs")
        with torch.autocast(image_embeds.device.type, enabled=False):
            found = {
                name: self._part(images, texts, keys)
                for name, (images, texts) in zip(
                    self.division.parts,
                    split_parts(image_embeds, text_embeds, self._parts),
                    strict=True,
                )
            }
            per_pair = torch.stack([part.losses for part in found.values()]).sum(dim=0)
            label = self._labels(found, keys) if self._divides else torch.ones_like(per_pair)
            total = global_mean(label * per_pair)
        terms = {name: global_mean(part.losses.detach()) for name, part in found.items()}
        terms["used_pairs"] = global_mean(label)
        return Losses(total, terms | (self.division.terms(label) if self._divides else {}))

    def _part(self, images: Tensor, texts: Tensor, keys: PairKeys) -> PartLosses:
        scores: Similarities = similarities(images, texts, keys)
        losses = triplet_alignment_losses(scores, self._constants)
        if not self._divides:
            return PartLosses(losses, torch.full_like(losses, torch.nan))
        wrong = mismatched_pairs(scores, scale=1 / self._constants.tau)
        return PartLosses(losses, mismatched_alignment_losses(wrong, self._constants))

    @torch.no_grad()
    def _labels(self, found: dict[str, PartLosses], keys: PairKeys) -> Float[Tensor, " batch"]:
        votes = self.division.observe(
            keys.pairs,
            {name: part._replace(losses=part.losses.detach()) for name, part in found.items()},
        )
        if not votes:
            return torch.ones(len(keys.pairs), device=keys.pairs.device)
        is_clean = torch.stack([vote < self._threshold for vote in votes.values()])
        drawn = drawn_labels(keys.pairs, epoch=self._epoch)
        agreed = is_clean.all(dim=0) | ~is_clean.any(dim=0)
        return torch.where(agreed, is_clean.all(dim=0), drawn).float()

    def memory(self) -> dict[str, Tensor]:
        """See :meth:`Objective.memory`."""
        return self.division.state()

    def load_memory(self, stored: dict[str, Tensor]) -> None:
        """See :meth:`Objective.load_memory`."""
        self.division.load(stored)

    def notices(self) -> list[str]:
        """See :meth:`Objective.notices`."""
        return self.division.notices()

    def noise_probabilities(self) -> dict[int, float]:
        """See :meth:`Objective.noise_probabilities`; the mean of the parts."""
        parts = list(self.division.noise_probabilities().values())
        keys = self.division.memory.keys
        found = np.mean(parts, axis=0) if parts else np.zeros(len(keys))
        return dict(zip(keys.tolist(), found.tolist(), strict=True))


def split_parts(
    image_embeds: Float[Tensor, "batch embed_dim"],
    text_embeds: Float[Tensor, "batch embed_dim"],
    widths: tuple[int, ...],
) -> list[tuple[Tensor, Tensor]]:
    """Image and text rows of each part of concatenated embeddings, at unit norm.

    Args:
        widths: of the parts; empty for embeddings that are one part.
    """
    if not widths:
        return [(image_embeds, text_embeds)]
    images, texts = image_embeds.split(widths, dim=1), text_embeds.split(widths, dim=1)
    return [
        (F.normalize(i, dim=1), F.normalize(t, dim=1)) for i, t in zip(images, texts, strict=True)
    ]


def drawn_labels(pairs: Int64[Tensor, " batch"], *, epoch: int) -> Tensor:
    """A fair coin for each pair, thrown anew each epoch: a hash of its key and the epoch.

    The finaliser of SplitMix64 (Steele et al. 2014), whose high bit is taken.
    """
    with np.errstate(over="ignore"):
        mixed = pairs.cpu().numpy().view(np.uint64) + np.uint64(
            (epoch + 1) * 0x9E3779B97F4A7C15 % 2**64
        )
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return torch.from_numpy((mixed >> np.uint64(63)).astype(bool)).to(pairs.device)
