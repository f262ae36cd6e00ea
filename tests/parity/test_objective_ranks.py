"""Several gloo processes equal one process on the joined batch, for every objective.

Tolerance 1e-6 of the largest entry: the ranks add the same fp32 numbers in another order. Where
exp(S / tau) or a noise probability multiplies such a difference, 1e-5.
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

from tests.support.embeddings import Pairs, assert_equal_to, random_pairs
from vlsuite.objectives import gather, registry
from vlsuite.objectives.contrastive import ContrastiveObjective
from vlsuite.objectives.pair_division import DivisionConfig
from vlsuite.objectives.pair_keys import PairKeys

# 16 random pairs show no evidence of wrong ones; the division compared must not abstain
_DIVISION = DivisionConfig(warmup_epochs=0.5, fit_every=1.0, min_share=0.0, clear_separation=0.0)
SETTINGS: dict[str, dict] = {
    "clip": {"tile_size": 3},
    "siglip": {"tile_size": 3},
    "label_smoothing": {},
    "triplet": {},
    "kl_robust": {},
    "elr": {"init_logit_scale": 5.0},
    "isogclr": {"tau": 0.05},
    "rde": {"tau": 0.05, "division": _DIVISION},
    "nitc": {"division": _DIVISION},
}
NAMES = list(SETTINGS)
TOLERANCES = dict.fromkeys(["kl_robust", "elr", "isogclr", "rde", "nitc"], 1e-5)
LOCAL_BATCHES = [8, 5]


class RankCase(NamedTuple):
    """One run of an objective on this rank: results, or the error it raised."""

    name: str
    local_batch: int
    frozen_images: bool


CASES = [RankCase(n, b, frozen) for n in NAMES for b in LOCAL_BATCHES for frozen in (False, True)]


def joined_pairs(case: RankCase, num_ranks: int) -> Pairs:
    pairs = random_pairs(case.local_batch * num_ranks, 6, seed=case.local_batch)
    return Pairs(pairs.images.detach(), pairs.texts) if case.frozen_images else pairs


def joined_keys(case: RankCase, num_ranks: int) -> PairKeys:
    """The last pair of the first rank and the first of the second show the same."""
    count, local = case.local_batch * num_ranks, case.local_batch
    identities = torch.arange(count)
    identities[local] = local - 1
    return PairKeys(torch.arange(count) * 7 - 20, identities)


def visited(case: RankCase, pairs: Pairs, keys: PairKeys) -> ContrastiveObjective:
    """An objective that saw the pairs once, in another view, and then fitted its division."""
    objective = registry.get(case.name)(**SETTINGS[case.name]).build()
    objective.begin_step(0.0)
    objective(pairs.images.detach(), (pairs.texts * 0.9 + 0.1 * pairs.images).detach(), keys)
    objective.begin_step(1.0)
    return objective


def run_case(case: RankCase, pairs: Pairs, keys: PairKeys) -> tuple[list[Tensor], dict]:
    """Loss and gradients of the second visit, and what the objective remembers then."""
    objective = visited(case, pairs, keys)
    sides = [pairs.texts] if case.frozen_images else list(pairs)
    learned = [p for p in objective.parameters() if p.requires_grad]
    total = objective(*pairs, keys).total
    found = [total.detach(), *torch.autograd.grad(total, [*sides, *learned])]
    return found, objective.memory()


def uneven_error(rank: int) -> str:
    """What a rank says whose batch differs in length from the others'."""
    objective = registry.get("clip")(tile_size=3).build()
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
    results, memories = [], []
    for case in CASES:
        mine = slice(rank * case.local_batch, (rank + 1) * case.local_batch)
        joined = joined_pairs(case, num_ranks)
        local = Pairs(*(v.detach()[mine].requires_grad_(v.requires_grad) for v in joined))
        keys = PairKeys(*(v[mine] for v in joined_keys(case, num_ranks)))
        found, memory = run_case(case, local, keys)
        results.append(found)
        memories.append(memory)
        objective = visited(case, local, keys)
        with torch.no_grad():
            total = objective(*local, keys).total
        if case.name != "elr":  # which remembers only what it learns from
            assert_equal_to([total], found[:1], tolerance=1e-6)
    told = {"results": results, "memories": memories, "uneven": uneven_error(rank)}
    torch.save(told, f"{folder}/{rank}.pt")
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


BY_NUMBER = pytest.mark.parametrize(
    "number", range(len(CASES)), ids=[str(tuple(case)) for case in CASES]
)


@BY_NUMBER
def test_ranks_equal_one_process_on_the_joined_batch(ranks, number):
    case = CASES[number]
    expected, _ = run_case(case, joined_pairs(case, len(ranks)), joined_keys(case, len(ranks)))
    tolerance = TOLERANCES.get(case.name, 1e-6)
    num_sides = 1 if case.frozen_images else 2
    per_rank = [rank["results"][number] for rank in ranks]
    sides = [torch.cat([result[1 + side] for result in per_rank]) for side in range(num_sides)]
    assert_equal_to(sides, expected[1 : 1 + num_sides], tolerance=tolerance)
    for result in per_rank:
        scalars = [result[0], *result[1 + num_sides :]]
        wanted = [expected[0], *expected[1 + num_sides :]]
        assert_equal_to(scalars, wanted, tolerance=tolerance)


@BY_NUMBER
def test_ranks_remember_the_same_pairs_as_one_process(ranks, number):
    case = CASES[number]
    _, expected = run_case(case, joined_pairs(case, len(ranks)), joined_keys(case, len(ranks)))
    for rank in ranks:
        memory = rank["memories"][number]
        assert memory.keys() == expected.keys()
        for name, value in expected.items():
            first = ranks[0]["memories"][number][name]
            assert torch.equal(memory[name].isnan(), first.isnan())
            assert torch.equal(memory[name].nan_to_num(), first.nan_to_num())
            exact = not value.is_floating_point()
            bound = {"atol": 0, "rtol": 0} if exact else {"atol": 1e-5, "rtol": 5e-5}
            torch.testing.assert_close(memory[name], value, equal_nan=True, **bound)


@pytest.mark.parametrize("name", ["rde", "nitc"])
def test_the_division_compared_is_one(name):
    """The cases above would show little if no mixture had been found."""
    case = RankCase(name, 8, False)
    objective = visited(case, joined_pairs(case, 2), joined_keys(case, 2))
    assert max(objective.noise_probabilities().values()) > 0
    assert not objective.memory()["mixtures"].isnan().any()


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
