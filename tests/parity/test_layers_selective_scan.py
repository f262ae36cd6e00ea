"""The selective scan against its equations in float64 loops: values and all gradients."""

import pytest
import torch

from benchmarks.support import scan_loops
from benchmarks.support.scan_loops import Inputs, largest_error, made_up
from tests.support.scans import forced, with_gradients
from vlsuite.layers.selective_scan import scan_step, selective_scan

#: fp32 states: rounding of one step is 6e-8, and adds up over some tens of them.
CLOSE = 2e-6


@pytest.mark.parametrize("softplus", [True, False])
@pytest.mark.parametrize(
    ("batch", "length", "channels", "states"),
    [(2, 200, 40, 16), (1, 1, 5, 3), (3, 64, 33, 1), (1, 65, 130, 7), (2, 300, 8, 40)],
)
@pytest.mark.parametrize("form", ["native", "torch"])
def test_equals_the_equations(form, batch, length, channels, states, softplus, monkeypatch):
    forced(monkeypatch, form)
    inputs = made_up(batch, length, channels, states)
    if not softplus:
        inputs = inputs._replace(dt=inputs.dt.abs(), dt_bias=inputs.dt_bias.abs() * 0.1)
    y, final = scan_loops.scan(inputs, softplus=softplus)
    dy, dfinal = torch.randn(y.shape), torch.randn(final.shape)
    wanted = scan_loops.gradients(inputs, dy, dfinal, softplus=softplus)
    out, found = with_gradients(inputs, dy, dfinal, softplus=softplus)
    assert largest_error(out.y, y) < CLOSE
    assert largest_error(out.final_state, final) < CLOSE
    for name, gradient, right in zip(Inputs._fields, found, wanted, strict=True):
        assert largest_error(gradient, right) < CLOSE, name


def test_the_way_back_of_the_loops_is_that_of_autograd():
    inputs = Inputs(*(v.double().requires_grad_() for v in made_up(2, 20, 5, 3)))
    y, final = scan_loops.scan(inputs, softplus=True)
    dy, dfinal = torch.randn_like(y), torch.randn_like(final)
    wanted = torch.autograd.grad((y, final), inputs, (dy, dfinal))
    with torch.no_grad():
        found = scan_loops.gradients(inputs, dy, dfinal, softplus=True)
    for name, one, other in zip(Inputs._fields, found, wanted, strict=True):
        torch.testing.assert_close(one, other, msg=name)


def test_gradcheck():
    inputs = [v.double().requires_grad_() for v in made_up(2, 19, 3, 2)]

    def run(*given):
        *series, bias, state = given
        return selective_scan(*series, dt_bias=bias, softplus=True, initial_state=state)

    assert torch.autograd.gradcheck(run, inputs)


@pytest.mark.parametrize("form", ["native", "torch"])
def test_bf16_inputs_have_fp32_states(form, monkeypatch):
    forced(monkeypatch, form)
    inputs = made_up(1, 500, 24, 16)
    inputs = inputs._replace(**{k: getattr(inputs, k).bfloat16() for k in ("x", "dt", "B", "C")})
    y, final = scan_loops.scan(inputs, softplus=True)
    dy, dfinal = torch.randn(y.shape).bfloat16(), torch.randn(final.shape)
    wanted = scan_loops.gradients(inputs, dy, dfinal, softplus=True)
    out, found = with_gradients(inputs, dy, dfinal, softplus=True)
    assert out.y.dtype == torch.bfloat16
    assert out.final_state.dtype == torch.float32
    assert largest_error(out.final_state, final) < CLOSE
    assert largest_error(out.y, y) < 2**-8
    for name, gradient, right, given in zip(Inputs._fields, found, wanted, inputs, strict=True):
        assert gradient.dtype == given.dtype
        rounding = 2**-8 if given.dtype == torch.bfloat16 else CLOSE
        assert largest_error(gradient, right) < rounding, name


def test_steps_are_the_scan():
    inputs = made_up(2, 30, 6, 4)
    y, final = scan_loops.scan(inputs, softplus=True)
    *series, bias, state = inputs
    x, dt, A, B, C, D = series
    found = []
    for t in range(x.shape[1]):
        out, state = scan_step(
            x[:, t], dt[:, t], A, B[:, t], C[:, t], D, dt_bias=bias, softplus=True, state=state
        )
        found.append(out)
    assert largest_error(torch.stack(found, 1), y) < CLOSE
    assert largest_error(state, final) < CLOSE
