"""iSogCLR against float64 loops of the published update (arXiv 2305.11965, algorithm 1)."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from vlsuite.errors import ConfigError
from vlsuite.objectives.isogclr import IsogclrConfig
from vlsuite.objectives.pair_keys import PairKeys


def _embeds(batch: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    made = [F.normalize(torch.randn(batch, 8, generator=generator), dim=1) for _ in range(2)]
    return made[0].requires_grad_(), made[1].requires_grad_()


def _keys(batch: int) -> PairKeys:
    return PairKeys(torch.arange(batch), torch.arange(batch))


def _loop_visit(
    cosines: list[list[float]], state: list[dict[str, float]], config: IsogclrConfig
) -> list[float]:
    """One side: updates ``state`` and returns the surrogate loss of each row."""
    losses = []
    for i, row in enumerate(cosines):
        known = state[i]
        tau = known.get("tau", config.tau)
        gaps = [s - row[i] for j, s in enumerate(row) if j != i]
        before = known.get("m", -math.inf)
        m = max(before, *(gap / tau for gap in gaps))
        g = sum(math.exp(gap / tau - m) for gap in gaps) / len(gaps)
        u = g
        if "u" in known:
            u = (1 - config.gamma) * known["u"] * math.exp(before - m) + config.gamma * g
        p = [math.exp(gap / tau - m) / u for gap in gaps]
        loss = sum(a * gap for a, gap in zip(p, gaps, strict=True)) / len(gaps)
        if config.learn_tau:
            gradient = math.log(u) + m + config.rho - loss / tau
            gradient = min(5.0, max(-5.0, gradient))
            v = (1 - config.tau_momentum) * known.get("v", 0.0) + config.tau_momentum * gradient
            known["v"] = v
            tau = min(config.tau_max, max(config.tau_min, tau - config.tau_lr * v))
        known.update(m=m, u=u, tau=tau)
        losses.append(loss)
    return losses


@pytest.mark.parametrize("learn_tau", [True, False])
def test_visits_equal_the_loops(learn_tau: bool) -> None:
    config = IsogclrConfig(tau=0.05, learn_tau=learn_tau, rho=1.0, gamma=0.6, tau_momentum=0.5)
    objective = config.build()
    image_state: list[dict[str, float]] = [{} for _ in range(5)]
    text_state: list[dict[str, float]] = [{} for _ in range(5)]
    for visit in range(3):
        images, texts = _embeds(5, seed=visit)
        total = objective(images, texts, _keys(5)).total
        cosines = (images.double() @ texts.double().T).tolist()
        turned = [list(column) for column in zip(*cosines, strict=True)]
        expected = _loop_visit(cosines, image_state, config)
        expected_text = _loop_visit(turned, text_state, config)
        wanted = (sum(expected) + sum(expected_text)) / 5
        assert float(total.detach()) == pytest.approx(wanted, rel=2e-4)
        stored = objective.memory()
        for side, state in (("image", image_state), ("text", text_state)):
            taus = [known["tau"] for known in state]
            assert stored[f"{side}.tau"].tolist() == pytest.approx(taus, rel=1e-4)


def test_first_visit_has_the_gradient_of_the_log_mean_exp() -> None:
    tau = 0.2
    images, texts = _embeds(6, seed=3)
    objective = IsogclrConfig(tau=tau, learn_tau=False).build()
    objective(images, texts, _keys(6)).total.backward()
    found = images.grad

    other = images.detach().double().requires_grad_()
    cosines = other @ texts.detach().double().T
    total = torch.zeros((), dtype=torch.float64)
    for i in range(6):
        others = [j for j in range(6) if j != i]
        row = torch.stack([cosines[i, j] - cosines[i, i] for j in others])
        column = torch.stack([cosines[j, i] - cosines[i, i] for j in others])
        for gaps in (row, column):
            total = total + tau * torch.log(torch.exp(gaps / tau).mean()) / 6
    total.backward()
    assert found is not None
    assert other.grad is not None
    torch.testing.assert_close(found.double(), other.grad, rtol=1e-4, atol=1e-6)


def test_state_survives_a_checkpoint() -> None:
    config = IsogclrConfig(tau=0.05)
    first, second = config.build(), config.build()
    images, texts = _embeds(4, seed=0)
    first(images, texts, _keys(4))
    second.load_memory(first.memory())
    again = [float(o(images, texts, _keys(4)).total.detach()) for o in (first, second)]
    assert again[0] == again[1]


def test_one_pair_has_no_loss() -> None:
    images, texts = _embeds(1, seed=0)
    total = IsogclrConfig().build()(images, texts, _keys(1)).total
    total.backward()
    assert float(total.detach()) == 0
    assert images.grad is not None
    assert bool((images.grad == 0).all())


def _share_at_floor(config: IsogclrConfig, *, batch: int, seed: int = 0) -> float:
    """Share of temperatures at their least after one visit of pairs that know something."""
    generator = torch.Generator().manual_seed(seed)
    images = F.normalize(torch.randn(batch, 64, generator=generator), dim=1)
    texts = F.normalize(images + 0.2 * torch.randn(batch, 64, generator=generator), dim=1)
    objective = config.build()
    objective(images.requires_grad_(), texts, _keys(batch))
    taus = torch.cat([objective.memory()[f"{side}.tau"] for side in ("image", "text")])
    return float((taus <= config.tau_min + 1e-6).float().mean())


@pytest.mark.parametrize("batch", [16, 64, 128, 256, 1024])
def test_by_default_few_temperatures_fall_to_the_floor_at_any_batch(batch: int) -> None:
    """With the authors' rho of 6: all up to 256, half at 512, a sixth at 1,024."""
    assert _share_at_floor(IsogclrConfig(), batch=batch) < 0.35


