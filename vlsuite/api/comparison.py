"""Several models on the same benchmarks, side by side."""

import os
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from eval.process_group import ranks
from eval.report.compare import DATA, PAGE, Written, build_comparison
from eval.report.sides import Side, read_side, told_apart
from eval.results import EvalResult, file_name_part
from vlsuite.api.evaluation import Names, evaluate, pictures_behind
from vlsuite.api.several import folder as own_folder
from vlsuite.api.several import names
from vlsuite.errors import ConfigError

FOLDER = "comparison"


def compare(
    models: Iterable[Any],
    data: Names = (),
    *,
    out: str | PathLike = FOLDER,
    seed: int = 0,
    **settings: Any,
) -> Written:
    """Put models side by side: one page, one JSON file, and a table as text.

    Args:
        models: two or more; the first is the one the others are measured against. Without
            ``data`` each is a folder of finished results, or results of ``vlsuite.evaluate``;
            with ``data`` a name or an object as ``vlsuite.evaluate`` takes it.
        data: what to measure them on first; results go to ``out``/results.
        out: folder to write.
        seed: of intervals and draws.
        settings: of ``vlsuite.evaluate``, such as tasks, options or class_names.
    Returns:
        ``text`` (the table), ``page`` and ``data`` (the files). Of several processes only the
        first writes and has a text.
    Raises:
        ConfigError: fewer than two models, one twice, or settings without data.
        EvaluationError: no result in common, or see ``vlsuite.evaluate``.

    Example::

        print(vlsuite.compare(["runs/a", "runs/b"]).text)
        vlsuite.compare(["runs/a", "ViT-B-32:openai"], "data/emoji", tasks="zero_shot", out="ab")
    """
    given, pictures = _listed(models), {}
    if len(given) < 2:
        raise ConfigError("compare needs two models or results at least, as in compare([A, B])")
    folder, paths = own_folder(out, "out"), names(data, "data")
    if paths:
        sides = _measured(given, paths, folder / "results", seed=seed, settings=settings)
        pictures = pictures_behind(paths, settings)
    elif settings:
        raise ConfigError(
            f"compare without data measures nothing, so {', '.join(settings)} would be passed "
            "over; give data, or leave it out"
        )
    else:
        sides = told_apart([_finished(one) for one in given], _labels(given))
    if ranks().rank:
        return Written("", folder / PAGE, folder / DATA)
    return build_comparison(sides, folder, seed=seed, pictures=pictures)


def _listed(models: Any) -> list[Any]:
    if isinstance(models, str | PathLike) or not isinstance(models, Iterable):
        return list(names(models, "models"))
    return list(models)


def refuse_shared_files(models: Sequence[str]) -> None:
    """Results of models whose names make one file name would replace each other.

    Raises:
        ConfigError: two of them do.
    """
    parts = [file_name_part(name) for name in models]
    shared = [name for name, part in zip(models, parts, strict=True) if parts.count(part) > 1]
    if shared:
        raise ConfigError(
            f"results of {' and '.join(shared)} would have the same file names; rename one of them"
        )


def _measured(
    models: Sequence[Any],
    data: tuple[str, ...],
    out: Path,
    *,
    seed: int,
    settings: Mapping[str, Any],
) -> list[Side]:
    called = [_called(model, place) for place, model in enumerate(models)]
    refuse_shared_files(called)
    for model in models:
        evaluate(model, data, out=out, seed=seed, **settings)
    return [read_side(out, model=name) for name in called] if not ranks().rank else []


def _called(model: Any, place: int) -> str:
    if isinstance(model, str | PathLike):
        return os.fspath(model)
    if not hasattr(model, "name"):
        raise ConfigError(
            f"models[{place}] is a {type(model).__name__}; give names of models, or objects with a "
            "name as eval.contract describes them"
        )
    return str(model.name)


def _finished(given: Any) -> Side:
    """Results of one model, from their folder or as they are."""
    if isinstance(given, str | PathLike):
        return read_side(Path(given))
    results = list(given) if isinstance(given, Iterable) else []
    of_models = sorted({result.model for result in results if isinstance(result, EvalResult)})
    if len(of_models) != 1 or not all(isinstance(result, EvalResult) for result in results):
        raise ConfigError(
            f"compare without data takes folders of results, or the results of one model each, "
            f"not a {type(given).__name__} of {len(of_models)} models; give data to measure models"
        )
    return Side(of_models[0], tuple(results), ())


def _labels(given: Sequence[Any]) -> list[str]:
    return [
        os.fspath(one) if isinstance(one, str | PathLike) else f"number {place}"
        for place, one in enumerate(given, start=1)
    ]
