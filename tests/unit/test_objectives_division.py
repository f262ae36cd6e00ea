"""Two-component mixtures over losses: equal to scikit-learn's, right where the truth is known."""

import math

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.mixture import GaussianMixture

from vlsuite.objectives.division import Mixture, fit_mixture

NONE = np.zeros(0)


def losses_of(share: float, *, count: int = 4000, seed: int = 0, gap: float = 3.0, wide=1.0):
    """Losses of clean N(1, 0.6) and noisy N(1 + gap, wide) pairs, and which are noisy."""
    rng = np.random.default_rng(seed)
    is_noisy = rng.random(count) < share
    losses = np.where(is_noisy, rng.normal(1 + gap, wide, count), rng.normal(1, 0.6, count))
    return losses, is_noisy


def wrong_pairs(*, count: int = 4000, seed: int = 1, gap: float = 3.0, wide: float = 1.0):
    return np.random.default_rng(seed).normal(1 + gap, wide, count)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_free_fit_equals_scikit_learn_from_the_same_start(share):
    losses, _ = losses_of(share)
    found = fit_mixture(losses, NONE, fit="free")
    start = np.quantile(losses, [0.1, 0.9])
    peer = GaussianMixture(
        2,
        weights_init=[0.5, 0.5],
        means_init=start[:, None],
        precisions_init=np.full((2, 1, 1), 4 / losses.var()),
        tol=1e-4,
        max_iter=200,
        reg_covar=1e-6,
    ).fit(losses[:, None])
    clean, noisy = np.argsort(peer.means_[:, 0])
    assert found is not None
    assert found.noise_share == pytest.approx(peer.weights_[noisy], abs=1e-6)
    assert found.clean_mean == pytest.approx(peer.means_[clean, 0], abs=1e-6)
    assert found.noisy_mean == pytest.approx(peer.means_[noisy, 0], abs=1e-6)
    assert found.noisy_sd == pytest.approx(math.sqrt(peer.covariances_[noisy, 0, 0]), abs=1e-6)
    middle = np.linspace(found.clean_mean, found.noisy_mean, 50)
    posterior = peer.predict_proba(middle[:, None])[:, noisy]
    assert found.noise_probability(middle) == pytest.approx(posterior, abs=1e-6)


@pytest.mark.parametrize("fit", ["free", "anchored"])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_known_parameters_are_found(fit, share):
    losses, is_noisy = losses_of(share)
    found = fit_mixture(losses, wrong_pairs(), fit=fit)
    assert found is not None
    assert found.noise_share == pytest.approx(share, abs=0.03)
    assert found.clean_mean == pytest.approx(1.0, abs=0.1)
    assert found.clean_sd == pytest.approx(0.6, abs=0.1)
    assert found.noisy_mean == pytest.approx(4.0, abs=0.1)
    assert found.noisy_sd == pytest.approx(1.0, abs=0.1)
    assert ((found.noise_probability(losses) > 0.5) == is_noisy).mean() > 0.95


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("share", [0.05, 0.2, 0.5, 0.8])
@pytest.mark.parametrize("gap", [2.0, 4.0])
def test_anchored_fit_recovers_the_share(seed, share, gap):
    losses, is_noisy = losses_of(share, count=16_000, seed=seed, gap=gap)
    wrong = wrong_pairs(count=16_000, seed=seed + 100, gap=gap)
    found = fit_mixture(losses, wrong, fit="anchored")
    assert found is not None
    assert found.noise_share == pytest.approx(is_noisy.mean(), abs=0.03)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("gap", [1.0, 2.0, 4.0])
def test_anchored_fit_flags_few_where_nothing_is_wrong(seed, gap):
    losses, _ = losses_of(0.0, seed=seed)
    found = fit_mixture(losses, wrong_pairs(seed=seed + 50, gap=gap), fit="anchored")
    assert found is not None
    assert (found.noise_probability(losses) > 0.5).mean() <= 0.05
    assert found.noise_share <= 0.05