@pytest.mark.parametrize("batch", [64, 256])
def test_an_unreachable_rho_is_refused_with_its_bound(batch: int) -> None:
    bound = f"{math.log(batch - 1):.2f}"
    with pytest.raises(ConfigError, match=rf"log\(global_batch_size - 1\) = {bound}"):
        _share_at_floor(IsogclrConfig(rho=6.0), batch=batch)
    assert _share_at_floor(IsogclrConfig(rho=6.0, learn_tau=False), batch=batch) == 0


def test_an_unreachable_rho_is_no_matter_where_nothing_is_learned() -> None:
    images, texts = _embeds(5, seed=0)
    with torch.no_grad():
        IsogclrConfig(rho=6.0).build()(images, texts, _keys(5))


@pytest.mark.parametrize("temperature", [0.01, 0.05, 0.3])
def test_the_pull_is_rho_minus_a_divergence_below_log_n(temperature: float) -> None:
    """First visit: d/dtau of tau log mean exp(h / tau) + tau rho, in float64 by autograd."""
    batch = 64
    images, texts = _embeds(batch, seed=2)
    config = IsogclrConfig(tau=temperature, tau_lr=1e-4, tau_momentum=1.0, tau_min=1e-3)
    objective = config.build()
    objective(images, texts, _keys(batch))
    moved = (temperature - objective.memory()["image.tau"].double()) / 1e-4
    cosines = images.detach().double() @ texts.detach().double().T
    rho = 0.87 * math.log(batch - 1)
    for i in range(batch):
        gaps = torch.cat([cosines[i, :i], cosines[i, i + 1 :]]) - cosines[i, i]
        tau = torch.tensor(temperature, dtype=torch.float64, requires_grad=True)
        value = tau * torch.log(torch.exp(gaps / tau).mean()) + tau * rho
        (slope,) = torch.autograd.grad(value, tau)
        shares = torch.softmax(gaps / temperature, dim=0)
        divergence = float((shares * torch.log(shares * (batch - 1)).clamp(min=-700)).sum())
        assert divergence <= math.log(batch - 1) + 1e-9
        assert float(slope) == pytest.approx(rho - divergence, abs=1e-6)
        assert float(moved[i]) == pytest.approx(max(-5.0, min(5.0, float(slope))), abs=0.02)
