"""When pairs are divided, what of it is stored, and what wrong pairs' losses are made of."""

import math

import numpy as np
import pytest
import torch

from tests.support.embeddings import random_pairs
from tests.support.pair_losses import different, keys_of, log_sum_exp
from vlsuite.errors import ConfigError
from vlsuite.objectives import pair_division
from vlsuite.objectives.division import Mixture
from vlsuite.objectives.mismatched import (
    mismatched_alignment_losses,
    mismatched_clip_losses,
    mismatched_pairs,
)
from vlsuite.objectives.pair_division import DivisionConfig, PairDivision, PartLosses
from vlsuite.objectives.pairwise import similarities
from vlsuite.objectives.triplet_alignment import TripletAlignment


def observed(division: PairDivision, *, count: int = 400, share: float = 0.3, seed: int = 0):
    """Which pairs are noisy, after the division saw all of them once."""
    rng = np.random.default_rng(seed)
    is_noisy = rng.random(count) < share
    losses = np.where(is_noisy, rng.normal(4, 0.5, count), rng.normal(1, 0.5, count))
    found = PartLosses(
        torch.from_numpy(losses.astype(np.float32)),
        torch.from_numpy(rng.normal(4, 0.5, count).astype(np.float32)),
    )
    probabilities = division.observe(torch.arange(count), dict.fromkeys(division.parts, found))
    return is_noisy, probabilities


@pytest.mark.parametrize("fit", ["free", "anchored"])
def test_pairs_are_divided_after_the_warm_up(fit):
    division = PairDivision(DivisionConfig(fit=fit, warmup_epochs=1.0), ("a", "b"))
    division.begin_step(0.0)
    is_noisy, before = observed(division)
    assert not any(values.any() for values in before.values())
    division.begin_step(0.99)
    assert division.mixtures == {"a": None, "b": None}
    division.begin_step(1.0)
    assert division.noise_share() == pytest.approx(is_noisy.mean(), abs=0.03)
    for values in division.noise_probabilities().values():
        assert ((values > 0.5) == is_noisy).mean() > 0.98


def test_fits_come_as_often_as_asked(monkeypatch):
    times = []
    division = PairDivision(DivisionConfig(warmup_epochs=0.5, fit_every=1 / 3), ("a",))
    monkeypatch.setattr(division, "_fitted", lambda part: times.append(part))
    observed(division)
    found = []
    for step in range(61):
        before = len(times)
        division.begin_step(step / 30)
        if len(times) > before:
            found.append(step)
    assert found == [15, 25, 35, 45, 55]


def test_without_warm_up_the_first_fit_waits_for_losses():
    division = PairDivision(DivisionConfig(warmup_epochs=0.0), ("a",))
    division.begin_step(0.0)
    assert division.mixtures["a"] is None
    observed(division)
    division.begin_step(0.01)
    assert division.mixtures["a"] is not None


def test_stored_and_restored_it_goes_on_alike():
    config = DivisionConfig(warmup_epochs=0.0)
    division = PairDivision(config, ("a", "b"))
    observed(division, count=1500)
    division.begin_step(0.1)
    other = PairDivision(config, ("a", "b"))
    other.load(division.state())
    assert other.mixtures == division.mixtures
    for each in (division, other):
        each.begin_step(0.2)  # not due: fitted in this quarter of an epoch already
        observed(each, seed=1)
        each.begin_step(0.3)
    for name, value in division.state().items():
        assert torch.equal(other.state()[name], value), name


def test_a_division_without_a_fit_is_restored_as_such():
    division = PairDivision(DivisionConfig(), ("a",))
    other = PairDivision(DivisionConfig(), ("a",))
    other.load(division.state())
    assert other.mixtures == {"a": None}
    assert other.noise_share() == 0.0


def test_settings_that_cannot_work_are_refused():
    for settings in ({"decay": 1.0}, {"fit_every": 0.0}, {"warmup_epochs": -1.0}):
        with pytest.raises(ConfigError, match=r"objective\.division"):
            DivisionConfig(**settings)


def clean_losses(kind: str, count: int, rng: np.random.Generator) -> np.ndarray:
    """Of right pairs: mean about 1, spread about 0.6 to 0.9."""
    return {
        "normal": lambda: rng.normal(1, 0.6, count),
        "skewed": lambda: rng.gamma(1.5, 0.7, count),
        "heavy-tailed": lambda: 1 + 0.5 * rng.standard_t(3, count),
        "lognormal": lambda: rng.lognormal(0, 0.8, count),
    }[kind]()


