"""Noise-adaptive contrast in float64 loops over several visits.

Our inference of NEVLP (arXiv 2409.09582): targets y_ii = 1 - w_i, y_ij = w_i / (B - 1) with
w_i = lambda epsilon_i, epsilon_i the noisy component's posterior of the pair's running InfoNCE
loss. Tolerance 1e-5: fp32 logits of size 14, and posteriors that follow their losses.
"""

import math

import pytest
import torch

from tests.support.embeddings import Pairs, assert_equal_to, random_pairs
from tests.support.pair_losses import (
    actual_results,
    different,
    doubles,
    expected_results,
    info_nce,
    learned_scale,
    log_sum_exp,
)
from vlsuite.errors import ConfigError
from vlsuite.objectives import registry
from vlsuite.objectives.clip import ClipConfig
from vlsuite.objectives.division import Mixture
from vlsuite.objectives.nitc import Nitc, NitcConfig
from vlsuite.objectives.pair_division import DivisionConfig

MIXTURE = Mixture(noise_share=0.4, clean_mean=1.0, clean_sd=0.7, noisy_mean=3.0, noisy_sd=0.7)


def posterior(loss: float) -> float:
    noisy = 0.4 * math.exp(-0.5 * ((loss - 3.0) / 0.7) ** 2)
    clean = 0.6 * math.exp(-0.5 * ((loss - 1.0) / 0.7) ** 2)
    return noisy / (noisy + clean)


def visit(objective: Nitc, pairs: Pairs, running: dict, *, form: str, strength: float):
    double = doubles(pairs)
    log_scale, scale = learned_scale(objective)
    batch = len(pairs.images)
    total = torch.tensor(0.0, dtype=torch.float64)
    for i in range(batch):
        plain = info_nce(double.directions, i, scale)
        old, new = running.get(i), plain.item()
        running[i] = new if old is None else 0.5 * old + 0.5 * new
        omega = strength * posterior(running[i]) if objective.division.mixtures["clip"] else 0.0
        if form == "weights":
            total = total + (1 - omega) * plain
            continue
        for rows in double.directions:
            normaliser = log_sum_exp([scale * c for c in rows[i]])
            for j, cosine in enumerate(rows[i]):
                target = 1 - omega if i == j else omega / (batch - 1)
                total = total - target * (scale * cosine - normaliser) / 2
    return expected_results((total / batch).sum(), [*double.pairs, log_scale])


def built(**settings) -> Nitc:
    return NitcConfig(division=DivisionConfig(warmup_epochs=100.0), **settings).build()


@pytest.mark.parametrize("batch", [2, 7, 12])
@pytest.mark.parametrize("form", ["targets", "weights"])
def test_visits_equal_float64_loops(batch, form):
    objective, running = built(form=form, strength=0.8), {}
    for number, mixture in enumerate((None, MIXTURE, MIXTURE)):
        objective.division.mixtures["clip"] = mixture
        pairs = random_pairs(batch, 5, seed=10 * batch + number)
        expected = visit(objective, pairs, running, form=form, strength=0.8)
        actual = actual_results(objective, pairs, different(batch))
        assert_equal_to(actual, expected, tolerance=1e-5)
    found = list(objective.noise_probabilities().values())
    assert found == pytest.approx([posterior(running[i]) for i in range(batch)], abs=1e-5)


def test_comparison_notices_another_strength_and_form():
    objective = built(form="targets", strength=0.8)
    objective.division.mixtures["clip"] = MIXTURE
    pairs = random_pairs(7, 5, seed=0)
    actual = actual_results(objective, pairs, different(7))
    for form, strength in (("targets", -0.8), ("targets", 0.7), ("weights", 0.8)):
        wrong = visit(objective, pairs, {}, form=form, strength=strength)
        for part in range(4):
            with pytest.raises(AssertionError, match="bound"):
                assert_equal_to([actual[part]], [wrong[part]], tolerance=1e-5)


@pytest.mark.parametrize("batch", [1, 2, 9])
def test_before_the_division_it_is_the_clip_objective(batch):
    pairs = random_pairs(batch, 5, seed=2)
    plain = actual_results(ClipConfig().build(), pairs, different(batch))
    assert_equal_to(actual_results(built(), pairs, different(batch)), plain, tolerance=2e-6)


@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_extreme_temperatures(scale):
    objective = built(form="targets", strength=0.8, init_logit_scale=scale)
    objective.division.mixtures["clip"] = MIXTURE
    pairs = random_pairs(9, 3, seed=1, noise=0.5)
    expected = visit(objective, pairs, {}, form="targets", strength=0.8)
    actual = actual_results(objective, pairs, different(9))
    assert_equal_to(actual, expected, tolerance=2e-4)


def test_a_noisier_pair_is_pulled_less():
    """Gradient of the own cosine: -(1 - w) + p, so a pair sure to be noise moves the other way."""
    objective = built(strength=0.9)
    objective.division.mixtures["clip"] = Mixture(
        noise_share=0.5, clean_mean=-9.0, clean_sd=1.0, noisy_mean=5.0, noisy_sd=1.0
    )
    terms = objective(*random_pairs(8, 5, seed=3, noise=0.3), different(8)).terms
    assert terms["noise_probability"].item() > 0.9


def test_settings():
    assert isinstance(registry.get("nitc")().build(), Nitc)
    with pytest.raises(ValueError, match="keys"):
        NitcConfig().build()(*random_pairs(3, 4, seed=0))
    for wrong in (-0.1, 1.0):
        with pytest.raises(ConfigError, match="strength"):
            NitcConfig(strength=wrong)
