"""What the selective scan does at its edges: threads, types, strides, NaN."""

import inspect
import logging
import multiprocessing
import sys
import threading
import types

import pytest
import torch
from torch.nn import functional as F

from benchmarks.support import scan_loops
from benchmarks.support.scan_loops import largest_error, made_up
from tests.support.scans import forced, scanned, with_gradients
from vlsuite.errors import ConfigError, UnknownNameError
from vlsuite.layers.selective_scan import (
    chosen_path,
    mamba_ssm_form,
    paths,
    scan_step,
    selective_scan,
)
from vlsuite.layers.selective_scan.operator import scan_operator

FORMS = ("native", "torch")


@pytest.fixture(autouse=True)
def _threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def everything(inputs):
    torch.manual_seed(0)
    b, length, d = inputs.x.shape
    dy, dfinal = torch.randn(b, length, d), torch.randn(b, d, inputs.A.shape[1])
    out, gradients = with_gradients(inputs, dy, dfinal)
    return [*out, *gradients]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("optional", [True, False])
def test_operator_is_one_of_torch(form, optional, monkeypatch):
    forced(monkeypatch, form)
    inputs = [value.requires_grad_() for value in made_up(2, 70, 20, 4)]
    series, rest = inputs[:5], inputs[5:] if optional else [None] * 3
    found = torch.library.opcheck(scan_operator, (*series, *rest, True, True, form))
    assert set(found.values()) == {"SUCCESS"}


def test_compiled_whole_graph(monkeypatch):
    forced(monkeypatch, "native")
    inputs = [value.requires_grad_() for value in made_up(1, 70, 8, 4)]
    unchecked = inspect.unwrap(selective_scan)  # torch.compile cannot follow the checks of shapes

    def loss(*given):
        *series, bias, state = given
        y, final = unchecked(*series, dt_bias=bias, softplus=True, initial_state=state)
        return (2 * y).sum() + final.sum()

    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    wanted = torch.autograd.grad(loss(*inputs), inputs)
    found = torch.autograd.grad(compiled(*inputs), inputs)
    assert all(torch.equal(one, other) for one, other in zip(found, wanted, strict=True))


def test_equal_whatever_the_number_of_threads(monkeypatch):
    forced(monkeypatch, "native")
    inputs = made_up(2, 330, 200, 8)
    torch.set_num_threads(1)
    wanted = everything(inputs)
    for threads in (2, 3):
        torch.set_num_threads(threads)
        for one, other in zip(everything(inputs), wanted, strict=True):
            assert torch.equal(one, other)


def test_calls_at_once(monkeypatch):
    forced(monkeypatch, "native")
    torch.set_num_threads(2)
    inputs = [made_up(1, 700, 64, 16, seed=seed) for seed in range(4)]
    wanted = [scanned(one).y for one in inputs]
    found = {}

    def run(number):
        found[number] = [scanned(inputs[number]).y for _ in range(5)]

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, right in enumerate(wanted):
        assert all(torch.equal(one, right) for one in found[number])


def _scan_in_child(inputs, queue):
    torch.set_num_threads(2)
    queue.put(scanned(inputs).y.numpy().sum())  # NumPy: torch's own threads may hang here


def test_in_a_forked_process(monkeypatch):
    forced(monkeypatch, "native")
    torch.set_num_threads(2)
    inputs = made_up(1, 600, 64, 16)
    wanted = scanned(inputs).y.numpy().sum()
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    child = context.Process(target=_scan_in_child, args=(inputs, queue))
    child.start()
    child.join(60)
    assert child.exitcode == 0
    assert queue.get() == wanted


@pytest.mark.parametrize("form", FORMS)
def test_strides_do_not_matter(form, monkeypatch):
    forced(monkeypatch, form)
    inputs = made_up(2, 90, 12, 5)
    wanted = everything(inputs)
    wide = torch.randn(2, 90, 40)
    wide[..., 3:15], wide[..., 20:25] = inputs.x, inputs.B
    turned = inputs.dt.transpose(1, 2).contiguous().transpose(1, 2)
    with torch.no_grad():
        out = scanned(inputs._replace(x=wide[..., 3:15], B=wide[..., 20:25], dt=turned))
    torch.testing.assert_close(out.y, wanted[0].detach())
    expanded = inputs.B[:1, :1].expand(2, 90, 5)
    dense = inputs._replace(B=expanded.contiguous())
    assert torch.equal(scanned(inputs._replace(B=expanded)).y, scanned(dense).y)


@pytest.mark.parametrize("form", FORMS)
def test_gradients_without_strides(form, monkeypatch):
    forced(monkeypatch, form)
    inputs = made_up(1, 40, 6, 3)
    leaves = inputs._replace(x=inputs.x.clone().requires_grad_())
    (expanded,) = torch.autograd.grad(scanned(leaves).y.sum(), leaves.x)
    (given,) = torch.autograd.grad(scanned(leaves).y, leaves.x, torch.ones(1, 40, 6))
    assert torch.equal(expanded, given)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("shape", [(1, 0, 4, 2), (0, 5, 4, 2), (2, 5, 0, 2)])
