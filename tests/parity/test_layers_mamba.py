"""The temporal Mamba layer: against float64 loops over the equations, and against transformers.

``tests.support.mamba_loops`` says which equations. In float64 both differ by rounding (1e-11). The
mixers of transformers are the plain torch forms of ``MambaMixer`` and ``Mamba2Mixer``, in fp32:
1e-5.
"""

import math

import pytest
import torch
from torch import Tensor, nn
from transformers.models.mamba.configuration_mamba import MambaConfig as Mamba1Config
from transformers.models.mamba.modeling_mamba import MambaMixer
from transformers.models.mamba2.configuration_mamba2 import Mamba2Config
from transformers.models.mamba2.modeling_mamba2 import Mamba2Mixer

from tests.support.mamba_loops import layer as loops
from vlsuite.layers.mamba.config import MambaConfig
from vlsuite.layers.mamba.temporal import TemporalMamba

WIDTH = 8
BOTH = [
    MambaConfig(kind="mamba2", state=3, head_width=4, merge="mean"),
    MambaConfig(kind="mamba2", state=3, head_width=8, merge="concatenation", conv=2),
    MambaConfig(kind="mamba1", state=3, merge="sum"),
    MambaConfig(kind="mamba1", state=2, merge="concatenation", conv=1, expand=3),
]
FORWARD = [
    MambaConfig(kind="mamba2", state=3, head_width=4, directions="forward"),
    MambaConfig(kind="mamba1", state=3, directions="forward", conv=1),
]


def name(config: MambaConfig) -> str:
    return f"{config.kind}-{config.directions}-{config.merge}"


def double(config: MambaConfig) -> TemporalMamba:
    """In float64, with a bias and gains that matter."""
    torch.manual_seed(0)
    layer = TemporalMamba(WIDTH, config, zero_init=False).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return layer


def draw(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(*shape, dtype=torch.float64, generator=generator).requires_grad_()


def weighed(found: Tensor) -> Tensor:
    weights = torch.linspace(-1, 1, found.numel(), dtype=found.dtype)
    return (found * weights.reshape(found.shape)).sum()


def gradients(layer: nn.Module, tokens: Tensor, found: Tensor) -> dict[str, Tensor]:
    names, parameters = zip(*layer.named_parameters(), strict=True)
    all_of_them = torch.autograd.grad(weighed(found), [tokens, *parameters])
    return dict(zip(["tokens", *names], all_of_them, strict=True))


def assert_same(ours: dict[str, Tensor], theirs: dict[str, Tensor], *, atol: float) -> None:
    assert ours.keys() == theirs.keys()
    for key, value in theirs.items():
        torch.testing.assert_close(ours[key], value, rtol=1e-9, atol=atol, msg=key)


@pytest.mark.parametrize("config", BOTH + FORWARD, ids=name)
def test_values_and_gradients_are_those_of_the_equations(config):
    layer, tokens = double(config), draw(2, 9, WIDTH)
    found = layer(tokens)
    expected = torch.stack([loops(layer, clip, merge=config.merge) for clip in tokens])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-11)
    assert_same(gradients(layer, tokens, found), gradients(layer, tokens, expected), atol=1e-11)


@pytest.mark.parametrize("config", BOTH + FORWARD, ids=name)
def test_padding_is_as_if_it_were_not_there(config):
    layer, tokens = double(config), draw(3, 9, WIDTH)
    lengths = [9, 5, 1]
    there = torch.arange(9)[None] < torch.tensor(lengths)[:, None]
    for piece in (None, 2):
        padded = tokens.masked_fill(~there[..., None], torch.inf)
        found = layer(padded, is_there=there, piece=piece)
        for row, length in enumerate(lengths):
            alone = layer(tokens[row : row + 1, :length])[0]
            torch.testing.assert_close(found[row, :length], alone, rtol=0, atol=1e-12)
        torch.testing.assert_close(found[~there], padded[~there])
        kept = gradients(layer, tokens, found[there])
        separate = [layer(tokens[i : i + 1, :n])[0] for i, n in enumerate(lengths)]
        assert_same(kept, gradients(layer, tokens, torch.cat(separate)), atol=1e-11)
        assert all(bool(value.isfinite().all()) for value in kept.values())


