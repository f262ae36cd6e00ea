"""Exact places in a similarity ranking, without the ranking and without the full matrix.

The place of an entry is the number of entries ahead of it: those with a strictly greater score,
and those with an equal score and a lower number. Counting needs one pass over a slice of the
score matrix, no sorting, and breaks every tie the same way on every machine.

q = queries, g = gallery entries, d = embed_dim
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float, Int64
from torch import Tensor

#: Scores held at a time: 64 MiB as fp32.
SCORES_AT_A_TIME = 2**24


#: What is asked of scores [slice, g] of the queries from a number on: a row for each query.
Answer = Callable[[int, Tensor], Tensor]


def answers_of(
    query_embeds: Float[Tensor, "queries embed_dim"],
    gallery_embeds: Float[Tensor, "gallery embed_dim"],
    *answers: Answer,
    scores_at_a_time: int = SCORES_AT_A_TIME,
) -> tuple[Tensor, ...]:
    """Several answers from one pass: every score is computed once.

    Args:
        query_embeds: unit L2 norm.
        gallery_embeds: unit L2 norm.
        answers: ``to_targets``, ``to_best_own``, ``first_entries``, ``nearest_entry``.
    Returns:
        An answer each, a row for each query.
    """
    found: list[list[Tensor]] = [[] for _ in answers]
    for start, scores in score_slices(query_embeds, gallery_embeds, scores_at_a_time):
        for parts, answer in zip(found, answers, strict=True):
            parts.append(answer(start, scores))
    return tuple(map(torch.cat, found))


def to_targets(targets: Int64[Tensor, " queries"]) -> Answer:
    """See ``places_of_targets``."""

    def answer(start: int, scores: Tensor) -> Tensor:
        return _places(scores, targets[start : start + len(scores)])

    return answer


def to_best_own(owners: Int64[Tensor, " gallery"]) -> Answer:
    """See ``places_of_best_own``."""

    def answer(start: int, scores: Tensor) -> Tensor:
        queries = torch.arange(start, start + len(scores), device=scores.device)
        is_own = owners[None, :] == queries[:, None]
        own_scores = scores.masked_fill(~is_own, -torch.inf)
        return _places(scores, _first_best(own_scores, is_own))

    return answer


def first_entries(count: int) -> Answer:
    """See ``best_entries``."""

    def answer(start: int, scores: Tensor) -> Tensor:
        return torch.sort(scores, dim=1, descending=True, stable=True).indices[:, :count]

    return answer


def nearest_entry(start: int, scores: Float[Tensor, "slice gallery"]) -> Int64[Tensor, " slice"]:
    """The number of the nearest entry; of equally near ones the lowest. An ``Answer`` itself."""
    return _first_best(scores, None)


def places_of_targets(
    query_embeds: Float[Tensor, "queries embed_dim"],
    gallery_embeds: Float[Tensor, "gallery embed_dim"],
    targets: Int64[Tensor, " queries"],
    *,
    scores_at_a_time: int = SCORES_AT_A_TIME,
) -> Int64[Tensor, " queries"]:
    """Where each query ranks its own target in the gallery; 0 is the top.

    Args:
        query_embeds: unit L2 norm.
        gallery_embeds: unit L2 norm.
        targets: number of the gallery entry that belongs to each query, in [0, g).
    Returns:
        Entries ahead of the target, in [0, g).
    """
    answer = to_targets(targets)
    return answers_of(query_embeds, gallery_embeds, answer, scores_at_a_time=scores_at_a_time)[0]


def places_of_best_own(
    query_embeds: Float[Tensor, "queries embed_dim"],
    gallery_embeds: Float[Tensor, "gallery embed_dim"],
    owners: Int64[Tensor, " gallery"],
    *,
    scores_at_a_time: int = SCORES_AT_A_TIME,
) -> Int64[Tensor, " queries"]:
    """Where each query ranks the best of the gallery entries that belong to it; 0 is the top.

    A query is a hit at k (any of its own entries among the first k) exactly if its place is
    below k.

    Args:
        query_embeds: unit L2 norm.
        gallery_embeds: unit L2 norm.
        owners: number of the query that each gallery entry belongs to; every query owns some.
    Returns:
        Entries ahead of the best own one, in [0, g).
    """
    answer = to_best_own(owners)
    return answers_of(query_embeds, gallery_embeds, answer, scores_at_a_time=scores_at_a_time)[0]


def best_entries(
    query_embeds: Float[Tensor, "queries embed_dim"],
    gallery_embeds: Float[Tensor, "gallery embed_dim"],
    *,
    count: int,
) -> Int64[Tensor, "queries count"]:
    """Numbers of the first ``count`` entries of each query's ranking (fewer if g is smaller).

    Meant for a few queries: their rankings are sorted as a whole.
    """
    return answers_of(query_embeds, gallery_embeds, first_entries(count))[0]


def score_slices(
    query_embeds: Tensor, gallery_embeds: Tensor, scores_at_a_time: int
) -> Iterator[tuple[int, Tensor]]:
    """First query and scores [slice, g] of each slice of queries.

    Equal gallery rows are multiplied once: a matrix product may round the same row differently
    in different columns, which would turn a tie into an order.
    """
    distinct, number = torch.unique(gallery_embeds, dim=0, return_inverse=True)
    has_equals = len(distinct) < len(gallery_embeds)
    factors = distinct if has_equals else gallery_embeds
    step = max(1, scores_at_a_time // len(gallery_embeds))
    for start in range(0, len(query_embeds), step):
        scores = _product(query_embeds[start : start + step].to(factors.device), factors)
        yield start, scores[:, number] if has_equals else scores


@contextmanager
def full_precision() -> Iterator[None]:
    """Matrix products of fp32 without TF32 inside the block; the setting comes back after it."""
    allowed = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = allowed


def _product(
    query_embeds: Float[Tensor, "queries embed_dim"], factors: Float[Tensor, "factors embed_dim"]
) -> Float[Tensor, "queries factors"]:
    """Cosines in full fp32: training lets GPUs round factors to TF32, which swaps neighbours."""
    with full_precision():
        return query_embeds @ factors.T


def _first_best(scores: Tensor, among: Tensor | None) -> Tensor:
    """Lowest number of the entries with the greatest score, of those among which it is sought."""
    is_best = scores == scores.amax(dim=1, keepdim=True)
    if among is not None:
        is_best &= among
    # argmax of 0/1 values gives no promise on ties, the smallest number does.
    numbers = torch.arange(scores.shape[1], device=scores.device)
    return torch.where(is_best, numbers, scores.shape[1]).amin(dim=1)


def _places(
    scores: Float[Tensor, "queries gallery"], targets: Int64[Tensor, " queries"]
) -> Int64[Tensor, " queries"]:
    own = scores.gather(1, targets[:, None])
    numbers = torch.arange(scores.shape[1], device=scores.device)
    tied_before = (scores == own) & (numbers < targets[:, None])
    return torch.count_nonzero((scores > own) | tied_before, dim=1)
