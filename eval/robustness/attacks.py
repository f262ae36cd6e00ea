"""What survives an adversary: APGD and AutoAttack on the pixels of the image tower.

Croce and Hein 2020, arXiv 2003.01690, L-infinity threat model: every pixel value may move by at
most eps. The attacks themselves are the authors' own, from the package ``pyautoattack`` (their
repository fra31/auto-attack under another name); this module decides who is attacked with what,
checks every result, and keeps the random state and the model's gradients of the caller untouched.

The standard suite, each attack on what the ones before left: APGD on cross-entropy (1 start),
targeted APGD on the DLR loss (9 targets), targeted FAB (9 targets), Square (5,000 queries). The
first two are what the literature on robust CLIP reports (Schlarmann et al. 2024,
arXiv 2402.12336).
"""

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any, Literal, NamedTuple, get_args

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from eval.errors import EvaluationError

AttackSuite = Literal["apgd-ce", "apgd", "autoattack"]
LogitsFunction = Callable[[Tensor], Tensor]

#: Target classes of the standard suite, the best ones after the right one.
NUM_TARGETS = 9

#: Square queries for each step of the other attacks: 5,000 at the standard 100.
QUERIES_PER_STEP = 50

_Perturb = Callable[[Tensor, Tensor], Tensor]


class RobustPredictions(NamedTuple):
    """What an attack left standing.

    Attributes:
        is_correct: predicted right without an attack; ties go to the lower index.
        is_robust: right, and no attack found a picture within eps that is not.
        adversarial: the picture that fooled the model, where one was found, else the original.
    """

    is_correct: Bool[Tensor, " batch"]
    is_robust: Bool[Tensor, " batch"]
    adversarial: Float[Tensor, "batch 3 height width"]


def robust_predictions(
    logits_fn: LogitsFunction,
    images: Float[Tensor, "batch 3 height width"],
    labels: Int64[Tensor, " batch"],
    *,
    eps: float,
    attack: AttackSuite,
    steps: int = 100,
    seed: int = 0,
) -> RobustPredictions:
    """Attack the pictures that are predicted right, one attack after the other on the survivors.

    Args:
        logits_fn: logits [b, c] of pictures in [0, 1], differentiable; the model's normalisation
            (and any resizing) belongs inside it, because eps is measured outside. The model is
            in evaluation mode and answers the same question always the same.
        images: in [0, 1], on the device of the model.
        labels: class of each picture, in [0, c).
        eps: largest change of a pixel value, as a share of the full range, such as 4 / 255.
        attack: "apgd-ce", "apgd" (with targeted APGD) or "autoattack" (with FAB and Square too).
        steps: of each APGD and FAB run; 100 is the standard.
        seed: of the attacks' random starts; equal batches give equal results.
    Raises:
        EvaluationError: the package is missing, the settings or pictures are out of range, there
            are too few classes, or the logits are not finite.
    """
    _refuse(images, eps, attack, steps)
    with torch.inference_mode(False), torch.random.fork_rng(devices=_seeded_devices(images)):
        model = _Checked(logits_fn)
        original, labels = (
            images.detach().clone(memory_format=torch.contiguous_format),
            labels.clone(),
        )
        with torch.no_grad():
            logits = model(original)
        is_correct = _predictions(logits) == labels
        is_robust, adversarial = is_correct.clone(), original.clone()
        for perturb in _attacks(model, logits.shape[1], eps, attack, steps, seed):
            left = is_robust.nonzero()[:, 0]
            if not len(left):
                break
            found = perturb(original[left].clone(), labels[left].clone())
            found = _within(found.detach(), original[left], eps)
            with torch.no_grad():
                is_fooled = _predictions(model(found)) != labels[left]
            adversarial[left[is_fooled]] = found[is_fooled]
            is_robust[left[is_fooled]] = False
    return RobustPredictions(is_correct, is_robust, adversarial)


