"""Populations of shares, means and differences whose true figure is known."""

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from eval.metrics.effective_trials import POSITIVE, SHARE, Bounds, Limits
from eval.metrics.intervals import per_class_score, wilson_limits, wilson_score
from eval.metrics.mean_intervals import difference_of_shares_limits, mean_limits
from eval.metrics.paired import paired_shares
from eval.metrics.unpaired import independent_difference

Generator = np.random.Generator
Draw = Callable[[Generator, int], np.ndarray]

#: Divisors of the number of samples: a few milliseconds each, or resampling.
MIDDLING, SLOW = 2, 5

_MANY = 1_000_000


class Case(NamedTuple):
    """Scores on one population.

    Attributes:
        population: what they are measured on.
        truths: of endless images (or as a score's method says), by the name of the score.
        limits: of a sample of so many images, by the same names.
        sizes: where the score exists.
        samples_over: the number of samples is divided by it; more for slower intervals.
    """

    population: str
    truths: Mapping[str, float]
    limits: Callable[[Generator, int], Mapping[str, Limits]]
    sizes: tuple[int, ...]
    samples_over: int = 1


def case(
    score: str,
    population: str,
    truth: float,
    limits: Callable[[Generator, int], Limits],
    sizes: tuple[int, ...] = (5, 30, 200, 2000),
    samples_over: int = 1,
) -> Case:
    """A ``Case`` of one score."""
    return Case(
        population, {score: truth}, lambda rng, n: {score: limits(rng, n)}, sizes, samples_over
    )


def shares() -> Iterator[Case]:
    """Accuracy, recall with one caption an image, flip rates."""
    known = lru_cache(maxsize=None)(wilson_limits)
    for p in (0.5, 0.8, 0.95, 0.99, 0.999, 1.0):

        def limits(rng: Generator, n: int, p: float = p) -> Limits:
            return known(int(rng.binomial(n, p)), n)

        yield case("share", f"p = {p:g}", p, limits)


def means() -> Iterator[Case]:
    """VQA, reciprocal ranks, ROUGE, CIDEr-D, cosines, NLL, captions of one image together."""
    kinds: list[tuple[str, str, Bounds, Draw]] = [
        ("mean of shares", "VQA accuracy", SHARE, _vqa),
        ("mean of shares", "reciprocal rank, most 1", SHARE, lambda r, n: 1 / r.geometric(0.9, n)),
        ("mean of shares", "reciprocal rank, few 1", SHARE, lambda r, n: 1 / r.geometric(0.1, n)),
        ("mean of shares", "ROUGE-L", SHARE, lambda r, n: r.beta(4, 5, n)),
        ("mean of shares", "near-perfect", SHARE, lambda r, n: 1 - 0.3 * (r.random(n) < 0.02)),
        (
            "mean of numbers",
            "CIDEr-D",
            (0.0, 10.0),
            lambda r, n: np.minimum(r.gamma(1.2, 0.7, n), 10),
        ),
        ("mean of numbers", "cosine", (-1.0, 1.0), lambda r, n: 1 - r.gamma(1.5, 0.02, n)),
        ("mean of numbers", "NLL", POSITIVE, lambda r, n: r.gamma(0.7, 1.5, n)),
        ("mean of numbers", "no bounds", None, lambda r, n: r.normal(1, 2, n)),
    ]
    for score, name, bounds, draw in kinds:
        truth = float(draw(np.random.default_rng(99), _MANY).mean())

        def limits(rng: Generator, n: int, draw: Draw = draw, bounds: Bounds = bounds) -> Limits:
            return mean_limits(draw(rng, n).astype(float), np.arange(n), bounds=bounds, seed=0)

        yield case(score, name, truth, limits, samples_over=SLOW)
    for name, p, share_alike in (
        ("5 captions, half alike, p = 0.5", 0.5, 0.5),
        ("5 captions, half alike, p = 0.97", 0.97, 0.5),
        ("5 captions, all alike, p = 0.3", 0.3, 1.0),
        ("1 to 5 captions, p = 0.7", 0.7, 0.5),
    ):
        uneven = name.startswith("1 to")

        def clustered(
            rng: Generator, n: int, p: float = p, alike: float = share_alike, u: bool = uneven
        ) -> Limits:
            hits, owners = _captions(rng, n, p, alike, u)
            return mean_limits(hits, owners, bounds=SHARE, seed=0)

        yield case("share over clusters", name, p, clustered, samples_over=SLOW)