def test_free_fit_flags_many_where_nothing_is_wrong():
    """Why the anchored fit exists: two equal halves of one distribution."""
    losses, _ = losses_of(0.0)
    found = fit_mixture(losses, NONE, fit="free")
    assert found is not None
    assert (found.noise_probability(losses) > 0.5).mean() > 0.05


@pytest.mark.parametrize(("clean_sd", "noisy_sd"), [(0.5, 2.0), (2.0, 0.5), (1.0, 1.0)])
def test_a_lower_loss_never_means_more_noise(clean_sd, noisy_sd):
    mixture = Mixture(
        noise_share=0.4, clean_mean=1.0, clean_sd=clean_sd, noisy_mean=3.0, noisy_sd=noisy_sd
    )
    losses = np.linspace(-50, 50, 20001)
    found = mixture.noise_probability(losses)
    assert np.isfinite(found).all()
    assert (np.diff(found) >= -1e-12).all()
    between = (losses > 1) & (losses < 3)
    noisy = 0.4 * norm.pdf(losses, 3.0, noisy_sd)
    clean = 0.6 * norm.pdf(losses, 1.0, clean_sd)
    expected = noisy[between] / (noisy + clean)[between]
    assert found[between] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("share", "expected"), [(0.0, 0.0), (1.0, 1.0)])
def test_all_or_nothing(share, expected):
    mixture = Mixture(noise_share=share, clean_mean=1.0, clean_sd=1.0, noisy_mean=2.0, noisy_sd=1.0)
    assert mixture.noise_probability(np.array([-5.0, 1.0, 9.0])).tolist() == [expected] * 3


@pytest.mark.parametrize("fit", ["free", "anchored"])
def test_nothing_to_tell_apart_gives_no_mixture(fit):
    wrong = wrong_pairs()
    for losses in (NONE, np.ones(7), np.ones(500), np.full(500, np.nan)):
        assert fit_mixture(losses, wrong, fit=fit) is None
    if fit == "anchored":
        losses, _ = losses_of(0.5)
        assert fit_mixture(losses, NONE, fit=fit) is None
        assert fit_mixture(losses, np.full(100, np.nan), fit=fit) is None
        assert fit_mixture(losses, wrong - 10, fit=fit) is None


@pytest.mark.parametrize("fit", ["free", "anchored"])
def test_losses_not_yet_known_are_left_out(fit):
    losses, _ = losses_of(0.5)
    wrong = wrong_pairs()
    holes = np.concatenate([losses, [np.nan, np.inf, -np.inf]])
    first = fit_mixture(losses, wrong, fit=fit)
    assert fit_mixture(holes, np.concatenate([wrong, [np.nan]]), fit=fit) == first


@pytest.mark.parametrize("fit", ["free", "anchored"])
def test_order_and_fp32_hardly_matter(fit):
    losses, _ = losses_of(0.3)
    wrong = wrong_pairs()
    first = fit_mixture(losses, wrong, fit=fit)
    order = np.random.default_rng(3).permutation(len(losses))
    assert fit_mixture(losses[order], wrong, fit=fit) == first
    single = fit_mixture(losses.astype(np.float32), wrong, fit=fit)
    assert first is not None
    assert single is not None
    assert single.to_list() == pytest.approx(first.to_list(), abs=1e-4)


def test_many_losses_are_fitted_through_their_quantiles():
    losses, _ = losses_of(0.4, count=250_000)
    found = fit_mixture(losses, wrong_pairs(), fit="anchored")
    assert found is not None
    assert found.noise_share == pytest.approx(0.4, abs=0.02)


def test_stored_numbers_give_the_same_mixture():
    mixture = Mixture(noise_share=0.1, clean_mean=0.2, clean_sd=0.3, noisy_mean=0.4, noisy_sd=0.5)
    assert Mixture.from_list(mixture.to_list()) == mixture