class _InputGradient(torch.autograd.Function):
    """Logits whose backward pass reaches the pictures and nothing else.

    FAB calls ``backward``, which would add gradients to every weight of the model. The gradient
    is contiguous, which the attacks rely on and models in channels-last format do not give.
    """

    @staticmethod
    def forward(ctx: Any, images: Tensor, logits_fn: LogitsFunction) -> Tensor:
        with torch.enable_grad():
            ctx.images = images.detach().requires_grad_()
            ctx.logits = logits_fn(ctx.images)
        return ctx.logits.detach().clone()

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None]:
        (gradient,) = torch.autograd.grad(ctx.logits, ctx.images, grad_outputs[0])
        return gradient.contiguous(), None


class _Checked:
    """The model as the attacks call it."""

    def __init__(self, logits_fn: LogitsFunction) -> None:
        self._logits_fn = logits_fn

    def __call__(self, images: Tensor) -> Tensor:
        if torch.is_grad_enabled() and images.requires_grad:
            logits = _InputGradient.apply(images, self._logits_fn)
        else:
            with torch.no_grad():
                logits = self._logits_fn(images).clone()
        if not torch.isfinite(logits).all():
            raise EvaluationError(
                "the model gives NaN or infinite logits under attack; evaluate in fp32"
            )
        return logits


def _attacks(
    model: _Checked, num_classes: int, eps: float, attack: AttackSuite, steps: int, seed: int
) -> Iterator[_Perturb]:
    shared = {"norm": "Linf", "eps": eps, "seed": seed, "n_restarts": 1, "verbose": False}
    targets = {"n_target_classes": min(NUM_TARGETS, num_classes - 1)}
    apgd = _library("autopgd_base")
    yield apgd.APGDAttack(model, n_iter=steps, loss="ce", **shared).perturb
    if attack == "apgd-ce":
        return
    if num_classes < 4:
        raise EvaluationError(
            f"targeted APGD needs four classes and there are {num_classes}; use attack apgd-ce"
        )
    yield apgd.APGDAttack_targeted(model, n_iter=steps, **targets, **shared).perturb
    if attack == "apgd":
        return
    fab, square = _library("fab_pt"), _library("square")
    yield fab.FABAttack_PT(model, n_iter=steps, targeted=True, **targets, **shared).perturb
    yield square.SquareAttack(
        model, n_queries=QUERIES_PER_STEP * steps, p_init=0.8, resc_schedule=False, **shared
    ).perturb


def _library(module: str) -> Any:
    try:
        return import_module(f"pyautoattack.{module}")
    except ImportError as error:
        raise EvaluationError(
            f"adversarial attacks need the package pyautoattack ({error}); install it with "
            "pip install 'vlsuite[adversarial]'"
        ) from error


def _within(found: Tensor, original: Tensor, eps: float) -> Tensor:
    """Attacks may overstep by rounding; what is counted is within eps and in [0, 1]."""
    return torch.clamp(torch.clamp(found, original - eps, original + eps), 0.0, 1.0)


def _predictions(logits: Tensor) -> Tensor:
    """The best class, of equal ones the first: argmax gives no promise on ties."""
    numbers = torch.arange(logits.shape[1], device=logits.device)
    is_best = logits == logits.amax(dim=1, keepdim=True)
    return torch.where(is_best, numbers, logits.shape[1]).amin(dim=1)


def _seeded_devices(images: Tensor) -> list[int]:
    """CUDA devices whose random state the attacks may touch: they seed the current one."""
    if not torch.cuda.is_initialized():
        return []
    used = {torch.cuda.current_device()}
    if images.device.type == "cuda" and images.device.index is not None:
        used.add(images.device.index)
    return sorted(used)


def _refuse(images: Tensor, eps: float, attack: str, steps: int) -> None:
    if attack not in get_args(AttackSuite):
        raise EvaluationError(
            f"there is no attack {attack!r}; choose one of {', '.join(get_args(AttackSuite))}"
        )
    if not 0 < eps < 1:
        raise EvaluationError(f"eps {eps:g} is not in (0, 1); write it like 4/255")
    if steps < 1:
        raise EvaluationError(f"{steps} steps are no attack; the standard is 100")
    if images.numel() and not (images.min() >= 0 and images.max() <= 1):
        raise EvaluationError(
            "pictures to attack lie outside [0, 1]; normalise inside the model, not before it"
        )