def test_nothing(form, shape, monkeypatch):
    forced(monkeypatch, form)
    inputs = made_up(*shape)
    out, gradients = with_gradients(
        inputs, torch.ones(inputs.x.shape), torch.ones_like(inputs.initial_state)
    )
    assert out.y.shape == inputs.x.shape
    if shape[1] == 0:
        assert torch.equal(out.final_state, inputs.initial_state)
        assert torch.equal(gradients[-1], torch.ones_like(inputs.initial_state))
    for gradient, given in zip(gradients, inputs, strict=True):
        assert gradient.shape == given.shape
        assert gradient.isfinite().all()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["x", "dt", "A", "B", "C", "D", "dt_bias", "initial_state"])
def test_nan_comes_out_as_nan(form, name, monkeypatch):
    forced(monkeypatch, form)
    inputs = made_up(1, 100, 20, 3)
    # a NaN that carries other bits than those of the processor's own
    nan = torch.tensor([0x7FC01234], dtype=torch.int32).view(torch.float32)
    getattr(inputs, name).view(-1)[7 if getattr(inputs, name).numel() > 7 else 2] = nan
    y, final = scan_loops.scan(inputs, softplus=True)
    out = scanned(inputs)
    assert y.isnan().any()
    assert torch.equal(out.y.isnan(), y.isnan())
    assert torch.equal(out.final_state.isnan(), final.isnan())


@pytest.mark.parametrize("form", FORMS)
def test_infinity_is_no_number(form, monkeypatch):
    forced(monkeypatch, form)
    inputs = made_up(1, 20, 4, 2)
    inputs.x[0, 5, 1] = torch.inf
    y, _ = scan_loops.scan(inputs, softplus=True)
    assert torch.equal(scanned(inputs).y.isfinite(), y.isfinite())


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("raw", [-1e4, -torch.inf])
def test_no_step_leaves_the_state_alone(form, raw, monkeypatch):
    forced(monkeypatch, form)
    inputs = made_up(1, 80, 10, 4)
    inputs = inputs._replace(dt=torch.full_like(inputs.dt, raw))
    assert torch.equal(scanned(inputs).final_state, inputs.initial_state)


def test_denormal_numbers_survive(monkeypatch):
    """GCC 12 links code that ends them in the whole process where -ffast-math is given to it."""
    forced(monkeypatch, "native")
    torch.set_num_threads(2)
    tiny = torch.full((64,), 1e-40)
    everything(made_up(1, 700, 64, 16))
    assert (tiny * 1.0 == tiny).all()
    assert float(tiny[0]) / 2 > 0


def test_the_exponential_is_exact(monkeypatch):
    """A step without input is exp(dt A): the product is rounded, the rest is near 1 ulp."""
    forced(monkeypatch, "native")
    exponents = torch.linspace(-80, 0, 2**17).reshape(1, 1, -1)
    decay = torch.full((exponents.shape[-1], 1), -1.0)
    nothing = torch.zeros(1, 1, 1)
    _, state = selective_scan(
        torch.zeros_like(exponents), -exponents, decay, nothing, nothing,
        initial_state=torch.ones(1, exponents.shape[-1], 1),
    )  # fmt: skip
    wanted = exponents.double().exp().flatten()
    error = (state.flatten().double() / wanted - 1).abs()
    assert (error <= 2**-23 * (1 + exponents.flatten().abs())).all()


@pytest.mark.parametrize("form", FORMS)
def test_fp16_and_mixed_types(form, monkeypatch):
    forced(monkeypatch, form)
    inputs = made_up(1, 50, 8, 4)
    low = inputs._replace(x=inputs.x.half(), B=inputs.B.bfloat16(), C=inputs.C.half())
    out = scanned(low)
    assert out.y.dtype == torch.float16
    y, _ = scan_loops.scan(low, softplus=True)
    assert largest_error(out.y, y) < 2**-10


@pytest.mark.parametrize("form", FORMS)
def test_autocast_does_not_reach_the_states(form, monkeypatch):
    forced(monkeypatch, form)
    inputs = made_up(1, 50, 8, 4)
    wanted = everything(inputs)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = everything(inputs)
        step = scan_step(
            inputs.x[:, 0], inputs.dt[:, 0], inputs.A, inputs.B[:, 0], inputs.C[:, 0],
            state=inputs.initial_state,
        )  # fmt: skip
    assert all(torch.equal(one, other) for one, other in zip(found, wanted, strict=True))
    assert step.y.dtype == step.state.dtype == torch.float32


def test_states_are_kept_only_for_gradients(monkeypatch):
    forced(monkeypatch, "native")
    inputs = made_up(1, 130, 8, 4)
    arguments = (*inputs, True)
    assert scan_operator(*arguments, False, "native")[2].shape[1] == 0
    assert scan_operator(*arguments, True, "native")[2].shape[1] == 3


