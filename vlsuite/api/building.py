"""Shards written from a source, as ``vlsuite data build`` does."""

from collections.abc import Callable, Iterable
from dataclasses import MISSING, fields, is_dataclass, replace
from os import PathLike
from typing import Any, get_type_hints

from data_pipelines.options import former_flags, renewed
from data_pipelines.shards.manifest import Manifest, Origin
from data_pipelines.sources.source import (
    Source,
    Target,
    command_line,
    own_split,
    refuse_unused_holdout,
    sources,
)
from vlsuite.api.setting_values import converted, refuse_unknown
from vlsuite.api.several import folder
from vlsuite.errors import ConfigError


def build_shards(
    source: str | Source,
    /,
    out: str | PathLike,
    *,
    layout: str = "pairs",
    overwrite: bool = False,
    shard_samples: int | None = None,
    holdout: float = 0.0,
    licence: str = "not stated",
    attribution: str = "",
    **options: Any,
) -> Manifest:
    """Write WebDataset shards from a source.

    Args:
        source: its name, as ``vlsuite data build --help`` lists them, or a source of one's own.
        out: folder to write.
        layout: "pairs" for training, "benchmark" for evaluation.
        overwrite: whether a set that vlsuite wrote there is replaced.
        shard_samples: samples of one shard at most; None takes the source's own choice.
        holdout: share of the pictures that is kept apart, by content: ``train`` and ``holdout`` are
            then written in ``out``. 0 for none.
        licence, attribution: recorded in the manifest.
        options: of a source that is named, as ``vlsuite data build SOURCE --help`` lists them,
            with underscores, its input by the name that stands there in capitals (table=...,
            folder=...; path=... of videos); "split" names the split of the layout "benchmark".
    Returns:
        The manifest: shards, sizes, what was left out and why; with a holdout, of ``train``.
    Raises:
        UnknownNameError: no such source; the message has the closest names.
        ConfigError: an option that is unknown (the message has the closest one), missing or of a
            wrong type.
        DataError: a source or a folder that cannot be used.

    Example::

        vlsuite.build_shards("emoji", out="data/emoji")
        vlsuite.build_shards("table", out="data/own", table="pairs.csv", image_column="file")
    """
    if isinstance(source, str):
        name, chosen = source, _made(source, options)
        command = command_line(name, chosen)
    elif not is_dataclass(source) or isinstance(source, type):
        raise ConfigError(
            f"source is a {type(source).__name__}; give a source of your own, or a name: "
            f"{', '.join(sources.names())}"
        )
    else:
        refuse_unknown(options, ("split",), what="option of a source of one's own")
        name, chosen = type(source).__name__, source
        command = f"{type(source).__module__}.{name}"
    read = own_split(chosen)
    target = Target(
        out_dir=folder(out, "out"),
        overwrite=overwrite,
        layout=layout,
        split=read or options.get("split", "test"),
        max_samples=shard_samples,
        holdout=holdout,
        progress=_progress(),
    )
    refuse_unused_holdout(chosen, holdout)
    origin = Origin(
        source=name,
        licence=licence,
        attribution=attribution,
        created_by=" ".join([command, *_flags(target, has_split=read is not None)]),
    )
    return chosen.build(replace(target, origin=origin))


def _made(name: str, options: dict[str, Any]) -> Source:
    """The named source with its options checked.

    Raises:
        ConfigError: one is unknown, missing, of a wrong type or none of its choices.
    """
    kind = sources.get(name)
    entries = {entry.name: entry for entry in fields(kind)}
    former = {flag.strip("-").replace("-", "_"): flag for flag in former_flags(kind)}
    refuse_unknown(options, (*entries, *former, "split"), what=f"option of {name}")
    own = renewed(
        kind,
        {key: value for key, value in options.items() if key in entries},
        {
            former[key]: value
            for key, value in options.items()
            if key in former and key not in entries and value is not None
        },
    )
    hints = get_type_hints(kind)
    own = {key: converted(value, hints[key], where=key) for key, value in own.items()}
    for key, entry in entries.items():
        if key not in own and entry.default is MISSING and entry.default_factory is MISSING:
            told = entry.metadata.get("help") or f"see 'vlsuite data build {name} --help'"
            raise ConfigError(f"{name} needs {key}=: {told}")
        choices = entry.metadata.get("choices", ())
        if choices and key in own and own[key] not in choices:
            raise ConfigError(f"{key}={own[key]!r}: choose from {', '.join(choices)}")
    return kind(**own)


def _flags(target: Target, *, has_split: bool) -> list[str]:
    """The rest of the command that writes the same, without its output folder."""
    flags = []
    if target.layout != "pairs":
        flags.append(f"--layout {target.layout}")
        flags += [] if has_split else [f"--split {target.split}"]
    flags += [f"--shard-samples {target.max_samples}"] if target.max_samples else []
    return flags + ([f"--holdout {target.holdout:g}"] if target.holdout else [])


def _progress() -> Callable[[Iterable], Iterable]:
    """A bar on standard error while it is a terminal."""
    from tqdm import tqdm

    return lambda items: iter(tqdm(items, unit=" samples", leave=False, disable=None))
