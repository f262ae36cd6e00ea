"""Paths in the settings of a run that hold wherever it is continued from."""

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from vlsuite.batches.caption_names import OWN
from vlsuite.batches.subsets import WHOLE
from vlsuite.engine.config import TrainConfig

#: Settings that may be a path or the name of something published: a path where there is one.
_OF_MODEL = (
    "tokenizer", "pretrained", "pretrained_like", "language_model", "concepts",
    "vocabulary", "regions", "localizer",
)  # fmt: skip


def with_absolute_paths(config: TrainConfig) -> TrainConfig:
    """The settings with relative paths seen from the working folder; others stay as they are.

    Patterns of shards become absolute whether shards are there or not; addresses never.
    """
    data = dataclasses.replace(
        config.data,
        train=_absolute_all(config.data.train),
        subset=_of_subsets(config.data.subset),
        captions=tuple(one if one == OWN else _absolute(one) for one in config.data.captions),
        cache_dir=config.data.cache_dir and _absolute(config.data.cache_dir),
        concepts=config.data.concepts and _absolute(config.data.concepts),
        image_tokens=config.data.image_tokens and _absolute(config.data.image_tokens),
    )
    validation = dataclasses.replace(
        config.validation,
        data=tuple(_of_task(path) for path in config.validation.data),
        subset=_of_subsets(config.validation.subset),
    )
    return dataclasses.replace(
        config,
        model=_model(config.model),
        data=data,
        validation=validation,
        deepspeed=_if_there(config.deepspeed) if "/" in config.deepspeed else config.deepspeed,
    )


def _model(model: Any) -> Any:
    named = {f.name for f in dataclasses.fields(model) if f.init and f.name in _OF_MODEL}
    given = {name: getattr(model, name) for name in named}
    found = {name: _each_if_there(value) for name, value in given.items()}
    changed = {name: value for name, value in found.items() if value != given[name]}
    return dataclasses.replace(model, **changed) if changed else model


def _absolute_all(paths: Iterable[str]) -> tuple[str, ...]:
    return tuple(_absolute(path) for path in paths)


def _absolute(path: str) -> str:
    # what is refused later keeps its own words: addresses, programs and empty paths
    if not path or ":" in path or path.startswith("~"):
        return path
    return str(Path(path).absolute())


def _of_subsets(files: Iterable[str]) -> tuple[str, ...]:
    return tuple(one if one == WHOLE else _absolute(one) for one in files)


def _of_task(path: str) -> str:
    """Of "PATH" or "TASK=PATH"."""
    task, equals, rest = path.partition("=")
    if equals and not Path(path).exists():
        return f"{task}={_if_there(rest)}"
    return _if_there(path)


def _each_if_there(value: Any) -> Any:
    """Of a path or several; anything else stays as it is."""
    if isinstance(value, tuple):
        return tuple(map(_each_if_there, value))
    return _if_there(value) if isinstance(value, str) else value


def _if_there(path: str) -> str:
    """Absolute where something is at it; names of published things are no paths."""
    return _absolute(path) if path and Path(path).exists() else path