@pytest.mark.parametrize("config", BOTH + FORWARD, ids=name)
@pytest.mark.parametrize("piece", [1, 4, 9, 100])
def test_pieces_are_the_whole(config, piece):
    layer, tokens = double(config), draw(2, 9, WIDTH)
    whole, found = layer(tokens), layer(tokens, piece=piece)
    torch.testing.assert_close(found, whole, rtol=0, atol=1e-12)
    assert_same(gradients(layer, tokens, found), gradients(layer, tokens, whole), atol=1e-11)
    with torch.no_grad():
        torch.testing.assert_close(layer(tokens, piece=piece), whole, rtol=0, atol=1e-12)


@pytest.mark.parametrize("config", BOTH, ids=name)
def test_pieces_are_the_whole_in_fp32(config):
    layer = double(config).float()
    tokens = torch.randn(1, 700, WIDTH)
    torch.testing.assert_close(layer(tokens, piece=100), layer(tokens), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("config", FORWARD, ids=name)
@pytest.mark.parametrize("sizes", [[1] * 9, [9], [2, 1, 1, 5]])
def test_a_stream_is_the_whole(config, sizes):
    layer, tokens = double(config), draw(2, 9, WIDTH)
    state, parts, shapes = None, [], set()
    for part in tokens.split(sizes, dim=1):
        streamed, state = layer.stream(part, state)
        parts.append(streamed)
        shapes.add(tuple(tuple(value.shape) for value in state))
    torch.testing.assert_close(torch.cat(parts, 1), layer(tokens), rtol=0, atol=1e-12)
    assert len(shapes) == 1  # what is remembered does not grow


def test_memory_in_pieces_is_that_of_one_piece():
    """Numbers kept for the gradients: all tokens for each direction, and little else."""
    layer = TemporalMamba(32, MambaConfig(state=8, head_width=16), zero_init=False)
    kept = {}
    for piece in (None, 64):
        total = 0

        def note(tensor: Tensor) -> Tensor:
            nonlocal total
            total += tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            layer(torch.randn(1, 1024, 32), piece=piece)
        kept[piece] = total
    assert kept[64] < kept[None] / 10


@pytest.mark.parametrize("kind", ["mamba1", "mamba2"])
def test_transformers_has_the_same_mixer(kind):
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "state_size": 6, "expand": 2, "conv_kernel": 4,
             "num_hidden_layers": 1}  # fmt: skip
    if kind == "mamba1":
        config = MambaConfig(kind="mamba1", state=6, directions="forward")
        theirs = MambaMixer(Mamba1Config(**shape), 0).eval()
    else:
        config = MambaConfig(state=6, head_width=8, directions="forward")
        theirs = Mamba2Mixer(
            Mamba2Config(**shape, num_heads=4, head_dim=8, n_groups=1, chunk_size=16), 0
        ).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    ours = TemporalMamba(16, config)
    weights = {
        our_name(key): as_ours(key, value, kind) for key, value in theirs.state_dict().items()
    }
    norm = {"norm.weight": torch.ones(16), "norm.bias": torch.zeros(16)}
    ours.load_state_dict(norm | weights)
    tokens = torch.randn(2, 37, 16, requires_grad=True)
    found, expected = ours(tokens) - tokens, theirs(ours.norm(tokens))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    weighed(found).backward()
    weighed(expected).backward()
    mine = {key: p.grad for key, p in ours.named_parameters() if not key.startswith("norm.")}
    for key, parameter in theirs.named_parameters():
        gradient, found = as_ours(key, parameter.grad, kind), mine.pop(our_name(key))
        scale = float(gradient.abs().max())
        torch.testing.assert_close(found, gradient, rtol=0, atol=1e-5 * scale, msg=key)
    assert not mine


