"""Several models on the same benchmarks: what each reached, and what is known of their difference.

Two results are compared image by image where both were measured on the same revision of a data
set and kept what each image adds (or, of figures that are no means, the same resamples of the
images); otherwise only the two intervals stand side by side.

Many comparisons find differences by chance. Their p values are corrected (Holm) within families:
all paired differences of one model to the first, over every benchmark, data set and score of the
comparison; and, one factor at a time, all rows of the same two models.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data_pipelines.bounded_json import read_json
from eval.errors import EvaluationError
from eval.influence_factors import INFLUENCES, UNKNOWN
from eval.metrics.paired import (
    PairedDifference,
    paired_resamples,
    paired_shares,
    paired_units,
)
from eval.metrics.several_tests import LEVEL, holm
from eval.report.record import read_run, settings_of
from eval.results import EvalResult, Score


class Side(NamedTuple):
    """One model with all its results.

    Attributes:
        name: of the model.
        results: its results, sorted.
        remarks: what could not be read.
        settings: of its training, by dotted name; empty where no run folder is known.
    """

    name: str
    results: tuple[EvalResult, ...]
    remarks: tuple[str, ...]
    settings: Mapping[str, str] = {}

    @property
    def influences(self) -> dict[str, str]:
        """What the model is made of; prompts joined where benchmarks were asked differently."""
        joined: dict[str, str] = {}
        for name in INFLUENCES:
            values = [r.influences.get(name, UNKNOWN) for r in self.results]
            known = [value for value in dict.fromkeys(values) if value != "none"]
            joined[name] = "; ".join(known) or "none"
        return joined


class Subject(NamedTuple):
    """What is compared: one score of one benchmark on one data set."""

    benchmark: str
    dataset: str
    split: str
    score: str


class Comparison(NamedTuple):
    """One subject over all models.

    Attributes:
        scores: of each model, None where it was not measured.
        chance: level of guessing, None where there is none.
        against_first: paired difference of each model to the first; None where there are no
            pairs (another revision of the data, nothing kept by image, or the first model itself).
        corrected: p value of each, corrected for all scores of that model.
    """

    subject: Subject
    scores: tuple[Score | None, ...]
    chance: float | None
    against_first: tuple[PairedDifference | None, ...]
    corrected: tuple[float | None, ...] = ()

    def is_marked(self, i: int) -> bool:
        """Whether model ``i`` differs from the first after the correction."""
        own = self.corrected[i] if self.corrected else None
        return own is not None and own <= LEVEL


class Controlled(NamedTuple):
    """Two models that differ in one influence factor alone.

    Attributes:
        factor: the one that differs.
        first, second: names of the models; values of the factor behind them.
        difference: first minus second.
        corrected: its p value, corrected for all rows of the two models.
    """

    factor: str
    first: tuple[str, str]
    second: tuple[str, str]
    subject: Subject
    difference: PairedDifference
    corrected: float = 1.0


def read_side(folder: Path, *, model: str | None = None) -> Side:
    """Results of one model in a folder of results or a run folder.

    Args:
        model: the one wanted where the folder holds several.
    Raises:
        EvaluationError: no results, or those of several models and none chosen.
    """
    if not folder.is_dir():
        raise EvaluationError(
            f"{folder} is no folder of results; evaluate the model first, or give --data PATH"
        )
    record = read_run(folder)
    results = tuple(r for r in record.results if model in (None, r.model))
    names = sorted({result.model for result in results})
    if not results:
        raise EvaluationError(
            f"no results{f' of {model}' if model else ''} in {folder}; run 'vlsuite eval' first, "
            "or give --data PATH"
        )
    if len(names) > 1:
        raise EvaluationError(
            f"{folder} holds results of {len(names)} models ({', '.join(names[:3])}); "
            "give each model a folder of its own"
        )
    settings = settings_of(record.config) or _settings_of_run(names[0])
    return Side(names[0], results, tuple(record.remarks), settings)


def _settings_of_run(model: str) -> dict[str, str]:
    """Of a model that is called by its run folder."""
    path = Path(model) / "config.json"
    if not path.is_file():
        return {}
    try:
        stored = read_json(path)
    except (OSError, ValueError):
        return {}
    return settings_of(stored) if isinstance(stored, dict) else {}


def differing(sides: Sequence[Side]) -> dict[str, list[str]]:
    """Settings that are not the same in all models whose settings are known, by name."""
    known = [side.settings for side in sides if side.settings]
    if len(known) < 2:
        return {}
    names = dict.fromkeys(name for settings in known for name in settings)
    return {
        name: [side.settings.get(name, "-") if side.settings else "unknown" for side in sides]
        for name in names
        if len({settings.get(name) for settings in known}) > 1
    }


def told_apart(sides: Sequence[Side], folders: Sequence[str]) -> list[Side]:
    """The sides, those with a model in common called by model and folder."""
    names = [side.name for side in sides]
    return [
        side._replace(name=f"{side.name} ({folder})") if names.count(side.name) > 1 else side
        for side, folder in zip(sides, folders, strict=True)
    ]


def compare(sides: Sequence[Side]) -> list[Comparison]:
    """Every score that at least two of the models have, in the order of the first results.

    Raises:
        EvaluationError: there is none.
    """
    found = [{_key(result): result for result in side.results} for side in sides]
    keys = dict.fromkeys(key for results in found for key in results)
    comparisons = []
    for key in keys:
        results = [one.get(key) for one in found]
        names = dict.fromkeys(name for r in results if r is not None for name in r.scores)
        for name in names:
            scores = tuple(r.scores.get(name) if r is not None else None for r in results)
            if sum(score is not None for score in scores) > 1:
                comparisons.append(_comparison(Subject(*key, name), scores, results))
    if not comparisons:
        raise EvaluationError(
            "the models have no result in common (benchmark, data set and split); "
            "evaluate them on the same data: vlsuite eval compare A B --data PATH"
        )
    return _corrected(comparisons, len(sides))


def _corrected(comparisons: list[Comparison], num_sides: int) -> list[Comparison]:
    columns: list[list[float | None]] = []
    for i in range(num_sides):
        pairs = [comparison.against_first[i] for comparison in comparisons]
        found = iter(holm([pair.p_value for pair in pairs if pair is not None]))
        columns.append([None if pair is None else next(found) for pair in pairs])
    rows = zip(*columns, strict=True)
    return [one._replace(corrected=row) for one, row in zip(comparisons, rows, strict=True)]


def controlled(sides: Sequence[Side], comparisons: Sequence[Comparison]) -> list[Controlled]:
    """Paired differences of models that differ in exactly one known influence factor."""
    pairs = []
    for one, two in combinations(range(len(sides)), 2):
        first, second = sides[one].influences, sides[two].influences
        differing = [name for name in INFLUENCES if first[name] != second[name]]
        if len(differing) != 1 or UNKNOWN in (*first.values(), *second.values()):
            continue
        factor = differing[0]
        own: list[Controlled] = []
        for comparison in comparisons:
            difference = _paired(
                _result(sides[one], comparison.subject),
                _result(sides[two], comparison.subject),
                comparison.subject.score,
            )
            if difference is not None:
                own.append(
                    Controlled(
                        factor,
                        (sides[one].name, first[factor]),
                        (sides[two].name, second[factor]),
                        comparison.subject,
                        difference,
                    )
                )
        corrected = holm([pair.difference.p_value for pair in own])
        pairs += [pair._replace(corrected=p) for pair, p in zip(own, corrected, strict=True)]
    return pairs


def excludes_zero(score: Score) -> bool:
    """Whether the interval of a difference lies on one side of zero."""
    return score.low > 0 or score.high < 0


def _key(result: EvalResult) -> tuple[str, str, str]:
    return result.benchmark, result.dataset, result.split


def _comparison(
    subject: Subject,
    scores: tuple[Score | None, ...],
    results: Sequence[EvalResult | None],
) -> Comparison:
    levels = [r.chance.get(subject.score) for r in results if r is not None]
    others = tuple(_paired(r, results[0], subject.score) for r in results[1:])
    return Comparison(subject, scores, levels[0], (None, *others))


def _result(side: Side, subject: Subject) -> EvalResult | None:
    key = (subject.benchmark, subject.dataset, subject.split)
    return next((result for result in side.results if _key(result) == key), None)


def _paired(
    first: EvalResult | None, second: EvalResult | None, score: str
) -> PairedDifference | None:
    """First minus second over the images that both scored."""
    if first is None or second is None:
        return None
    if first.origin.data_revision != second.origin.data_revision:
        return None
    if score in first.per_unit and score in second.per_unit:
        return _paired_units(first, second, score)
    if score in first.resampled and score in second.resampled:
        return _paired_resamples(first, second, score)
    if score not in first.per_image or score not in second.per_image:
        return None
    first_hits, first_scored = first.per_image[score].unpack()
    second_hits, second_scored = second.per_image[score].unpack()
    both = first_scored & second_scored
    if len(first_hits) != len(second_hits) or not both.any():
        return None
    return paired_shares(first_hits[both], second_hits[both])


def _paired_units(first: EvalResult, second: EvalResult, score: str) -> PairedDifference | None:
    """Over the images that both scored, as long as each has as many values on both sides."""
    one, two = first.per_unit[score], second.per_unit[score]
    (values, images), (others, other_images) = one.unpack(), two.unpack()
    common = np.intersect1d(images, other_images)
    mine, theirs = np.isin(images, common), np.isin(other_images, common)
    if not len(common) or not np.array_equal(images[mine], other_images[theirs]):
        return None
    most = None if one.most is None or two.most is None else max(one.most, two.most)
    unit = first.scores[score].unit
    return paired_units(
        values[mine],
        others[theirs],
        images[mine],
        most=most,
        unit="points" if unit == "share" else unit,
    )


def _paired_resamples(first: EvalResult, second: EvalResult, score: str) -> PairedDifference | None:
    """Resample by resample, as long as both drew the same images."""
    one, two = first.resampled[score], second.resampled[score]
    values, others = one.unpack(), two.unpack()
    if one.draws != two.draws or len(values) != len(others):
        return None
    return paired_resamples(
        (first.scores[score].value, values),
        (second.scores[score].value, others),
        units=min(one.units, two.units),
        n=first.scores[score].n,
    )