def test_an_unknown_path_is_one_line(monkeypatch):
    monkeypatch.setenv("VLSUITE_SCAN", "fast")
    with pytest.raises(UnknownNameError, match="VLSUITE_SCAN=fast: unknown; use one of mamba_ssm"):
        scanned(made_up(1, 2, 2, 2))


def test_a_path_for_another_device_is_one_line(monkeypatch):
    monkeypatch.setenv("VLSUITE_SCAN", "mamba_ssm")
    with pytest.raises(ConfigError, match="works on cuda tensors, and these are on cpu; unset it"):
        chosen_path("cpu")
    monkeypatch.setenv("VLSUITE_SCAN", "native")
    with pytest.raises(ConfigError, match="works on cpu tensors"):
        chosen_path("cuda")


@pytest.mark.parametrize(
    ("installed", "said"),
    [((), "mamba-ssm is not installed"), (("mamba_ssm",), "without the kernel selective_scan")],
)
def test_a_slow_gpu_is_said_once(installed, said, monkeypatch, caplog):
    there = {name: object() for name in installed}
    monkeypatch.setattr(mamba_ssm_form.importlib.util, "find_spec", there.get)
    for cached in (mamba_ssm_form.why_not, paths._choose):
        cached.cache_clear()
    with caplog.at_level(logging.INFO):
        found = [chosen_path("cuda") for _ in range(3)]
    assert {path.name for path in found} == {"torch"}
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert said in warnings[0].getMessage()
    assert "MAMBA_KEEP_CUDA_BUILD=TRUE" in warnings[0].getMessage()
    monkeypatch.setenv("VLSUITE_SCAN", "mamba_ssm")
    with pytest.raises(ConfigError, match=said):
        chosen_path("cuda")
    for cached in (mamba_ssm_form.why_not, paths._choose):
        cached.cache_clear()


def _like_mamba_ssm(u, delta, A, B, C, D=None, *, delta_bias=None, delta_softplus=False):
    """Layout, types and what is missing of mamba-ssm's function, by plain torch."""
    assert len({u.dtype, delta.dtype, B.dtype, C.dtype}) == 1
    assert u.is_contiguous()
    assert A.dtype == torch.float32
    dt = delta.float() if delta_bias is None else delta.float() + delta_bias[:, None]
    dt = F.softplus(dt) if delta_softplus else dt
    h, rows = A.new_zeros(u.shape[0], *A.shape), []
    for t in range(u.shape[2]):
        written = (dt[..., t] * u[..., t].float())[..., None] * B[:, None, :, t].float()
        h = torch.exp(dt[..., t, None] * A) * h + written
        rows.append((h * C[:, None, :, t].float()).sum(-1))
    y = torch.stack(rows, -1)
    return (y if D is None else y + D[:, None] * u.float()).to(u.dtype)


@pytest.mark.parametrize("softplus", [True, False])
@pytest.mark.parametrize("with_state", [True, False])
def test_states_go_through_mamba_ssm_as_tokens(softplus, with_state, monkeypatch):
    module = types.ModuleType("mamba_ssm.ops.selective_scan_interface")
    module.selective_scan_fn = _like_mamba_ssm
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(mamba_ssm_form.importlib, "import_module", sys.modules.__getitem__)
    inputs = made_up(2, 21, 5, 3)
    if not softplus:
        inputs = inputs._replace(dt=inputs.dt.abs(), dt_bias=inputs.dt_bias.abs())
    if not with_state:
        inputs = inputs._replace(initial_state=torch.zeros_like(inputs.initial_state))
    y, final = scan_loops.scan(inputs, softplus=softplus)
    dy, dfinal = torch.randn(y.shape), torch.randn(final.shape)
    wanted = scan_loops.gradients(inputs, dy, dfinal, softplus=softplus)
    leaves = [value.clone().requires_grad_() for value in inputs]
    state = leaves[7] if with_state else None
    given = mamba_ssm_form.ScanInputs(*leaves[:7], state, softplus)
    found = mamba_ssm_form.scan_with_tokens(given)
    used = leaves if with_state else leaves[:7]
    gradients = torch.autograd.grad(found, used, (dy, dfinal))
    for one, other in zip((*found, *gradients), (y, final, *wanted), strict=False):
        assert largest_error(one, other) < 2e-6


def test_bf16_of_mamba_ssm_keeps_a_state_exact(monkeypatch):
    monkeypatch.setattr(mamba_ssm_form, "_function", lambda: _like_mamba_ssm)
    inputs = made_up(1, 0, 4, 3)
    low = {name: getattr(inputs, name).bfloat16() for name in ("x", "dt", "B", "C")}
    given = mamba_ssm_form.ScanInputs(**inputs._replace(**low)._asdict(), softplus=True)
    y, final = mamba_ssm_form.scan_with_tokens(given)
    assert y.dtype == torch.bfloat16
    assert torch.equal(final, inputs.initial_state)