def differences() -> Iterator[Case]:
    """Two models on the same images, or on other ones."""
    for gain, loss in ((0.0, 0.0), (0.01, 0.0), (0.02, 0.01), (0.1, 0.1), (0.3, 0.2)):
        name = f"gains {gain:g}, losses {loss:g}"

        def paired(rng: Generator, n: int, gain: float = gain, loss: float = loss) -> Limits:
            kind = rng.random(n)
            first = (kind < gain) | (kind > 0.6)
            second = ((kind >= gain) & (kind < gain + loss)) | (kind > 0.6)
            found = paired_shares(first, second).difference
            return Limits(found.low, found.high, found.method)

        def apart(rng: Generator, n: int, gain: float = gain, loss: float = loss) -> Limits:
            kind = rng.random(n)
            values = (kind < gain) * 1.0 - ((kind >= gain) & (kind < gain + loss))
            return difference_of_shares_limits(values, np.arange(n))

        yield case("paired difference of shares", name, gain - loss, paired)
        yield case("paired difference of means", name, gain - loss, apart)

    def by_caption(rng: Generator, n: int) -> Limits:
        first, owners = _captions(rng, n, 0.75, 0.6, False)
        keep = rng.random(len(first))
        second = np.where(keep < 0.7, first, rng.random(len(first)) < 0.75)
        return difference_of_shares_limits(first - second, owners)

    yield case("paired difference of means", "5 captions an image", 0.0, by_caption)
    for p, q in ((0.7, 0.6), (1.0, 0.95), (0.99, 0.5)):

        def other_images(rng: Generator, n: int, p: float = p, q: float = q) -> Limits:
            found = independent_difference(*(wilson_score(rng.random(n) < own) for own in (p, q)))
            return Limits(found.low, found.high, found.method)

        yield case("difference on other images", f"{p:g} and {q:g}", p - q, other_images)


def recalls() -> Iterator[Case]:
    """Mean per-class recall."""
    for name, recall in (
        ("10 classes, all 0.9", np.full(10, 0.9)),
        ("10 classes, 0.2 to 1", np.linspace(0.2, 1.0, 10)),
        ("3 classes, near-perfect", np.array([1.0, 1.0, 0.97])),
        ("3 classes, one of two images", np.array([0.9, 0.7, 0.5])),
    ):
        few = "two images" in name

        def limits(rng: Generator, n: int, recall: np.ndarray = recall, few: bool = few) -> Limits:
            labels = np.arange(n) % len(recall)
            if few:
                labels = np.where(np.arange(n) < 2, 2, np.arange(n) % 2)
            hits = rng.random(n) < recall[labels]
            found = per_class_score(hits, labels, seed=0)
            return Limits(found.low, found.high, found.method)

        sizes = (5, 30, 200, 2000) if len(recall) == 3 else (30, 200, 2000)
        yield case("mean per-class recall", name, float(recall.mean()), limits, sizes)


def _vqa(rng: Generator, n: int) -> np.ndarray:
    return rng.choice([0, 0.3, 0.6, 0.9, 1], p=[0.4, 0.1, 0.1, 0.1, 0.3], size=n)


def _captions(
    rng: Generator, n: int, p: float, alike: float, uneven: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Hits of captions; some are that of their image, the others their own."""
    counts = rng.integers(1, 6, size=n) if uneven else np.full(n, 5)
    owners = np.repeat(np.arange(n), counts)
    of_image = rng.random(n) < p
    own = rng.random(len(owners)) < p
    is_alike = rng.random(len(owners)) < alike
    return np.where(is_alike, of_image[owners], own).astype(float), owners