def divided(kind: str, rate: float, gap: float, *, seed: int, count: int = 4000, **settings):
    """The division after one visit of pairs with known noise, and which are wrong."""
    rng = np.random.default_rng(seed)
    is_noisy = rng.random(count) < rate
    clean = clean_losses(kind, count, rng)
    losses = np.where(is_noisy, rng.normal(1 + gap, 1.0, count), clean)
    wrong = rng.normal(1 + gap, 1.0, count)
    division = PairDivision(DivisionConfig(warmup_epochs=0.0, **settings), ("a",))
    found = PartLosses(*(torch.from_numpy(v.astype(np.float32)) for v in (losses, wrong)))
    division.observe(torch.arange(count), {"a": found})
    division.begin_step(0.1)
    noise = division.noise_probabilities().get("a", np.zeros(count))
    return division, noise > 0.5, is_noisy


KINDS = ["normal", "skewed", "heavy-tailed", "lognormal"]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("gap", [3.0, 1.5, 0.75])
@pytest.mark.parametrize("kind", KINDS)
def test_where_nothing_is_wrong_at_most_a_twentieth_is_flagged(kind, gap, seed):
    _, is_flagged, _ = divided(kind, 0.0, gap, seed=seed)
    assert is_flagged.mean() <= 0.05


@pytest.mark.parametrize("rate", [0.5, 0.8])
@pytest.mark.parametrize("kind", ["normal", "skewed", "heavy-tailed"])
def test_the_rate_is_found_where_losses_stand_apart(kind, rate):
    division, is_flagged, is_noisy = divided(kind, rate, 3.0, seed=0)
    assert division.noise_share() == pytest.approx(rate, abs=0.05)
    assert (is_flagged == is_noisy).mean() > 0.9


def test_few_wrong_pairs_are_found_where_they_gather():
    division, is_flagged, is_noisy = divided("normal", 0.1, 5.0, seed=0)
    assert division.noise_share() == pytest.approx(0.1, abs=0.02)
    assert (is_flagged == is_noisy).mean() > 0.98


@pytest.mark.parametrize("gap", [0.4, 0.75, 1.5])
@pytest.mark.parametrize("kind", KINDS)
def test_poor_separation_never_leaves_all_pairs_out(kind, gap):
    """At 80% wrong, some are kept: the lowest losses, or all where the part abstains."""
    division, is_flagged, _ = divided(kind, 0.8, gap, seed=0)
    assert is_flagged.mean() <= max(division.noise_share(), 0.0) + 1e-3
    assert is_flagged.mean() <= 0.95
    assert division.noise_share() == 0 or division.noise_share() == pytest.approx(0.8, abs=0.12)


def test_limited_flags_are_said_once_and_counted(monkeypatch):
    overlapping = Mixture(
        noise_share=0.8, clean_mean=1.0, clean_sd=1.0, noisy_mean=1.6, noisy_sd=1.0
    )
    monkeypatch.setattr(pair_division, "fit_mixture", lambda *_, **__: overlapping)
    monkeypatch.setattr(pair_division, "has_bump", lambda *_: True)
    division, is_flagged, _ = divided("normal", 0.8, 0.6, seed=0)
    losses = division.memory.column("a")
    assert (overlapping.noise_probability(losses) > 0.5).mean() > 0.95
    assert is_flagged.mean() == pytest.approx(0.8, abs=0.01)
    assert losses[~is_flagged].max() <= losses[is_flagged].min()
    told = division.notices()
    assert len(told) == 1
    assert "the pairs of the lowest losses are kept" in told[0]
    assert {n: v.item() for n, v in division.terms(torch.zeros(1)).items()} == {
        "division_abstaining": 0.0,
        "division_limited": 1.0,
    }
    division.begin_step(0.3)
    assert division.notices() == []


def test_abstention_is_said_once_and_counted():
    division, is_flagged, _ = divided("normal", 0.8, 0.2, seed=0)
    assert not is_flagged.any()
    told = division.notices()
    assert len(told) == 1
    assert "abstains" in told[0] or "no evidence" in told[0]
    assert division.terms(torch.zeros(1))["division_abstaining"].item() == 1.0
    division.begin_step(0.3)
    assert division.notices() == []


