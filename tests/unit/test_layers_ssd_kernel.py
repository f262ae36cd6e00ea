"""Which form of SSD is used, and what the kernel of mamba-ssm is called with (a stand-in here)."""

import sys
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from vlsuite.errors import ConfigError
from vlsuite.layers import ssd_kernel, state_space_duality
from vlsuite.layers.ssd_kernel import chosen_ssd_path, ssd_by_kernel
from vlsuite.layers.state_space_duality import ssd


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VLSUITE_SCAN", raising=False)
    ssd_kernel._choose.cache_clear()


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Arguments that a package with the kernel's name and signature is called with."""
    calls: list[tuple[Any, ...]] = []

    def mamba_chunk_scan_combined(  # the parameters of mamba-ssm 2.3.2, in its order
        x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, chunk_size: int, D: Any = None,
        z: Any = None, dt_bias: Any = None, initial_states: Any = None, seq_idx: Any = None,
        cu_seqlens: Any = None, dt_softplus: bool = False, dt_limit: Any = (0.0, float("inf")),
        return_final_states: bool = False,
    ) -> Any:  # fmt: skip
        calls.append((x.dtype, A.dtype, B.dtype, chunk_size, return_final_states, z, seq_idx))
        return ssd(
            x, dt, A, B, C, D, dt_bias=dt_bias, softplus=dt_softplus, initial_state=initial_states
        )

    parts = ["mamba_ssm", "ops", "triton", "ssd_combined"]
    for end in range(1, len(parts) + 1):
        module = ModuleType(".".join(parts[:end]))
        module.__path__ = []
        monkeypatch.setitem(sys.modules, module.__name__, module)
    module.mamba_chunk_scan_combined = mamba_chunk_scan_combined
    return calls


def test_the_kernel_is_given_what_the_scan_was(kernel):
    torch.manual_seed(0)
    x, dt = torch.randn(2, 9, 4, 3).bfloat16(), torch.randn(2, 9, 4).bfloat16()
    A, D, bias = -torch.rand(4), torch.randn(4), torch.randn(4)
    B, C = torch.randn(2, 9, 2, 5).bfloat16(), torch.randn(2, 9, 2, 5).bfloat16()
    state = torch.randn(2, 4, 3, 5)
    words = {"dt_bias": bias, "softplus": True, "initial_state": state}
    expected = ssd(x, dt, A, B, C, D, **words)
    found = ssd_by_kernel(x, dt, A, B, C, D, **words)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert kernel == [(torch.bfloat16, torch.float32, torch.bfloat16, 256, True, None, None)]


def test_forms(kernel, monkeypatch):
    assert chosen_ssd_path("cpu").name == "torch"
    assert chosen_ssd_path("cuda").name == "mamba_ssm"
    for forced in ("torch", "native"):
        monkeypatch.setenv("VLSUITE_SCAN", forced)
        assert chosen_ssd_path("cuda").name == "torch"


def test_without_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "mamba_ssm", None)
    path = chosen_ssd_path("cuda")
    assert path.name == "torch"
    assert "mamba-ssm cannot be imported" in path.reason
    monkeypatch.setenv("VLSUITE_SCAN", "mamba_ssm")
    with pytest.raises(ConfigError, match="MAMBA_KEEP_CUDA_BUILD=TRUE pip install"):
        chosen_ssd_path("cuda")


@pytest.mark.parametrize(
    ("forced", "told"), [("mamba_ssm", "these are on cpu"), ("mamba", "use one of mamba_ssm")]
)
def test_a_form_that_cannot_be_is_one_line(forced, told, monkeypatch):
    monkeypatch.setenv("VLSUITE_SCAN", forced)
    with pytest.raises(ConfigError, match=told) as caught:
        chosen_ssd_path("cpu")
    assert "\n" not in str(caught.value)


def test_float64_is_never_given_to_the_kernel(kernel, monkeypatch):
    monkeypatch.setattr(state_space_duality, "_form_on", lambda device: "mamba_ssm")
    x = torch.randn(1, 3, 1, 2, dtype=torch.float64)
    B = torch.randn(1, 3, 1, 2, dtype=torch.float64)
    ssd(x, torch.ones(1, 3, 1).double(), -torch.ones(1).double(), B, B)
    assert not kernel
