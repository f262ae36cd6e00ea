"""The matmul form of SSD against its recurrence in float64 loops.

Dao and Gu 2024, arXiv 2405.21060, equation 3 with A a number a head, discretised as in section 7.1
and modules/mamba2.py of state-spaces/mamba: exp(dt A) and dt B. In float64 both differ by rounding
alone (1e-12); fp32 is held to 5e-6 of the largest output and 2e-5 of the largest gradient.
"""

import math
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from vlsuite.layers.chunk_decay import carry_states, decay_between
from vlsuite.layers.state_space_duality import ssd, ssd_step


class Inputs(NamedTuple):
    """Arguments of a scan, in their order, then the step bias and the first state."""

    x: Tensor
    dt: Tensor
    A: Tensor
    B: Tensor
    C: Tensor
    D: Tensor
    dt_bias: Tensor
    state: Tensor


def draw(length: int, *, groups: int = 2, softplus: bool = True) -> Inputs:
    """With raw steps, or where ``softplus`` is off with positive ones."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=torch.float64, generator=generator)

    batch, heads, width, states = 2, 4, 3, 5
    drawn = Inputs(
        x=normal(batch, length, heads, width),
        dt=normal(batch, length, heads),
        A=-normal(heads).exp(),
        B=normal(batch, length, groups, states),
        C=normal(batch, length, groups, states),
        D=normal(heads),
        dt_bias=normal(heads) - 1,
        state=normal(batch, heads, width, states),
    )
    if not softplus:
        drawn = drawn._replace(dt=drawn.dt.abs(), dt_bias=drawn.dt_bias.abs() / 10)
    return Inputs(*(part.requires_grad_() for part in drawn))


def loops(given: Inputs, *, softplus: bool) -> tuple[Tensor, Tensor]:
    """y and the last state, one number after another."""
    batch, length, heads, width = given.x.shape
    groups, states = given.B.shape[2:]
    y, last = [], []
    for b in range(batch):
        for h in range(heads):
            g = h // (heads // groups)
            rows = [[given.state[b, h, p, n] for n in range(states)] for p in range(width)]
            for t in range(length):
                step = given.dt[b, t, h] + given.dt_bias[h]
                if softplus:
                    step = (1 + step.exp()).log()
                decay = (step * given.A[h]).exp()
                for p in range(width):
                    total = given.D[h] * given.x[b, t, h, p]
                    for n in range(states):
                        added = step * given.x[b, t, h, p] * given.B[b, t, g, n]
                        rows[p][n] = decay * rows[p][n] + added
                        total = total + rows[p][n] * given.C[b, t, g, n]
                    y.append(total)
            last += [number for row in rows for number in row]
    stacked = torch.stack(y).reshape(batch, heads, length, width).transpose(1, 2)
    return stacked, torch.stack(last).reshape(given.state.shape)


def ours(given: Inputs, *, softplus: bool, chunk: int = 64) -> tuple[Tensor, Tensor]:
    x, dt, A, B, C, D, dt_bias, state = given
    return ssd(
        x, dt, A, B, C, D, dt_bias=dt_bias, softplus=softplus, initial_state=state, chunk=chunk
    )


def gradients(given: Inputs, found: tuple[Tensor, Tensor]) -> tuple[Tensor, ...]:
    """Of a sum that weighs every output and every entry of the last state differently."""
    total = sum(
        (part * torch.linspace(-1, 1, part.numel(), dtype=part.dtype).reshape(part.shape)).sum()
        for part in found
    )
    assert isinstance(total, Tensor)
    return torch.autograd.grad(total, list(given))


def largest(numbers: Tensor) -> float:
    return float(numbers.detach().abs().max())


@pytest.mark.parametrize("softplus", [False, True])
@pytest.mark.parametrize(
    ("length", "chunk", "groups"), [(1, 64, 1), (6, 2, 4), (7, 3, 2), (9, 64, 1)]
)
def test_values_and_gradients_are_those_of_the_recurrence(length, chunk, groups, softplus):
    given = draw(length, groups=groups, softplus=softplus)
    expected = loops(given, softplus=softplus)
    found = ours(given, softplus=softplus, chunk=chunk)
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-12)
    pairs = zip(gradients(given, found), gradients(given, expected), strict=True)
    for name, (mine, theirs) in zip(Inputs._fields, pairs, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-11, msg=name)


def test_gradcheck():
    given = draw(3)

    def scan(*parts: Tensor) -> tuple[Tensor, Tensor]:
        return ours(Inputs(*parts), softplus=True, chunk=2)

    assert torch.autograd.gradcheck(scan, tuple(given))


@pytest.mark.parametrize("chunk", [1, 7, 32, 64, 128, 1000])
def test_the_chunk_does_not_matter(chunk):
    given = draw(130)
    expected = ours(given, softplus=True, chunk=16)
    for mine, theirs in zip(ours(given, softplus=True, chunk=chunk), expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-11, atol=1e-11)


def test_token_by_token_is_the_whole():
    given = draw(20)
    y, last = ours(given, softplus=True)
    state = given.state
    for t in range(20):
        step = ssd_step(
            given.x[:, t], given.dt[:, t], given.A, given.B[:, t], given.C[:, t], given.D,
            dt_bias=given.dt_bias, softplus=True, state=state,
        )  # fmt: skip
        torch.testing.assert_close(step.y, y[:, t], rtol=1e-11, atol=1e-11)
        state = step.final_state
    torch.testing.assert_close(state, last, rtol=1e-11, atol=1e-11)


def test_parts_with_the_state_carried_are_the_whole():
    given = draw(50)
    y, last = ours(given, softplus=True, chunk=8)
    state, parts = given.state, []
    for span in (slice(0, 3), slice(3, 20), slice(20, 50)):
        cut = Inputs(
            given.x[:, span], given.dt[:, span], given.A, given.B[:, span], given.C[:, span],
            given.D, given.dt_bias, state,
        )  # fmt: skip
        part, state = ours(cut, softplus=True, chunk=8)
        parts.append(part)
    torch.testing.assert_close(torch.cat(parts, 1), y, rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(state, last, rtol=1e-11, atol=1e-11)
    whole = gradients(given, (y, last))
    for mine, theirs in zip(gradients(given, (torch.cat(parts, 1), state)), whole, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_raw_step_of_minus_ten_thousand_leaves_the_state_alone(dtype):
    given = Inputs(*(part.detach().to(dtype) for part in draw(10)))
    y, last = ours(given._replace(dt=torch.full_like(given.dt, -1e4)), softplus=True)
    assert torch.equal(last, given.state.float())
    assert y.dtype == dtype
    assert last.dtype == torch.float32


def test_no_tokens():
    given = draw(3)
    empty = given._replace(**{n: getattr(given, n)[:, :0] for n in ("x", "dt", "B", "C")})
    y, last = ours(empty, softplus=True)
    assert y.shape == (2, 0, 4, 3)
    assert torch.equal(last, given.state)


@pytest.mark.parametrize("rate", [-0.01, -1.0, -64.0])
def test_fp32_over_a_long_sequence_and_steps_up_to_five(rate):
    long = draw(4096)
    steps = torch.rand(long.dt.shape, generator=torch.Generator().manual_seed(1)).double() ** 4 * 5
    exact = Inputs(*(p.detach() for p in long))._replace(
        dt=steps, A=torch.full((4,), rate, dtype=torch.float64), dt_bias=torch.zeros(4).double()
    )
    exact = Inputs(*(p.requires_grad_() for p in exact))
    single = Inputs(*(p.detach().float().requires_grad_() for p in exact))
    expected, found = ours(exact, softplus=False), ours(single, softplus=False)
    for mine, theirs in zip(found, expected, strict=True):
        assert largest(mine - theirs) <= 5e-6 * largest(theirs)
    for name, mine, theirs in zip(
        Inputs._fields, gradients(single, found), gradients(exact, expected), strict=True
    ):
        assert bool(mine.isfinite().all())
        assert largest(mine - theirs) <= 2e-5 * largest(theirs), name


def test_bf16_is_rounded_inputs_and_a_rounded_output():
    given = Inputs(*(part.detach().bfloat16() for part in draw(300)))
    wide = Inputs(*(part.double() for part in given))
    found, last = ours(given, softplus=True)
    expected, state = ours(wide, softplus=True)
    torch.testing.assert_close(found, expected.bfloat16(), rtol=2**-7, atol=1e-3)
    torch.testing.assert_close(last.double(), state, rtol=1e-5, atol=1e-5)


def test_autocast_does_not_lower_the_precision():
    given = Inputs(*(part.detach().float() for part in draw(30)))
    expected = ours(given, softplus=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = ours(given, softplus=True)
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(found, expected, strict=True))


def test_memory_grows_with_the_length_alone():
    """The largest tensor that is kept for the gradients: none is of l x l."""
    sizes = []
    for length in (512, 2048):
        largest = 0

        def note(tensor: Tensor) -> Tensor:
            nonlocal largest
            largest = max(largest, tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            ours(draw(length), softplus=True)
        sizes.append(largest)
    assert sizes[1] == 4 * sizes[0]


def test_decays_of_a_chunk():
    exponents = torch.tensor([-1e4, -0.5, -1.0, -0.25], dtype=torch.float64)
    decay = decay_between(exponents)
    for i in range(4):
        for j in range(4):
            expected = math.exp(float(exponents[j + 1 : i + 1].sum())) if j <= i else 0.0
            assert float(decay[i, j]) == pytest.approx(expected, abs=1e-15)


def test_gradients_of_the_two_parts():
    generator = torch.Generator().manual_seed(0)
    exponents = -torch.rand(2, 3, 4, dtype=torch.float64, generator=generator)
    assert torch.autograd.gradcheck(decay_between, (exponents.requires_grad_(),))
    through = torch.rand(2, 3, 2, dtype=torch.float64, generator=generator).requires_grad_()
    added = torch.randn(2, 3, 2, 3, 4, dtype=torch.float64, generator=generator).requires_grad_()
    state = torch.randn(2, 2, 3, 4, dtype=torch.float64, generator=generator).requires_grad_()
    assert torch.autograd.gradcheck(carry_states, (through, added, state))


def test_heads_that_groups_do_not_divide():
    with pytest.raises(ValueError, match="3 groups must divide 4 heads"):
        ours(draw(3, groups=3), softplus=True)
