"""Early-learning regularisation on matching probabilities, in float64 loops over several visits.

Liu et al. 2020, arXiv 2007.00151, equation 6, in the scalar form for pairs: pi the mean of both
directions' probability of the own partner, t <- beta t + (1 - beta) pi (t = pi at the first
visit), loss = InfoNCE + lambda log(1 - t pi - (1 - t)(1 - pi)), both clamped to [1e-4, 1 - 1e-4].
Tolerance 1e-4 for probabilities in the middle (scale 5); fp32 knows 1 - pi to 6e-8 only, which is
0.001 of it where the clamp at 1e-4 sets in, so 2e-3 at higher scales.
"""

import pytest
import torch

from tests.support.embeddings import Pairs, assert_equal_to, random_pairs
from tests.support.pair_losses import (
    actual_results,
    different,
    doubles,
    expected_results,
    info_nce,
    keys_of,
    learned_scale,
    log_sum_exp,
)
from vlsuite.errors import ConfigError
from vlsuite.objectives import registry
from vlsuite.objectives.elr import Elr, ElrConfig, early_learning_terms
from vlsuite.objectives.pair_keys import PairKeys


def visit(
    objective: Elr,
    pairs: Pairs,
    targets: dict[int, float],
    keys: PairKeys,
    config: ElrConfig,
    *,
    sign: float = 1.0,
) -> list[torch.Tensor]:
    """One visit in loops; changes ``targets``, one a pair. ``sign`` -1 plants an error."""
    double = doubles(pairs)
    log_scale, scale = learned_scale(objective)
    batch = len(pairs.images)
    total = torch.tensor(0.0, dtype=torch.float64)
    for i, key in enumerate(keys.pairs.tolist()):
        matching = torch.tensor(0.0, dtype=torch.float64)
        for rows in double.directions:
            logits = [scale * c for c in rows[i]]
            matching = matching + (logits[i] - log_sum_exp(logits)).exp() / 2
        old, new = targets.get(key), matching.item()
        targets[key] = new if old is None else config.decay * old + (1 - config.decay) * new
        t = min(max(targets[key], 1e-4), 1 - 1e-4)
        pi = matching if 1e-4 <= new <= 1 - 1e-4 else matching.detach().clamp(1e-4, 1 - 1e-4)
        regulariser = torch.log(1 - t * pi - (1 - t) * (1 - pi))
        total = total + info_nce(double.directions, i, scale) + sign * config.strength * regulariser
    return expected_results((total / batch).sum(), [*double.pairs, log_scale])


@pytest.mark.parametrize("batch", [1, 2, 7, 12])
@pytest.mark.parametrize("strength", [0.0, 3.0])
def test_three_visits_equal_float64_loops(batch, strength):
    config = ElrConfig(strength=strength, decay=0.7, init_logit_scale=5.0)
    objective, targets = config.build(), {}
    keys = different(batch)
    for seed in range(3):
        pairs = random_pairs(batch, 5, seed=10 * batch + seed)
        expected = visit(objective, pairs, targets, keys, config)
        tolerance = 1e-4 if batch > 1 else 2e-3
        assert_equal_to(actual_results(objective, pairs, keys), expected, tolerance=tolerance)


@pytest.mark.parametrize(("scale", "tolerance"), [(1.0, 1e-5), (14.3, 2e-3), (100.0, 2e-3)])
def test_extreme_temperatures(scale, tolerance):
    config = ElrConfig(init_logit_scale=scale)
    objective, pairs, keys = config.build(), random_pairs(9, 3, seed=1, noise=0.3), different(9)
    expected = visit(objective, pairs, {}, keys, config)
    actual = actual_results(objective, pairs, keys)
    assert all(torch.isfinite(value).all() for value in actual)
    assert_equal_to(actual, expected, tolerance=tolerance)


def test_comparison_notices_a_flipped_sign():
    config, keys = ElrConfig(), different(7)
    objective, pairs = config.build(), random_pairs(7, 5, seed=0)
    actual = actual_results(objective, pairs, keys)
    wrong = visit(objective, pairs, {}, keys, config, sign=-1.0)
    for part in range(4):
        with pytest.raises(AssertionError, match="bound"):
            assert_equal_to([actual[part]], [wrong[part]], tolerance=1e-3)


def test_term_pulls_a_probability_to_the_side_its_target_is_on():
    matching = torch.tensor([0.5, 0.5], requires_grad=True)
    terms = early_learning_terms(matching, torch.tensor([0.9, 0.1]))
    (gradient,) = torch.autograd.grad(terms.sum(), matching)
    assert gradient[0] < 0 < gradient[1]


def test_certain_pairs_stay_finite():
    matching = torch.tensor([0.0, 1.0, 1.0, 0.0], requires_grad=True)
    terms = early_learning_terms(matching, torch.tensor([0.0, 1.0, 0.0, 1.0]))
    (gradient,) = torch.autograd.grad(terms.sum(), matching)
    assert torch.isfinite(terms).all()
    assert torch.isfinite(gradient).all()


def test_targets_follow_the_pair_and_not_its_row():
    objective, pairs = ElrConfig().build(), random_pairs(5, 4, seed=3)
    objective(*pairs, keys_of(range(5)))
    order = torch.tensor([3, 1, 4, 0, 2])
    shuffled = Pairs(*(value.detach()[order].requires_grad_() for value in pairs))
    keys = keys_of(range(5))
    moved = PairKeys(keys.pairs[order], keys.identities[order])
    before = objective.memory()["target"].clone()
    objective(*shuffled, moved)
    torch.testing.assert_close(objective.memory()["target"], before, atol=1e-6, rtol=0)


def test_evaluation_remembers_nothing_and_memory_is_restored():
    objective, pairs, keys = ElrConfig().build(), random_pairs(5, 4, seed=4), different(5)
    with torch.no_grad():
        objective(*pairs, keys)
    assert len(objective.memory()["keys"]) == 0
    objective(*pairs, keys)
    other = ElrConfig().build()
    other.load_memory(objective.memory())
    for name, value in objective.memory().items():
        assert torch.equal(other.memory()[name], value)


def test_settings():
    assert isinstance(registry.get("elr")().build(), Elr)
    with pytest.raises(ValueError, match="keys"):
        ElrConfig().build()(*random_pairs(3, 4, seed=0))
    for settings in ({"strength": -1.0}, {"decay": 1.0}, {"decay": -0.1}):
        with pytest.raises(ConfigError, match="strength"):
            ElrConfig(**settings)
