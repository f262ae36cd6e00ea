"""Examples for reports: some queries with their best answers, drawn at random."""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from eval.metrics.ranking import best_entries
from eval.results import Example, Panel

ANSWERS_SHOWN = 5


class Side(NamedTuple):
    """Queries or answers: their embeddings, and how to show each of them."""

    embeds: Float[Tensor, "entries embed_dim"]
    show: Callable[[int], Panel]


def draw_examples(
    direction: str,
    queries: Side,
    answers: Side,
    *,
    right_answers: Callable[[int], list[int]],
    places: Int64[np.ndarray, " entries"],
    count: int,
    seed: int,
) -> tuple[Example, ...]:
    """Up to ``count`` queries with their first answers, in the order of the data set.

    Args:
        direction: see ``eval.results.Example``.
        right_answers: numbers of the answers that belong to a query, ascending, at least one.
        places: where each query ranks its best right answer; 0 is the top.
        seed: of the draw.
    """
    chosen = np.sort(np.random.default_rng(seed).permutation(len(places))[:count])
    if not len(chosen):
        return ()
    chosen_embeds = queries.embeds[torch.from_numpy(chosen)]
    best = best_entries(chosen_embeds, answers.embeds, count=ANSWERS_SHOWN).tolist()
    cosines = (chosen_embeds @ answers.embeds.T).cpu().numpy()

    def panel(row: int, answer: int, own: list[int]) -> Panel:
        return replace(
            answers.show(answer),
            similarity=round(float(cosines[row, answer]), 4),
            is_correct=answer in own,
        )

    examples = []
    for row, query in enumerate(chosen.tolist()):
        own = right_answers(query)
        nearest_own = own[int(np.argmax(cosines[row, own]))]
        examples.append(
            Example(
                direction,
                queries.show(query),
                tuple(panel(row, answer, own) for answer in best[row]),
                panel(row, nearest_own, own),
                int(places[query]) + 1,
            )
        )
    return tuple(examples)
