"""Attacks against models whose robustness is known in closed form, and against the clean rules.

A linear model is right within eps exactly if every other class t has
margin_t > eps * ||w_y - w_t||_1, as long as no pixel leaves [0, 1].
"""

import pytest
import torch
from torch import nn

from eval.errors import EvaluationError
from eval.robustness.attacks import robust_predictions

pytest.importorskip("pyautoattack", reason="needs the extra 'adversarial' (pyautoattack)")


class _Linear(nn.Module):
    """Logits of 3x6x6 pictures around mid grey, normalised inside."""

    def __init__(self, num_classes: int = 6) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.weight = nn.Parameter(torch.randn(num_classes, 108, generator=generator))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return ((images - 0.5) / 0.25).flatten(1) @ self.weight.T

    def radius(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Largest eps that every picture survives; negative where it is wrong already."""
        logits, w = self(images).double(), self.weight.double() / 0.25
        own = logits.gather(1, labels[:, None])
        norms = (w[labels][:, None] - w[None]).abs().sum(dim=2)
        radii = ((own - logits) / norms).scatter(1, labels[:, None], torch.inf)
        return radii.amin(dim=1)


def _pictures(model: _Linear, count: int = 60, *, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    images = 0.3 + 0.4 * torch.rand(count, 3, 6, 6, generator=generator)
    with torch.no_grad():
        labels = model(images).argmax(dim=1)
    labels[::10] = (labels[::10] + 1) % len(model.weight)
    return images, labels


@pytest.mark.parametrize("attack", ["apgd-ce", "apgd", "autoattack"])
def test_linear_models_are_as_robust_as_the_closed_form_says(attack) -> None:
    model = _Linear()
    images, labels = _pictures(model)
    radius = model.radius(images, labels).detach()
    eps = float(radius[radius > 0].median())
    result = robust_predictions(model, images, labels, eps=eps, attack=attack, steps=25)
    assert torch.equal(result.is_correct, radius > 0)
    assert result.is_robust[radius > eps].all()
    # Within a hair of the boundary rounding decides. Cross-entropy without a target may climb
    # towards the wrong class; the targeted attacks try each.
    missed = int(result.is_robust[radius < 0.995 * eps].sum())
    assert missed <= (2 if attack == "apgd-ce" else 0)


def test_adversarial_pictures_are_valid_and_fool_the_model() -> None:
    model = _Linear()
    images, labels = _pictures(model)
    images[0].clamp_(max=0.01)
    eps = 0.01
    result = robust_predictions(model, images, labels, eps=eps, attack="apgd", steps=20)
    fooled = result.is_correct & ~result.is_robust
    assert fooled.any()
    assert result.is_robust.any()
    assert (model(result.adversarial).argmax(dim=1) != labels)[fooled].all()
    assert torch.equal(result.adversarial[~fooled], images[~fooled])
    assert float((result.adversarial - images).abs().max()) <= eps + 1e-7
    assert result.adversarial.min() >= 0
    assert result.adversarial.max() <= 1


def test_equal_seeds_give_equal_results_and_leave_the_callers_state_alone() -> None:
    model = _Linear()
    images, labels = _pictures(model)
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    runs = [
        robust_predictions(model, images, labels, eps=0.01, attack="autoattack", steps=4, seed=3)
        for _ in range(2)
    ]
    assert torch.equal(before, torch.random.get_rng_state())
    assert torch.equal(runs[0].adversarial, runs[1].adversarial)
    assert model.weight.grad is None


def test_channels_last_models_and_inference_mode_work() -> None:
    class ChannelsLast(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.conv = nn.Conv2d(3, 8, 3).to(memory_format=torch.channels_last)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            images = images.to(memory_format=torch.channels_last)
            return self.conv(images).square().mean(dim=(2, 3))

    model = ChannelsLast()
    images = torch.rand(8, 3, 6, 6).to(memory_format=torch.channels_last)
    with torch.inference_mode():
        labels = model(images).argmax(dim=1)
        result = robust_predictions(model, images, labels, eps=0.1, attack="autoattack", steps=3)
    assert result.is_correct.all()
    assert not result.is_robust.all()


def test_few_classes_have_fewer_targets_and_three_have_no_targeted_attack() -> None:
    model = _Linear(num_classes=4)
    images, labels = _pictures(model, 20)
    robust_predictions(model, images, labels, eps=0.01, attack="autoattack", steps=2)
    model = _Linear(num_classes=3)
    images, labels = _pictures(model, 20)
    robust_predictions(model, images, labels, eps=1e-4, attack="apgd-ce", steps=2)
    with pytest.raises(EvaluationError, match="needs four classes"):
        robust_predictions(model, images, labels, eps=1e-4, attack="apgd", steps=2)


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_and_one_picture(count: int) -> None:
    model = _Linear()
    images, labels = _pictures(model, 3)
    images, labels = images[1 : 1 + count], labels[1 : 1 + count]
    result = robust_predictions(model, images, labels, eps=1e-5, attack="apgd", steps=2)
    assert result.is_robust.tolist() == [True] * count


def test_mistakes_are_one_clear_line() -> None:
    model = _Linear()
    images, labels = _pictures(model, 4)
    with pytest.raises(EvaluationError, match="normalise inside the model"):
        robust_predictions(model, images * 3, labels, eps=0.01, attack="apgd")
    with pytest.raises(EvaluationError, match="like 4/255"):
        robust_predictions(model, images, labels, eps=4.0, attack="apgd")
    with pytest.raises(EvaluationError, match="NaN"):
        robust_predictions(lambda x: model(x) * torch.nan, images, labels, eps=0.01, attack="apgd")
