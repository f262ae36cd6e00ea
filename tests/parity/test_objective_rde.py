"""RDE (Qin et al. 2024, CVPR, equations 2 to 5) in float64 loops over several visits.

A visit computes the alignment loss of each embedding, moves each pair's running losses, asks both
mixtures, and averages l_i (L_global,i + L_selection,i). Tolerance 2e-5: weights exp(S / tau) of
fp32 cosines at tau = 0.05.
"""

import math

import pytest
import torch

from tests.parity.test_objective_triplet_alignment import row_loss
from tests.support.embeddings import Pairs, assert_equal_to, random_pairs
from tests.support.pair_losses import (
    Doubles,
    actual_results,
    different,
    doubles,
    expected_results,
    keys_of,
)
from vlsuite.errors import ConfigError
from vlsuite.objectives import registry
from vlsuite.objectives.division import Mixture
from vlsuite.objectives.pair_division import DivisionConfig
from vlsuite.objectives.pair_keys import PairKeys
from vlsuite.objectives.rde import Rde, RdeConfig, drawn_labels, split_parts

NAMES = ("global", "token_selection")
WIDTHS = (5, 3)
MIXTURES = {
    "global": Mixture(noise_share=0.5, clean_mean=0.1, clean_sd=0.2, noisy_mean=0.9, noisy_sd=0.2),
    "token_selection": Mixture(
        noise_share=0.3, clean_mean=0.3, clean_sd=0.2, noisy_mean=0.8, noisy_sd=0.2
    ),
}


def coin(key: int, epoch: int) -> bool:
    """High bit of SplitMix64's finaliser, in Python's integers."""
    mask = 2**64 - 1
    x = (key + (epoch + 1) * 0x9E3779B97F4A7C15) & mask
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & mask
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & mask
    return bool((x ^ (x >> 31)) >> 63)


def posterior(mixture: Mixture, loss: float) -> float:
    """Of the noisy component; the components here are equally wide, so it is monotone."""
    noisy = mixture.noise_share * math.exp(-0.5 * ((loss - mixture.noisy_mean) / 0.2) ** 2)
    clean = (1 - mixture.noise_share) * math.exp(-0.5 * ((loss - mixture.clean_mean) / 0.2) ** 2)
    return noisy / (noisy + clean)


def alignment_losses(double: Doubles, identities, margin: float, tau: float) -> list[torch.Tensor]:
    return [
        sum(
            (row_loss(rows[i], [x == who for x in identities], margin, tau)
             for rows in double.directions),
            torch.tensor(0.0, dtype=torch.float64),
        )
        for i, who in enumerate(identities)
    ]  # fmt: skip


def visit(parts: list[Pairs], running: dict, keys: PairKeys, *, mixtures, epoch: int):
    """Loss, gradients by part, and labels; ``running`` holds each part's mean losses."""
    identities = keys.identities.tolist()
    twins = [doubles(pairs) for pairs in parts]
    names = NAMES[: len(parts)]
    losses = {n: alignment_losses(t, identities, 0.1, 0.05) for n, t in zip(names, twins)}  # noqa: B905
    total, labels = torch.tensor(0.0, dtype=torch.float64), []
    for i, key in enumerate(keys.pairs.tolist()):
        votes = []
        for name in names:
            new, old = losses[name][i].item(), running.get((name, key))
            running[name, key] = new if old is None else 0.5 * old + 0.5 * new
            if (mixture := mixtures.get(name)) is not None:
                votes.append(posterior(mixture, running[name, key]) < 0.5)
        labels.append(all(votes) if all(votes) or not any(votes) else coin(key, epoch))
        if labels[-1]:
            total = total + sum(losses[name][i] for name in names)
    leaves = [leaf for twin in twins for leaf in twin.pairs]
    return expected_results(total / len(identities), leaves), labels


def joined(parts: list[Pairs]) -> Pairs:
    """Concatenated as the model gives them: unit norm over both."""
    sides = [torch.cat(side, dim=1).detach() / len(parts) ** 0.5 for side in zip(*parts)]  # noqa: B905
    return Pairs(*(side.requires_grad_() for side in sides))


def built(widths: tuple[int, ...], **settings) -> Rde:
    config = RdeConfig(tau=0.05, division=DivisionConfig(warmup_epochs=100.0), **settings)
    objective = config.build()
    objective.use_layout(widths)
    return objective


def check_visit(objective, parts, running, keys, *, mixtures, epoch) -> list[bool]:
    objective.begin_step(float(epoch))
    expected, labels = visit(parts, running, keys, mixtures=mixtures, epoch=epoch)
    if len(parts) == 1:
        actual = actual_results(objective, parts[0], keys)
        assert_equal_to(actual, expected, tolerance=2e-5)
        return labels
    whole = joined(parts)
    actual = actual_results(objective, whole, keys)
    assert_equal_to(actual[:1], expected[:1], tolerance=2e-5)
    # the parts are normalised anew: only what is tangential to them reaches the whole
    for side, gradient in enumerate(actual[1:]):
        for number, (part, piece) in enumerate(zip(parts, gradient.split(WIDTHS, 1), strict=True)):
            unit, wanted = part[side].detach().double(), expected[1 + 2 * number + side]
            tangential = wanted - (wanted * unit).sum(1, keepdim=True) * unit
            assert_equal_to([piece], [tangential * len(parts) ** 0.5], tolerance=4e-5)
    return labels


