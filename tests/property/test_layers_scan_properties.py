"""Whatever the sizes: pieces are the whole, forms agree, threads and padding do not matter."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.support.scan_loops import made_up
from tests.support.scans import forced, scanned, with_gradients
from vlsuite.layers.selective_scan import native, selective_scan

SIZES = st.tuples(st.integers(1, 3), st.integers(0, 200), st.integers(1, 70), st.integers(1, 20))
CLOSE = 3e-6


def gradients(inputs):
    torch.manual_seed(0)
    return with_gradients(
        inputs, torch.randn(inputs.x.shape), torch.randn(inputs.initial_state.shape)
    )


@pytest.mark.parametrize("form", ["native", "torch"])
@settings(max_examples=15)
@given(sizes=SIZES, cuts=st.lists(st.integers(0, 200), max_size=3))
def test_pieces_are_the_whole(form, sizes, cuts):
    with pytest.MonkeyPatch.context() as patch:
        forced(patch, form)
        inputs = made_up(*sizes)
        whole = scanned(inputs)
        ends = sorted({min(cut, sizes[1]) for cut in cuts} | {sizes[1]})
        state, begin, found = inputs.initial_state, 0, []
        for end in ends:
            here = slice(begin, end)
            y, state = selective_scan(
                inputs.x[:, here], inputs.dt[:, here], inputs.A, inputs.B[:, here],
                inputs.C[:, here], inputs.D, dt_bias=inputs.dt_bias, softplus=True,
                initial_state=state,
            )  # fmt: skip
            found.append(y)
            begin = end
    torch.testing.assert_close(torch.cat(found, 1), whole.y, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(state, whole.final_state, rtol=1e-5, atol=1e-5)


@settings(max_examples=15)
@given(sizes=SIZES)
def test_forms_agree(sizes):
    with pytest.MonkeyPatch.context() as patch:
        inputs = made_up(*sizes)
        forced(patch, "native")
        one, its = gradients(inputs)
        forced(patch, "torch")
        other, others = gradients(inputs)
    for found, wanted in zip((*one, *its), (*other, *others), strict=True):
        if wanted.numel():  # a lone entry can be a difference of larger ones
            bound = CLOSE * (1 + float(wanted.detach().abs().max()))
            torch.testing.assert_close(found, wanted, rtol=0, atol=bound)


@settings(max_examples=15)
@given(sizes=SIZES, threads=st.integers(2, 5))
def test_threads_do_not_matter(sizes, threads):
    with pytest.MonkeyPatch.context() as patch:
        forced(patch, "native")
        patch.setattr(native, "_threads", lambda _: 1)
        inputs = made_up(*sizes)
        one, its = gradients(inputs)
        patch.setattr(native, "_threads", lambda _: threads)
        other, others = gradients(inputs)
    for found, wanted in zip((*one, *its), (*other, *others), strict=True):
        assert torch.equal(found, wanted)


@pytest.mark.parametrize("form", ["native", "torch"])
@settings(max_examples=10)
@given(sizes=SIZES, padding=st.integers(1, 90))
def test_padding_is_nothing(form, sizes, padding):
    """A raw step of -1e4 behind a series: outputs, final state and gradients are as without it."""
    with pytest.MonkeyPatch.context() as patch:
        forced(patch, form)
        inputs = made_up(*sizes)
        batch, _, channels, states = sizes
        longer = inputs._replace(
            x=torch.cat((inputs.x, torch.randn(batch, padding, channels)), 1),
            dt=torch.cat((inputs.dt, torch.full((batch, padding, channels), -1e4)), 1),
            B=torch.cat((inputs.B, torch.randn(batch, padding, states)), 1),
            C=torch.cat((inputs.C, torch.randn(batch, padding, states)), 1),
        )
        dy, dfinal = torch.randn(inputs.x.shape), torch.randn(batch, channels, states)
        one, its = with_gradients(inputs, dy, dfinal)
        behind = torch.zeros(batch, padding, channels)
        other, others = with_gradients(longer, torch.cat((dy, behind), 1), dfinal)
    length = sizes[1]
    torch.testing.assert_close(other.y[:, :length], one.y, rtol=1e-6, atol=1e-6)
    if form == "native":  # plain torch cuts rows by the length, and rounds in other places
        assert torch.equal(other.final_state, one.final_state)
    torch.testing.assert_close(other.final_state, one.final_state, rtol=1e-5, atol=1e-6)
    for found, wanted in zip(others, its, strict=True):
        if found.shape != wanted.shape:
            found, rest = found[:, :length], found[:, length:]
            assert not rest.any()
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
