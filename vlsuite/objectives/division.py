"""Which pairs look mismatched: a mixture of two normal distributions over their losses.

The losses are those that training computes anyway, kept as running means under the pairs' keys;
nothing is told how much noise there is.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Float
from scipy.special import expit, logit, logsumexp

#: "free" fits both components, as published; "anchored" takes the noisy one from pairs mismatched
#: on purpose and flags no more pairs than the tail of the losses justifies.
Fit = Literal["free", "anchored"]

_MAX_VALUES = 100_000  # the fit sees at most so many quantiles of the losses
_MAX_STEPS = 200
_SMALLEST_SD = 1e-3
_SMALLEST_SHARE = 1e-6
_LOW, _HIGH = 0.1, 0.9  # quantiles at which the components start
_TAILS = np.linspace(0.25, 0.75, 11)  # quantiles of wrong pairs' losses above which pairs count
_LEAST_SURPRISE = 3.0  # standard errors by which a bump must stand out


@dataclass(frozen=True, kw_only=True, slots=True)
class Mixture:
    """Two normal distributions of losses: of matched (clean) and of mismatched (noisy) pairs.

    Attributes:
        noise_share: weight of the noisy component; an estimate of the noise rate.
        clean_mean, clean_sd, noisy_mean, noisy_sd: in the units of the losses.
        shift: taken off the log odds of noise; see :meth:`limited_to_share`.
    """

    noise_share: float
    clean_mean: float
    clean_sd: float
    noisy_mean: float
    noisy_sd: float
    shift: float = 0.0

    @property
    def separation(self) -> float:
        """Distance of the means in root-mean-square standard deviations.

        Ashman's D (Ashman, Bird and Zepf 1994, AJ 108): above 2 normal components stand apart.
        """
        spread = math.sqrt((self.clean_sd**2 + self.noisy_sd**2) / 2)
        return (self.noisy_mean - self.clean_mean) / spread

    def noise_probability(self, losses: Float[np.ndarray, " pairs"]) -> Float[np.ndarray, " pairs"]:
        """Posterior probability of the noisy component, made monotone in the loss.

        The log odds of two normal densities are a parabola, so the wider component claims the
        far end of both sides. Beyond the vertex the value at the vertex is used: a lower loss
        never means more noise. The monotone form is ours; RDE uses the posterior as it is.
        """
        if self.noise_share <= 0 or self.noise_share >= 1:
            return np.full(len(losses), float(self.noise_share >= 1))
        curvature = 1 / self.clean_sd**2 - 1 / self.noisy_sd**2
        slope = self.noisy_mean / self.noisy_sd**2 - self.clean_mean / self.clean_sd**2
        x = np.asarray(losses, dtype=np.float64)
        if curvature > 0:
            x = np.maximum(x, -slope / curvature)
        elif curvature < 0:
            x = np.minimum(x, -slope / curvature)
        return expit(self._log_odds(x) - self.shift)

    def limited_to_share(self, losses: Float[np.ndarray, " pairs"]) -> "Mixture":
        """The same, with odds so low that no more than ``noise_share`` of the pairs are flagged.

        Posteriors add up to the share, but not what lies above one half: components that overlap
        at a share of 0.8 put every pair there. The pairs of the lowest losses are kept then.

        Args:
            losses: of all pairs, finite.
        """
        edge = np.quantile(losses, 1 - min(max(self.noise_share, 0.0), 1.0))
        odds = self.noise_probability(np.array([edge]))
        return replace(self, shift=self.shift + max(0.0, float(logit(odds)[0])))

    def _log_odds(self, x: np.ndarray) -> np.ndarray:
        noisy = _log_density(x, self.noisy_mean, self.noisy_sd)
        clean = _log_density(x, self.clean_mean, self.clean_sd)
        return math.log(self.noise_share) - math.log1p(-self.noise_share) + noisy - clean

    def to_list(self) -> list[float]:
        """The six numbers, for a checkpoint."""
        return [
            self.noise_share, self.clean_mean, self.clean_sd, self.noisy_mean, self.noisy_sd,
            self.shift,
        ]  # fmt: skip

    @classmethod
    def from_list(cls, values: list[float]) -> "Mixture":
        """What :meth:`to_list` gave; before there was a shift, five numbers."""
        share, clean_mean, clean_sd, noisy_mean, noisy_sd, *shift = values
        return cls(
            noise_share=share,
            clean_mean=clean_mean,
            clean_sd=clean_sd,
            noisy_mean=noisy_mean,
            noisy_sd=noisy_sd,
            shift=shift[0] if shift else 0.0,
        )


def fit_mixture(
    losses: Float[np.ndarray, " pairs"],
    mismatched: Float[np.ndarray, " others"],
    *,
    fit: Fit,
) -> Mixture | None:
    """Fit the two components by expectation maximisation; None where nothing can be told apart.

    RDE (equation 2) and NEVLP's relatives fit both components freely ("free"; scikit-learn does
    it here, started at the 10% and 90% quantiles). A free second component is also found where
    no pair is wrong: at no noise RDE's code flags 27 to 38% of synthetic pairs. "anchored", ours,
    measures the noisy component instead: ``mismatched`` holds losses of the same images with
    wrong texts of their batches. Only the clean component and the weights are then fitted, and the
    weight of the noisy one is no more than :func:`justified_share`: right pairs that a model does
    not know yet form a tail that no normal distribution has, and that would go to the noisy one.

    Args:
        losses: of the pairs; not finite ones are left out.
        mismatched: of pairs known to be wrong; needed by "anchored".
    """
    known = _quantiles(losses[np.isfinite(losses)])
    if len(known) < 8 or np.ptp(known) < _SMALLEST_SD:
        return None
    if fit == "free":
        return _fit_free(known)
    wrong = mismatched[np.isfinite(mismatched)]
    if len(wrong) < 8:
        return None
    return _fit_anchored(
        known,
        noisy_mean=float(wrong.mean()),
        noisy_sd=max(float(wrong.std()), _SMALLEST_SD),
        most=max(justified_share(known, wrong), _SMALLEST_SHARE),
    )


def justified_share(
    losses: Float[np.ndarray, " pairs"], mismatched: Float[np.ndarray, " others"]
) -> float:
    """The largest share of pairs that may be wrong, whatever the losses of right pairs look like.

    Losses follow F = (1 - s) C + s W, with W known and C not, so s <= P_F(l > t) / P_W(l > t) for
    every t (the bound of mixture proportion estimation: Blanchard, Lee and Scott 2010, JMLR 11).
    The least ratio over the quarter points of W is taken, one standard error above its value.

    Args:
        losses: of the pairs, finite.
        mismatched: of pairs known to be wrong, finite.
    """
    edges = np.quantile(mismatched.astype(np.float64), _TAILS)
    above = 1 - np.searchsorted(np.sort(losses.astype(np.float64)), edges, side="right") / len(
        losses
    )
    expected = 1 - _TAILS
    error = above * (1 - above) / len(losses)
    error += (above / expected) ** 2 * expected * (1 - expected) / len(mismatched)
    return float(min(1.0, ((above + np.sqrt(error)) / expected).min()))


def has_bump(losses: Float[np.ndarray, " pairs"], mixture: Mixture) -> bool:
    """Whether losses gather around the noisy mean, with fewer between there and the clean mean.

    A tail of hard but right pairs falls all the way; only a second kind of pairs makes it rise
    again. Pairs within half a standard deviation of the noisy mean are counted and compared with
    equally wide windows below, by the normal approximation to the difference of Poisson counts.

    Args:
        losses: of the pairs, finite.
    """
    half = mixture.noisy_sd / 2
    centres = np.arange(mixture.noisy_mean - 2 * half, mixture.clean_mean, -half / 2)
    if not len(centres):
        return False
    ordered = np.sort(losses)
    found, *others = [_count_within(ordered, c, half) for c in (mixture.noisy_mean, *centres)]
    least = min(others)
    return found - least > _LEAST_SURPRISE * math.sqrt(found + least)


def _count_within(ordered: np.ndarray, centre: float, half: float) -> int:
    ends = np.searchsorted(ordered, [centre - half, centre + half])
    return int(ends[1] - ends[0])


def _fit_free(losses: Float[np.ndarray, " pairs"]) -> Mixture:
    from sklearn.mixture import GaussianMixture

    start = np.quantile(losses, [_LOW, _HIGH])
    precision = 4 / losses.var()
    found = GaussianMixture(
        2,
        weights_init=[0.5, 0.5],
        means_init=start[:, None],
        precisions_init=np.full((2, 1, 1), precision),
        tol=1e-4,
        max_iter=_MAX_STEPS,
        reg_covar=_SMALLEST_SD**2,
        random_state=0,
    ).fit(losses[:, None])
    means, weights = np.asarray(found.means_)[:, 0], np.asarray(found.weights_)
    sds = np.sqrt(np.asarray(found.covariances_)[:, 0, 0])
    clean, noisy = np.argsort(means, kind="stable").tolist()
    return Mixture(
        noise_share=float(weights[noisy]),
        clean_mean=float(means[clean]),
        clean_sd=float(sds[clean]),
        noisy_mean=float(means[noisy]),
        noisy_sd=float(sds[noisy]),
    )


def _fit_anchored(
    losses: Float[np.ndarray, " pairs"], *, noisy_mean: float, noisy_sd: float, most: float
) -> Mixture | None:
    mean, sd, share = float(np.quantile(losses, _LOW)), float(losses.std()) / 2, min(0.5, most)
    noisy = _log_density(losses, noisy_mean, noisy_sd)
    for _ in range(_MAX_STEPS):
        before = np.array([share, mean, sd])
        joint = np.stack(
            [math.log(share) + noisy, math.log1p(-share) + _log_density(losses, mean, sd)]
        )
        is_noisy = np.exp(joint[0] - logsumexp(joint, axis=0))
        share = min(float(is_noisy.mean()), most)
        is_clean = 1 - is_noisy
        if share < _SMALLEST_SHARE or share > 1 - _SMALLEST_SHARE:
            break
        mean = float((is_clean * losses).sum() / is_clean.sum())
        variance = float((is_clean * (losses - mean) ** 2).sum() / is_clean.sum())
        sd = max(math.sqrt(variance), _SMALLEST_SD)
        if np.abs(before - [share, mean, sd]).max() < 1e-6:
            break
    if mean >= noisy_mean:  # losses no lower than of wrong pairs: nothing has been learned yet
        return None
    return Mixture(
        noise_share=share,
        clean_mean=mean,
        clean_sd=sd,
        noisy_mean=noisy_mean,
        noisy_sd=noisy_sd,
    )


def _log_density(x: np.ndarray, mean: float, sd: float) -> np.ndarray:
    return -0.5 * ((x - mean) / sd) ** 2 - math.log(sd)


def _quantiles(values: Float[np.ndarray, " values"]) -> Float[np.ndarray, " fewer"]:
    """The values, sorted in fp64, or evenly spaced ones of them where they are too many."""
    ordered = np.sort(values.astype(np.float64))
    if len(ordered) <= _MAX_VALUES:
        return ordered
    places = np.linspace(0, len(ordered) - 1, _MAX_VALUES).round().astype(np.int64)
    return ordered[places]
