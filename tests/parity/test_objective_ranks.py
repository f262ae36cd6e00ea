"""Several gloo processes equal one process on the joined batch, for every objective.

Tolerance 1e-6 of the largest entry: the ranks add the same fp32 numbers in another order.
"""

import datetime
import multiprocessing
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor

from tests.support.embeddings import Pairs, assert_equal_to, random_pairs, value_and_gradients
from vlsuite.objectives import gather, registry

NAMES = ["clip", "siglip"]
LOCAL_BATCHES = [8, 5]
TILE_SIZE = 3


class RankCase(NamedTuple):
    """One run of an objective on this rank: results, or the error it raised."""

    name: str
    local_batch: int
    frozen_images: bool


CASES = [RankCase(n, b, frozen) for n in NAMES for b in LOCAL_BATCHES for frozen in (False, True)]


def joined_pairs(case: RankCase, num_ranks: int) -> Pairs:
    pairs = random_pairs(case.local_batch * num_ranks, 6, seed=case.local_batch)
    return Pairs(pairs.images.detach(), pairs.texts) if case.frozen_images else pairs


def run_case(case: RankCase, pairs: Pairs) -> list[Tensor]:
    objective = registry.get(case.name)(tile_size=TILE_SIZE).build()
    if not case.frozen_images:
        return value_and_gradients(objective, pairs)
    total = objective(*pairs).total
    gradients = torch.autograd.grad(total, [pairs.texts, *objective.parameters()])
    return [total.detach(), *gradients]


def uneven_error(rank: int) -> str:
    """What a rank says whose batch differs in length from the others'."""
    objective = registry.get("clip")(tile_size=TILE_SIZE).build()
    try:
        objective(*random_pairs(3 + rank, 6, seed=0))
    except ValueError as error:
        return str(error)
    return "no error"


def worker(rank: int, num_ranks: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        init_method=f"file://{folder}/rendezvous",
        rank=rank,
        world_size=num_ranks,
        timeout=datetime.timedelta(seconds=120),
    )
    results = []
    for case in CASES:
        mine = slice(rank * case.local_batch, (rank + 1) * case.local_batch)
        joined = joined_pairs(case, num_ranks)
        local = Pairs(*(v.detach()[mine].requires_grad_(v.requires_grad) for v in joined))
        results.append(run_case(case, local))
        with torch.no_grad():
            objective = registry.get(case.name)(tile_size=TILE_SIZE).build()
            assert_equal_to([objective(*local).total], results[-1][:1], tolerance=1e-6)
    torch.save({"results": results, "uneven": uneven_error(rank)}, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module", params=[2, 4], ids=["2-ranks", "4-ranks"])
def ranks(request, tmp_path_factory) -> list[dict]:
    """What every rank computed, all cases in one start of the processes."""
    folder: Path = tmp_path_factory.mktemp("ranks")
    # One server imports torch and forks every rank; each rank importing it alone takes seconds.
    multiprocessing.set_forkserver_preload(["torch", "vlsuite.objectives.clip"])
    mp.start_processes(  # pyright: ignore[reportPrivateImportUsage]
        worker, (request.param, str(folder)), request.param, start_method="forkserver"
    )
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(request.param)]


@pytest.mark.parametrize("number", range(len(CASES)), ids=[str(tuple(case)) for case in CASES])
def test_ranks_equal_one_process_on_the_joined_batch(ranks, number):
    case = CASES[number]
    expected = run_case(case, joined_pairs(case, len(ranks)))
    num_sides = 1 if case.frozen_images else 2
    per_rank = [rank["results"][number] for rank in ranks]
    sides = [torch.cat([result[1 + side] for result in per_rank]) for side in range(num_sides)]
    assert_equal_to(sides, expected[1 : 1 + num_sides], tolerance=1e-6)
    for result in per_rank:
        scalars = [result[0], *result[1 + num_sides :]]
        assert_equal_to(scalars, [expected[0], *expected[1 + num_sides :]], tolerance=1e-6)


def test_every_rank_refuses_uneven_batches(ranks):
    for rank in ranks:
        assert "[3, 4" in rank["uneven"]
        assert "same local batch" in rank["uneven"]


def test_collectives_without_a_process_group_change_nothing():
    rows = torch.randn(3, 2)
    assert (gather.rank(), gather.world_size()) == (0, 1)
    assert gather.all_gather_rows(rows) is rows
    assert gather.reduce_scatter_rows(rows) is rows
    assert gather.all_reduce_sum_(rows) is rows
    assert gather.all_reduce_max_(rows) is rows