def as_ours(key: str, value: Tensor, kind: str) -> Tensor:
    """A weight of theirs: Mamba-1 projects to x, then z, and ours as Mamba-2 to z, then x."""
    if "conv1d.weight" in key:
        return value.squeeze(1)
    return value.roll(len(value) // 2, 0) if key == "in_proj.weight" and kind == "mamba1" else value


def our_name(theirs: str) -> str:
    """Of a parameter of a mixer of transformers."""
    renamed = theirs.replace("conv1d", "conv").replace("dt_proj.bias", "dt_bias")
    if renamed in ("A_log", "D", "dt_bias"):
        return f"paths.0.dynamics.{renamed}"
    return renamed if renamed.startswith(("in_proj", "out_proj")) else f"paths.0.{renamed}"


@pytest.mark.parametrize("kind", ["mamba1", "mamba2"])
def test_initialisation_is_the_published_one(kind):
    torch.manual_seed(0)
    width, config = 1024, MambaConfig(kind=kind, head_width=1)
    layer = TemporalMamba(width, config)
    assert config.states == {"mamba1": 16, "mamba2": 128}[kind]
    for path in layer.paths:
        own = path.dynamics
        steps = torch.nn.functional.softplus(own.dt_bias.detach().double())
        assert 1e-3 * 0.999 <= float(steps.min()) < 1.1e-3
        assert 0.09 < float(steps.max()) <= 0.1 * 1.001
        # log-uniform: the mean of the logarithm is that of its ends, deviation range / sqrt(12 n)
        low, high = math.log(1e-3), math.log(0.1)
        allowed = 5 * (high - low) / math.sqrt(12 * len(steps))
        assert abs(float(steps.log().mean()) - (low + high) / 2) < allowed
        assert torch.equal(own.D, torch.ones(2 * width))
        rates = own.A_log.detach().exp()
        if kind == "mamba1":
            expected = torch.arange(1.0, 17.0).expand(2 * width, 16)
            torch.testing.assert_close(rates, expected)
            weight = path.dt_proj.weight.detach()
            assert weight.shape == (2 * width, 64)
            assert 0.99 * 64**-0.5 < float(weight.abs().max()) <= 64**-0.5
        else:
            assert 1 <= float(rates.min()) < 1.1
            assert 15.9 < float(rates.max()) <= 16
            assert abs(float(rates.mean()) - 8.5) < 5 * 15 / math.sqrt(12 * len(rates))
            assert torch.equal(path.norm.weight, torch.ones(2 * width))
        assert float(path.conv.weight.detach().abs().max()) <= 0.5
    assert not bool(layer.out_proj.weight.any())
    tokens = torch.randn(1, 5, width)
    assert torch.equal(layer(tokens), tokens)


@pytest.mark.parametrize("config", [BOTH[0], BOTH[2]], ids=name)
def test_bf16_trains_without_a_number_that_is_not_finite(config):
    """With fp32 masters, as the training engine has them; to repeat the token before."""
    torch.manual_seed(0)
    live = TemporalMamba(16, config, zero_init=False)
    masters = [p.detach().clone() for p in live.parameters()]
    live.bfloat16()
    optimizer = torch.optim.AdamW(masters, lr=1e-2)
    losses = []
    for step in range(200):
        tokens = torch.randn(2, 12, 16, generator=torch.Generator().manual_seed(step))
        error = live(tokens.bfloat16())[:, 1:].float() - tokens[:, :-1]
        loss = error.square().mean()
        losses.append(loss.detach())
        live.zero_grad()
        loss.backward()
        for parameter, master in zip(live.parameters(), masters, strict=True):
            assert parameter.grad is not None
            assert bool(parameter.grad.isfinite().all())
            master.grad = parameter.grad.float()
        optimizer.step()
        with torch.no_grad():
            for parameter, master in zip(live.parameters(), masters, strict=True):
                parameter.copy_(master)
    seen = torch.stack(losses)
    assert bool(seen.isfinite().all())
    assert float(seen[-20:].mean()) < 0.5 * float(seen[:20].mean())