@pytest.mark.parametrize("batch", [1, 2, 7, 12])
@pytest.mark.parametrize("num_parts", [1, 2])
def test_visits_equal_float64_loops_before_the_division(batch, num_parts):
    objective, running = built(WIDTHS[:num_parts] if num_parts > 1 else ()), {}
    keys = keys_of([i // 2 if batch > 2 else i for i in range(batch)])
    for epoch in range(2):
        parts = [
            random_pairs(batch, WIDTHS[n], seed=100 * batch + 10 * epoch + n, noise=1.0)
            for n in range(num_parts)
        ]
        labels = check_visit(objective, parts, running, keys, mixtures={}, epoch=epoch)
        assert all(labels)


def test_visits_equal_float64_loops_after_it():
    objective, running, keys = built(WIDTHS), {}, different(40)
    objective.division.mixtures = dict(MIXTURES)
    seen = []
    for epoch in range(2):
        parts = [random_pairs(40, WIDTHS[n], seed=10 * epoch + n, noise=1.0) for n in range(2)]
        seen.append(check_visit(objective, parts, running, keys, mixtures=MIXTURES, epoch=epoch))
    assert all(5 < sum(labels) < 35 for labels in seen)
    found = objective.noise_probabilities()
    for key, probability in found.items():
        expected = sum(posterior(MIXTURES[n], running[n, key]) for n in NAMES) / 2
        assert probability == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_a_part_that_abstains_has_no_vote(name):
    objective, keys, only = built(WIDTHS), different(40), {name: MIXTURES[name]}
    objective.division.mixtures[name] = MIXTURES[name]
    parts = [random_pairs(40, WIDTHS[n], seed=n, noise=1.0) for n in range(2)]
    labels = check_visit(objective, parts, {}, keys, mixtures=only, epoch=0)
    assert 5 < sum(labels) < 35


def test_comparison_notices_turned_labels():
    objective, keys = built(WIDTHS), different(40)
    objective.division.mixtures = dict(MIXTURES)
    parts = [random_pairs(40, WIDTHS[n], seed=n, noise=1.0) for n in range(2)]
    total = objective(*joined(parts), keys).total
    everyone = visit(parts, {}, keys, mixtures={}, epoch=0)[0][0]
    assert abs(total.item() - everyone.item()) > 0.05


def test_rejected_pairs_stay_negatives_but_have_no_loss_of_their_own():
    objective, keys = built(()), different(6)
    objective.division.mixtures["global"] = Mixture(
        noise_share=0.5, clean_mean=-9.0, clean_sd=1.0, noisy_mean=-8.0, noisy_sd=1.0
    )
    losses = objective(*random_pairs(6, 5, seed=1), keys)
    assert losses.total.item() == 0.0
    assert losses.terms["used_pairs"].item() == 0.0
    assert losses.terms["global"].item() > 0.0


def test_coins_are_fair_and_thrown_anew_each_epoch():
    pairs = torch.randint(-(2**63), 2**63 - 1, (4000,), generator=torch.Generator().manual_seed(0))
    first, second = (drawn_labels(pairs, epoch=epoch) for epoch in (0, 1))
    assert first.tolist() == [coin(key, 0) for key in pairs.tolist()]
    assert second.tolist() == [coin(key, 1) for key in pairs.tolist()]
    for found in (first.float().mean(), (first == second).float().mean()):
        assert found.item() == pytest.approx(0.5, abs=0.04)  # 5 standard errors


def test_mean_of_two_cosines_is_half_the_inner_product_of_concatenated_parts():
    parts = [random_pairs(4, WIDTHS[n], seed=n) for n in range(2)]
    whole = joined(parts)
    cosines = sum(p.images @ p.texts.T for p in parts) / 2
    torch.testing.assert_close(whole.images @ whole.texts.T, cosines)
    for (images, texts), part in zip(split_parts(*whole, WIDTHS), parts, strict=True):
        torch.testing.assert_close(images, part.images)
        torch.testing.assert_close(texts, part.texts)


def test_without_division_no_pair_is_left_out():
    objective, keys = built((), divide=False), different(12)
    pairs = random_pairs(12, 5, seed=1, noise=1.0)
    for epoch in (0.0, 200.0, 300.0):
        objective.begin_step(epoch)
        losses = objective(*pairs, keys)
        assert losses.terms["used_pairs"].item() == 1.0
    assert objective.noise_probabilities() == {}
    parts = [random_pairs(12, 5, seed=1, noise=1.0)]
    expected, _ = visit(parts, {}, keys, mixtures={}, epoch=0)
    assert_equal_to(actual_results(objective, parts[0], keys), expected, tolerance=2e-5)


def test_settings():
    assert isinstance(registry.get("rde")().build(), Rde)
    assert RdeConfig(tau=0.02).build().logit_scale == pytest.approx(50.0)
    with pytest.raises(ValueError, match="keys"):
        RdeConfig().build()(*random_pairs(3, 4, seed=0))
    with pytest.raises(ConfigError, match="two embeddings"):
        RdeConfig().build().use_layout((3, 3, 3))
    for settings in (
        {"margin": -1.0},
        {"tau": 0.0},
        {"tau": 2.0},
        {"reference_batch": 1},
        {"clean_threshold": 1.0},
    ):
        with pytest.raises(ConfigError, match="objective"):
            RdeConfig(**settings)