def test_the_published_fit_has_no_guard():
    division, is_flagged, _ = divided("normal", 0.0, 3.0, seed=0, fit="free")
    assert is_flagged.mean() > 0.05
    assert division.mixtures["a"] is not None
    assert division.mixtures["a"].shift == 0


def test_wrong_partners_are_remembered_one_at_a_time():
    """Their means over visits would spread less than the losses of pairs that stay wrong."""
    rng = np.random.default_rng(0)
    division = PairDivision(DivisionConfig(decay=0.5), ("a",))
    keys = torch.arange(2000)
    for _ in range(6):
        wrong = torch.from_numpy(rng.normal(4, 1, 2000).astype(np.float32))
        division.observe(keys, {"a": PartLosses(torch.ones(2000), wrong)})
    assert division.memory.column("a.mismatched").std() == pytest.approx(1.0, abs=0.05)


def test_five_stored_numbers_are_still_read():
    division = PairDivision(DivisionConfig(), ("a",))
    stored = division.state()
    stored["mixtures"] = torch.tensor([[0.3, 1.0, 0.5, 4.0, 0.5]], dtype=torch.float64)
    division.load(stored)
    assert division.mixtures["a"] is not None
    assert division.mixtures["a"].to_list() == [0.3, 1.0, 0.5, 4.0, 0.5, 0.0]


def swapped(pairs, identities: list[int], i: int, scale: float):
    """Image i with the text of pair i + 1: its cosine, and both sums over what is left.

    A batch in which captions are really exchanged: the pictures and texts of the two identities
    that belong together leave it, so that none of them counts as a negative.
    """
    images, texts = (value.detach().double() for value in pairs)
    count = len(images)
    j = (i + 1) % count
    text_rest = [t for t in range(count) if identities[t] != identities[i] and t != j]
    image_rest = [m for m in range(count) if identities[m] != identities[j] and m != i]
    return (
        float(images[i] @ texts[j]),
        float(log_sum_exp([scale * (images[i] @ texts[t]) for t in text_rest])),
        float(log_sum_exp([scale * (images[m] @ texts[j]) for m in image_rest])),
    )


@pytest.mark.parametrize("identities", [list(range(9)), [0, 1, 1, 2, 3, 0, 4, 5, 5]])
@pytest.mark.parametrize("scale", [14.0, 100.0])
def test_mismatched_pairs_equal_loops_that_swap_captions(identities, scale):
    pairs = random_pairs(9, 5, seed=0)
    found = mismatched_pairs(similarities(*pairs, keys_of(identities)), scale=scale)
    for i in range(9):
        if identities[(i + 1) % 9] == identities[i]:
            assert found.cosines[i].isnan()
            continue
        expected = swapped(pairs, identities, i, scale)
        actual = (found.cosines[i], found.image_others[i], found.text_others[i])
        assert [v.item() for v in actual] == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_their_losses_are_those_of_a_pair_with_these_partners():
    pairs, identities = random_pairs(8, 5, seed=1), list(range(8))
    scale, constants = torch.tensor([14.0]), TripletAlignment(0.1, 0.05)
    scores = similarities(*pairs, different(8))
    clip = mismatched_clip_losses(mismatched_pairs(scores, scale=scale), scale=scale)
    aligned = mismatched_alignment_losses(mismatched_pairs(scores, scale=20.0), constants)
    for i in range(8):
        own, *others = swapped(pairs, identities, i, 14.0)
        rows = [math.log(math.exp(14 * own) + math.exp(o)) - 14 * own for o in others]
        assert clip[i].item() == pytest.approx(sum(rows) / 2, rel=1e-5)
        own, *others = swapped(pairs, identities, i, 20.0)
        parts = [max(0.0, 0.1 - own + o / 20) for o in others]
        assert aligned[i].item() == pytest.approx(sum(parts), abs=1e-5)


@pytest.mark.parametrize("batch", [1, 2])
def test_too_small_a_batch_has_no_wrong_pairs(batch):
    found = mismatched_pairs(similarities(*random_pairs(batch, 5, seed=2), None), scale=10.0)
    losses = mismatched_alignment_losses(found, TripletAlignment(0.1, 0.1))
    assert losses.isnan().all()
    assert mismatched_clip_losses(found, scale=torch.tensor([10.0])).isnan().all()


def test_wrong_pairs_have_no_gradient():
    pairs = random_pairs(6, 5, seed=3)
    found = mismatched_pairs(similarities(*pairs, None), scale=10.0)
    assert not any(value.requires_grad for value in found)
