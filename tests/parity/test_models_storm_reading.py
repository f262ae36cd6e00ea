"""What STORM keeps of a clip, and how it is read, against loops in float64."""

import itertools
import math

import pytest
import torch

from tests.support.video_models import spread
from vlsuite.models.storm.head import Reader, time_embedding
from vlsuite.models.storm.reduction import KeptTokens, Reduction, reduce_tokens

ROWS, COLUMNS, WIDTH = 3, 4, 8
REDUCTIONS = [
    Reduction(temporal_pool=k, spatial_pool=s, sample_every=e)
    for k, s, e in itertools.product((1, 4), (1, 2), (1, 2, 3))
]


def kept_by_loops(clip: torch.Tensor, reduction: Reduction) -> tuple[torch.Tensor, list[float]]:
    """Tokens and times of one clip [frames, rows, columns, width]: arXiv 2503.04130, section 3.2.

    Pool consecutive frames, pool cells, then keep the middle one of every s frames.
    """
    k, s, every = reduction.temporal_pool, reduction.spatial_pool, reduction.sample_every
    total = len(clip)
    pooled = []
    for start in range(0, total, k):
        group = range(start, min(start + k, total))
        mean = sum(clip[i] for i in group) / len(group)
        time = sum((i + 0.5) / total for i in group) / len(group)
        cells = []
        for row in range(0, clip.shape[1], s):
            for column in range(0, clip.shape[2], s):
                cells.append(mean[row : row + s, column : column + s].flatten(0, 1).mean(dim=0))
        pooled.append((torch.stack(cells), time))
    chosen = []
    for start in range(0, len(pooled), every):
        group = pooled[start : start + every]
        chosen.append(group[(len(group) - 1) // 2])
    times = [time for cells, time in chosen for _ in cells]
    return torch.cat([cells for cells, _ in chosen]), times


@pytest.mark.parametrize("reduction", REDUCTIONS, ids=str)
def test_equals_loops_for_clips_of_any_length(reduction):
    lengths = [1, 9, 4, 13, 8]
    generator = torch.Generator().manual_seed(0)
    shape = (len(lengths), max(lengths), ROWS, COLUMNS, WIDTH)
    tokens = torch.randn(shape, generator=generator, dtype=torch.float64)
    filled = tokens.clone()
    for clip, length in zip(filled, lengths, strict=True):
        clip[length:] = torch.nan
    kept = reduce_tokens(filled, torch.tensor(lengths), reduction)
    for number, length in enumerate(lengths):
        wanted, times = kept_by_loops(tokens[number, :length], reduction)
        own = kept.is_there[number]
        assert int(own.sum()) == reduction.tokens_kept(length, rows=ROWS, columns=COLUMNS)
        assert own[: len(wanted)].all()
        torch.testing.assert_close(kept.tokens[number, own], wanted, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(
            kept.times[number, own].double(), torch.tensor(times).double(), rtol=1e-6, atol=1e-6
        )


def test_nothing_is_done_without_a_reduction():
    tokens = torch.randn(2, 5, ROWS, COLUMNS, WIDTH)
    kept = reduce_tokens(tokens, torch.tensor([5, 5]), Reduction())
    assert torch.equal(kept.tokens, tokens.flatten(1, 3))


@pytest.mark.parametrize(
    ("reduction", "share"),
    [
        (Reduction(temporal_pool=4), 0.25),
        (Reduction(spatial_pool=2), 0.25),
        (Reduction(sample_every=2), 0.5),
        (Reduction(temporal_pool=4, sample_every=2), 0.125),
        (Reduction(temporal_pool=4, spatial_pool=2), 0.0625),
        (Reduction(temporal_pool=4, spatial_pool=2, sample_every=2), 0.03125),
    ],
)
def test_shares_of_the_paper(reduction, share):
    """Of 128 frames of 16 x 16 tokens: arXiv 2503.04130, table of kept tokens."""
    assert reduction.tokens_kept(128, rows=16, columns=16) == share * 128 * 256


@pytest.mark.parametrize("layers", [1, 2])
def test_the_reader_equals_loops(layers):
    """Pre-norm attention and MLP, one query row at a time, as in Vaswani et al. 2017."""
    torch.manual_seed(0)
    reader = Reader(WIDTH, layers=layers, heads=2, embed_dim=5, starts_at_zero=False).double()
    spread(reader)
    tokens, times = torch.randn(2, 6, WIDTH).double(), torch.rand(2, 6).double()
    is_there = torch.tensor([[True] * 6, [True] * 4 + [False] * 2])
    with torch.no_grad():
        found = reader(KeptTokens(tokens, times, is_there))
        for number, count in enumerate((6, 4)):
            wanted = _read(reader, tokens[number, :count], times[number, :count].tolist())
            # times are embedded in fp32, and turn up to 256 times
            torch.testing.assert_close(found[number], wanted, rtol=1e-3, atol=1e-4)


def _read(reader: Reader, tokens: torch.Tensor, times: list[float]) -> torch.Tensor:
    moments = torch.tensor([_wave(time) for time in times]).double()
    rows = [reader.query, *(reader.norm_tokens(tokens) + moments)]
    for block in reader.blocks:
        normed = [block.norm(row) for row in rows]
        after = []
        for row, own in zip(rows, normed, strict=True):
            query = block.queries(own)
            both = [block.keys_values(other) for other in normed]
            found = []
            for head in range(2):
                part = slice(head * WIDTH // 2, (head + 1) * WIDTH // 2)
                cosines = [query[part] @ one[:WIDTH][part] for one in both]
                weights = torch.stack(cosines).div(math.sqrt(WIDTH / 2)).softmax(dim=0)
                values = [one[WIDTH:][part] for one in both]
                found.append(sum(w * v for w, v in zip(weights, values, strict=True)))
            row = row + block.out(torch.cat(found))
            after.append(row + block.mlp(block.norm_mlp(row)))
        rows = after
    return reader.project(reader.norm_found(rows[0]))


def _wave(time: float) -> list[float]:
    """Waves from twice the length of a clip to 1/256 of it, geometrically spaced."""
    lengths = [2.0 * (1 / 512) ** (i / (WIDTH // 2 - 1)) for i in range(WIDTH // 2)]
    angles = [2 * math.pi * time / length for length in lengths]
    return [math.sin(a) for a in angles] + [math.cos(a) for a in angles]


def test_times_are_told_apart():
    rows = time_embedding((torch.arange(512)[None] + 0.5) / 512, 64)[0]
    assert torch.cdist(rows, rows).add(torch.eye(512) * 9).min() > 0.05
