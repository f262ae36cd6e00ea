"""Which runs a study of mixtures is made of, and everything that decides their outcome."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from eval.errors import EvaluationError
from eval.studies.digest import digest_of
from vlsuite.batches.sequence import BLOCK


class Mixture(NamedTuple):
    """Shares of sources in the samples that a run sees.

    Attributes:
        shares: (source, share) of each, in the order of the study's sources; they add up to 1.
    """

    shares: tuple[tuple[str, float], ...]

    @classmethod
    def of(cls, weights: Mapping[str, float], order: Sequence[str]) -> "Mixture":
        """From weights in any unit.

        Args:
            order: of all sources.
        """
        total = math.fsum(weights.values())
        return cls(tuple((name, weights[name] / total) for name in order if name in weights))

    @property
    def name(self) -> str:
        """As tables have it: the source alone, or ``clipart 75 + stamps 25``."""
        if len(self.shares) == 1:
            return self.shares[0][0]
        return " + ".join(f"{name} {100 * share:.3g}" for name, share in self.shares)

    @property
    def folder(self) -> str:
        """The same as a file name."""
        return self.name.replace(" + ", "+").replace(" ", "-")

    @property
    def sources(self) -> tuple[str, ...]:
        """Names alone."""
        return tuple(name for name, _ in self.shares)


class Cell(NamedTuple):
    """One run: a mixture, from one seed."""

    mixture: Mixture
    seed: int

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{self.mixture.folder}-seed{self.seed}"


@dataclass(frozen=True, kw_only=True, slots=True)
class MixtureStudyConfig:
    """Settings that all runs share.

    Attributes:
        sources: shards of each source, by name; of each sample the first caption is used.
        tests: evaluation folders besides the held-out pairs of each source, by name: classes
            (accuracy among the class names) or captions (how often a picture finds its own).
        architecture: of the towers, which start from random weights.
        vocab_size: of the tokenizer, made from the training captions of all sources.
        samples: that each run sees, whatever its mixture.
        evaluations: of each run, evenly spread; each is a point that the lines are fitted to.
        batch_size: global batch.
        lr: peak learning rate.
        test_pairs: held out of each source; of fewer where a fifth of it are fewer, and then of
            each source so many, so that all galleries are equally hard.
        max_pairs: of each source, chosen by their ids; 0 uses all.
        picture_side: pictures are stored with this longest side in pixels; 0 leaves them alone.
        threads: of each run.
    """

    sources: dict[str, tuple[str, ...]]
    tests: dict[str, str] = field(default_factory=dict)
    architecture: str = "vlsuite-micro-32"
    vocab_size: int = 2048
    samples: int = 40_000
    evaluations: int = 8
    batch_size: int = 128
    lr: float = 1e-3
    test_pairs: int = 500
    max_pairs: int = 0
    picture_side: int = 40
    threads: int = 1

    def __post_init__(self) -> None:
        if not self.sources or not all(self.sources.values()):
            raise EvaluationError(
                "the study needs sources: NAME=SHARDS, and another NAME=SHARDS to mix them"
            )
        names = [*self.sources, *self.tests]
        if len(set(names)) < len(names) or not all(map(_is_name, names)):
            raise EvaluationError(
                f"sources and tests need different names of letters, digits, _ and -: {names}"
            )
        if self.samples < self.batch_size or min(self.evaluations, self.batch_size, self.lr) <= 0:
            raise EvaluationError(
                "samples must be a batch at least, and evaluations, batch_size and lr positive"
            )
        if self.test_pairs < 2:
            raise EvaluationError(f"test_pairs={self.test_pairs} must be 2 at least")

    @property
    def digest(self) -> str:
        """Of all settings that the outcome depends on."""
        return digest_of({**self.stored, "threads": None})

    @property
    def stored(self) -> dict[str, Any]:
        """As JSON has it."""
        sources = {name: list(shards) for name, shards in self.sources.items()}
        return {**asdict(self), "sources": sources}

    @property
    def test_names(self) -> tuple[str, ...]:
        """Named tests, then the held-out pairs of each source."""
        return (*self.tests, *self.sources)


def default_mixtures(sources: Sequence[str]) -> list[Mixture]:
    """Each source alone, every pair in equal shares, and all in equal shares."""
    alone = [{name: 1.0} for name in sources]
    pairs = [{a: 1.0, b: 1.0} for i, a in enumerate(sources) for b in sources[i + 1 :]]
    whole = [dict.fromkeys(sources, 1.0)] if len(sources) > 2 else []
    return [Mixture.of(weights, sources) for weights in (*alone, *pairs, *whole)]


def mixtures_of(text: str, sources: Sequence[str]) -> list[Mixture]:
    """Read "clipart,clipart:3+stamps:1": mixtures with commas between, weights behind colons.

    Raises:
        EvaluationError: it is of another form, or names other sources.
    """
    found = [Mixture.of(_weights(part, sources), sources) for part in text.split(",")]
    if len(set(found)) < len(found):
        raise EvaluationError(f"--mixtures {text} has a mixture twice; leave one of them out")
    return found


def cells_of(mixtures: Sequence[Mixture], num_seeds: int, *, first_seed: int = 0) -> list[Cell]:
    """All combinations; seeds outermost, so that a stopped study has whole tables of few seeds."""
    seeds = range(first_seed, first_seed + num_seeds)
    return [Cell(mixture, seed) for seed in seeds for mixture in mixtures]


def _weights(text: str, sources: Sequence[str]) -> dict[str, float]:
    weights: dict[str, float] = {}
    for part in text.split("+"):
        name, _, number = part.strip().partition(":")
        try:
            weight = float(number or 1)
        except ValueError:
            weight = math.nan
        if name not in sources or name in weights or not 0 < weight < math.inf:
            raise EvaluationError(
                f"--mixtures: '{part.strip()}' of '{text.strip()}' is no source with a weight; "
                f"write {sources[0]}:3+{sources[-1]}:1 (sources: {', '.join(sources)})"
            )
        weights[name] = weight
    if min(weights.values()) / math.fsum(weights.values()) * BLOCK < 1:
        raise EvaluationError(f"--mixtures: a share of '{text.strip()}' is below 1 in {BLOCK:,}")
    return weights


def _is_name(name: str) -> bool:
    return name.isascii() and name.replace("-", "_").replace("_", "a").isalnum()
