"""Global contrastive losses with a running normaliser for each pair: SogCLR and iSogCLR."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from vlsuite.errors import ConfigError
from vlsuite.objectives import registry
from vlsuite.objectives.pair_keys import PairKeys
from vlsuite.objectives.pair_memory import PairMemory
from vlsuite.objectives.pairwise import PairLosses, PairwiseObjective, Similarities
from vlsuite.objectives.triplet import fix_scale

_SIDES = ("image", "text")
_FIELDS = ("bound", "normaliser", "velocity", "tau")
_RHO_SHARE = 0.87  # of log(negatives): 6 / log(1023)
_LARGEST_STEP = 5.0  # of the temperature's gradient, as the authors' code clips it


@registry.register("isogclr")
@dataclass(frozen=True, kw_only=True, slots=True)
class IsogclrConfig:
    """Settings of SogCLR and, with ``learn_tau``, iSogCLR.

    Args:
        tau: temperature of every pair at the start; 0.01 in the authors' CC3M script.
        learn_tau: each pair and side learns its own (iSogCLR); else it stays (SogCLR).
        gamma: share of the present batch in the running normaliser, (0, 1]; 0.8.
        rho: how far the weights of a pair's negatives may depart from equal ones, in nats (a
            Kullback-Leibler divergence). None, the default, is 0.87 of the log of the number of
            negatives, as the authors' 6 is with 1,023. With learned temperatures it must lie below
            that log: beyond, every temperature falls to ``tau_min`` whatever the pair.
        tau_momentum: beta, share of the present gradient in its running mean, (0, 1]; 0.9.
        tau_lr: eta of the temperatures; 0.03.
        tau_min, tau_max: their range; 0.005 and 1.
    """

    tau: float = 0.01
    learn_tau: bool = True
    gamma: float = 0.8
    rho: float | None = None
    tau_momentum: float = 0.9
    tau_lr: float = 0.03
    tau_min: float = 0.005
    tau_max: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.tau_min <= self.tau <= self.tau_max <= 1:
            raise ConfigError(
                "objective: need 0 < tau_min <= tau <= tau_max <= 1, but they are "
                f"{self.tau_min}, {self.tau} and {self.tau_max}"
            )
        if self.rho is not None and self.rho < 0:
            raise ConfigError(f"objective.rho={self.rho} must not be negative")
        if not (0 < self.gamma <= 1 and 0 < self.tau_momentum <= 1 and self.tau_lr >= 0):
            raise ConfigError(
                "objective: gamma and tau_momentum must lie in (0, 1], tau_lr must not be negative"
            )

    def build(self) -> "Isogclr":
        """The objective, on the CPU."""
        return Isogclr(self)


class SideState(NamedTuple):
    """What is remembered of one side (its image or its text) of some pairs.

    Attributes:
        bound: m, largest exponent met, against overflow.
        normaliser: u, running mean of exp((S_ij - S_ii) / tau - m) over negatives.
        velocity: v, running mean of the temperature's gradient.
        tau: temperature.
    """

    bound: Float[Tensor, " batch"]
    normaliser: Float[Tensor, " batch"]
    velocity: Float[Tensor, " batch"]
    tau: Float[Tensor, " batch"]


class Isogclr(PairwiseObjective):
    """:func:`side_losses` of both sides of each pair, with their state under the pair's key.

    Qiu et al. 2023, arXiv 2305.11965 (iSogCLR); Yuan et al. 2022, arXiv 2202.12387 (SogCLR). State
    and constants as in bimodal_exps/models/losses.py of the iSogCLR authors.
    Departures: the state is checkpointed and follows uids, the pair itself is not among its
    negatives, the first visit starts the normaliser with that batch's value instead of averaging
    it with 0, and rho follows the batch. 32 bytes a pair. The multiplier of the trained model is
    1 / tau.

    Why rho: tau_i is the multiplier of the constraint KL(p_i || uniform over negatives) <= rho,
    and its gradient rho - KL (equation 3 of arXiv 2305.11965 and its dual). The divergence never
    exceeds the log of the number n of negatives, so with rho >= log n the gradient is positive for
    every pair and no temperature means anything. The authors' 6 lies above log n up to a global
    batch of 404; with batches of 64 to 256, all temperatures fall to their floor on first visit.
    """

    def __init__(self, config: IsogclrConfig) -> None:
        super().__init__(init_logit_scale=1 / config.tau, max_logit_scale=1 / config.tau_min)
        fix_scale(self)
        self._config = config
        nothing = float("nan")
        self._memory = PairMemory(
            **{f"{side}.{name}": nothing for side in _SIDES for name in _FIELDS}
        )

    def set_logit_scale(self, value: float, *, logit_bias: float | None = None) -> None:
        """Temperatures start at ``tau`` whatever a pretrained multiplier was."""

    def pair_losses(self, scores: Similarities, keys: PairKeys | None) -> PairLosses:
        """See :meth:`PairwiseObjective.pair_losses`."""
        if keys is None:
            raise ValueError("isogclr needs the keys of the pairs")
        if torch.is_grad_enabled() and self._config.learn_tau:
            _refuse_large_rho(self._config.rho, global_batch=scores.images.shape[1])
        losses = torch.zeros_like(scores.own_cosines)
        new: list[tuple[str, Tensor]] = []
        for side, cosines in zip(_SIDES, (scores.images, scores.texts), strict=True):
            found, state = side_losses(
                cosines, scores, self._state(side, keys), config=self._config
            )
            losses = losses + found
            new += [(f"{side}.{name}", value) for name, value in state._asdict().items()]
        taus = torch.stack([value for name, value in new if name.endswith(".tau")])
        if torch.is_grad_enabled():
            self._memory.average_in(keys.pairs, new, decay=0.0)
        return PairLosses(losses, {"isogclr": losses, "tau": taus.mean(dim=0)})

    def _state(self, side: str, keys: PairKeys) -> SideState:
        return SideState(
            *(self._memory.values_of(f"{side}.{name}", keys.pairs) for name in _FIELDS)
        )

    def memory(self) -> dict[str, Tensor]:
        """See :meth:`Objective.memory`."""
        return self._memory.state()

    def load_memory(self, stored: dict[str, Tensor]) -> None:
        """See :meth:`Objective.load_memory`."""
        self._memory.load(stored)


def _refuse_large_rho(rho: float | None, *, global_batch: int) -> None:
    bound = math.log(max(global_batch - 1, 1))
    if rho is not None and rho >= bound:
        raise ConfigError(
            f"objective.rho={rho:g} must lie below log(global_batch_size - 1) = {bound:.2f}: from "
            "there on every temperature falls to tau_min; leave it out (rho=none) for "
            f"{_RHO_SHARE:g} of that bound, or use a larger global batch"
        )


def side_losses(
    cosines: Float[Tensor, "batch global_batch"],
    scores: Similarities,
    state: SideState,
    *,
    config: IsogclrConfig,
) -> tuple[Float[Tensor, " batch"], SideState]:
    """One side's loss of each pair, and its state after this visit.

    With h_ij = S_ij - S_ii and negatives N_i: m' = max(m, max_j h_ij / tau); g = mean_j
    exp(h_ij / tau - m'); u' = (1 - gamma) u exp(m - m') + gamma g; the loss is
    mean_j (exp(h_ij / tau - m') / u') h_ij with its first factor not differentiated, so that its
    value is no likelihood but its gradient that of tau log E exp(h / tau). iSogCLR then moves tau
    against the running mean v' = (1 - beta) v + beta clip(G) of G = log u' + m' + rho -
    mean_j p_ij h_ij / tau.

    Args:
        cosines: of this side against the other side's rows; those of the same identity are no
            negatives.
        state: NaN for a pair's first visit. Its losses are 0 where it has no negative.
    """
    is_negative = ~scores.is_positive
    count = is_negative.sum(dim=1).clamp(min=1)
    tau = torch.where(state.tau.isnan(), torch.full_like(state.tau, config.tau), state.tau)
    gaps = cosines - scores.own_cosines[:, None]
    with torch.no_grad():
        exponents = (gaps / tau[:, None]).masked_fill(~is_negative, -torch.inf)
        largest = exponents.amax(dim=1).nan_to_num(neginf=0.0)
        bound = torch.fmax(state.bound, largest)
        weights = torch.exp(exponents - bound[:, None])
        present = weights.sum(dim=1) / count
        kept = state.normaliser * torch.exp(state.bound - bound)
        normaliser = torch.where(
            kept.isnan(), present, (1 - config.gamma) * kept + config.gamma * present
        )
        shares = weights / (normaliser[:, None] + 1e-10)
    losses = (shares * gaps.masked_fill(~is_negative, 0.0)).sum(dim=1) / count
    velocity = state.velocity.nan_to_num(0.0)
    if config.learn_tau:
        rho = _RHO_SHARE * torch.log(count.float()) if config.rho is None else config.rho
        gradient = torch.log(normaliser + 1e-10) + bound + rho - losses.detach() / tau
        clipped = gradient.clamp(-_LARGEST_STEP, _LARGEST_STEP)
        velocity = (1 - config.tau_momentum) * velocity + config.tau_momentum * clipped
        tau = (tau - config.tau_lr * velocity).clamp(config.tau_min, config.tau_max)
    return losses, SideState(bound, normaliser, velocity, tau)
