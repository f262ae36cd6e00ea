"""A tiny scan by the chosen form beside plain torch: whether a machine computes it right."""

import torch
from torch import Tensor

from vlsuite.layers.selective_scan.form import ScanInputs
from vlsuite.layers.selective_scan.mamba_ssm_form import scan_with_tokens
from vlsuite.layers.selective_scan.operator import scan_operator
from vlsuite.layers.selective_scan.paths import chosen_path


def difference_from_torch(device: torch.device) -> float:
    """Largest difference of outputs and gradients, as a share of the largest entry."""
    name = chosen_path(device).name
    largest = 0.0
    for one, other in zip(_results(device, name), _results(device, "torch"), strict=True):
        largest = max(largest, float((one - other).abs().max() / other.abs().max()))
    return largest


def _results(device: torch.device, form: str) -> list[Tensor]:
    """y, final state, and gradients of a scan of 100 tokens, 40 channels and 4 states."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator).to(device)

    given = ScanInputs(
        *(normal(2, 100, 40), normal(2, 100, 40) - 1, -normal(40, 4).exp()),
        *(normal(2, 100, 4), normal(2, 100, 4), normal(40), normal(40), normal(2, 40, 4)),
        softplus=True,
    )
    leaves = [value.requires_grad_() for value in given[:-1] if isinstance(value, Tensor)]
    inputs = ScanInputs(*leaves, softplus=True)
    with torch.enable_grad():
        if form == "mamba_ssm":
            y, final = scan_with_tokens(inputs)
        else:
            y, final, _ = scan_operator(*inputs, True, form)
        gradients = torch.autograd.grad((y, final), leaves, (torch.ones_like(y), final.detach()))
    return [y.detach(), final.detach(), *gradients]
