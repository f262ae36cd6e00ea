"""iSogCLR against float64 loops of the published update (arXiv 2305.11965, algorithm 1)."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

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
