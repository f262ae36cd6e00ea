"""Pictures on which two models disagree, and what each of them said."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int64

from eval.class_answers import ClassAnswers, of_details
from eval.data.dataset import EvalDataset
from eval.report.sides import Side
from eval.report.thumbnails import thumbnail
from eval.results import EvalResult

#: Pictures of each data set and direction.
SHOWN = 8

#: By revision of a data set: its pictures, encoded, by their number in it.
Pictures = Mapping[str, Callable[[int], bytes]]


class Disagreement(NamedTuple):
    """One picture, None where it is not at hand: right class, and what the two models said."""

    image: str | None
    right: str
    first: str
    second: str


class Disagreements(NamedTuple):
    """One direction on one data set."""

    title: str
    summary: str
    examples: tuple[Disagreement, ...]


def pictures_of(benchmarks: Iterable[Any]) -> Pictures:
    """The pictures of the data sets behind some benchmarks."""
    datasets = (getattr(benchmark, "dataset", None) for benchmark in benchmarks)
    return {one.revision: one.images.read for one in datasets if isinstance(one, EvalDataset)}


def disagreements(
    sides: Sequence[Side], pictures: Pictures, *, seed: int
) -> Iterator[Disagreements]:
    """Pictures that the first model and another name differently, one of them rightly.

    Drawn at random from all of them. Results from before answers were kept are passed over.
    """
    first = sides[0]
    for result in first.results:
        read = pictures.get(result.origin.data_revision)
        mine = of_details(result.details)
        if mine is None:
            continue
        for other in sides[1:]:
            theirs = answers_to_same(other, result)
            if theirs is None or theirs.names != mine.names:
                continue
            _, one, two = np.intersect1d(mine.images, theirs.images, return_indices=True)
            is_right = (mine.given == mine.right)[one], (theirs.given == theirs.right)[two]
            for winner, loser, rows in (
                (first.name, other.name, np.flatnonzero(is_right[0] & ~is_right[1])),
                (other.name, first.name, np.flatnonzero(~is_right[0] & is_right[1])),
            ):
                chosen = _drawn(rows, seed)
                examples = (
                    Disagreement(
                        None if read is None else thumbnail(read(int(mine.images[one[row]]))),
                        mine.names[mine.right[one[row]]],
                        mine.names[mine.given[one[row]]],
                        mine.names[theirs.given[two[row]]],
                    )
                    for row in chosen
                )
                yield Disagreements(
                    f"{result.dataset} ({result.split}): {winner} is right, {loser} is not",
                    f"{len(rows):,} of {len(one):,} images; {len(chosen)} of them at random",
                    tuple(examples),
                )


def answers_to_same(side: Side, like: EvalResult) -> ClassAnswers | None:
    """Those of another model to the same questions, None where it was not asked them."""
    for result in side.results:
        if (
            result.benchmark == like.benchmark
            and result.origin.data_revision == like.origin.data_revision
        ):
            return of_details(result.details)
    return None


def _drawn(rows: Int64[np.ndarray, " rows"], seed: int) -> list[int]:
    chosen = np.random.default_rng(seed).permutation(len(rows))[:SHOWN]
    return rows[np.sort(chosen)].tolist()
