"""What a model is made of: the influence factors that results are compared by.

Tu, Deng, Gedeon 2024 (arXiv 2410.01534) relate robustness to architecture, training source,
size of the training set, fine-tuning, objective and prompts. Two more keep models from looking
alike that are not: how long was trained, and every other setting of the training. What cannot be
known from a name or a run folder is "unknown", never guessed; ``--influence key=value`` fills it
in.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from data_pipelines.bounded_json import parsed_json, read_json
from eval.errors import EvaluationError
from eval.opening import ARCHITECTURE, FOLDER, parsed
from vlsuite.export.run_history import data_sources

#: Columns of every comparison, in order.
INFLUENCES = (
    "architecture",
    "training_source",
    "training_pairs",
    "objective",
    "fine_tuning",
    "training_length",
    "other_settings",
    "prompts",
)

UNKNOWN = "unknown"

# Beginning of an open_clip tag: the data behind it and its size in image-text pairs, as its
# authors state them (open_clip's README and model cards; DataComp, DFN, MetaCLIP, SigLIP papers).
_SOURCES: dict[str, tuple[str, str]] = {
    "openai": ("WIT (OpenAI)", "400M"),
    "yfcc15m": ("YFCC", "15M"),
    "cc12m": ("CC12M", "12M"),
    "laion400m": ("LAION-400M", "400M"),
    "laion_aesthetic": ("LAION-Aesthetic", "900M"),
    "laion2b": ("LAION-2B", "2.3B"),
    "laion5b": ("LAION-5B", "5B"),
    "frozen_laion5b": ("LAION-5B", "5B"),
    "datacomp_xl": ("DataComp-1B", "1.4B"),
    "datacomp1b": ("DataComp-1B", "1.4B"),
    "datacomp_s34b": ("DataComp-1B", "1.4B"),
    "datacomp_l": ("DataComp-L", "140M"),
    "datacomp_m": ("DataComp-M", "14M"),
    "datacomp_s": ("DataComp-S", "1.4M"),
    "commonpool_xl": ("CommonPool-XL", UNKNOWN),
    "commonpool_l": ("CommonPool-L", UNKNOWN),
    "commonpool_m": ("CommonPool-M", UNKNOWN),
    "commonpool_s": ("CommonPool-S", UNKNOWN),
    "dfn2b": ("DFN-2B", "2B"),
    "dfn5b": ("DFN-5B", "5B"),
    "webli": ("WebLI", UNKNOWN),
    "metaclip_400m": ("MetaCLIP-400M", "400M"),
    "metaclip_fullcc": ("MetaCLIP-2.5B", "2.5B"),
    "merged2b": ("Merged-2B", "2B"),
}

#: The settings of a run that the other factors say already, or that say where it lies.
_NOT_OTHER = ("model.name", "model.pretrained", "data.train", "objective.kind", "duration")
#: What a run is watched and kept with changes no weight.
_NO_TRAINING = ("logging.", "checkpoint.", "stall_timeout")

_SAMPLES_SEEN = re.compile(r"_s(\d+(?:\.\d+)?)([mb])(?:_|$)")
_OBJECTIVES = {"clip": "softmax", "siglip": "sigmoid"}
_FINE_TUNED = re.compile(r"(_|^)(ft|finetuned|soup)(_|$)")


def influences_of(spec: str, stated: Sequence[str] = ()) -> dict[str, str]:
    """The influence factors of a model but its prompts, which belong to the benchmark.

    Args:
        spec: see ``eval.opening.open_model``.
        stated: "key=value" from the user, over everything found.
    Raises:
        EvaluationError: a stated key is none of ``INFLUENCES``.
    """
    name = parsed(spec)
    found: dict[str, str] = {}
    if name.kind == FOLDER:
        found = _of_run(Path(spec))
    elif name.kind == ARCHITECTURE:
        found = _of_tag(*name.halves)
    known = dict.fromkeys(INFLUENCES[:-1], UNKNOWN) | found
    return known | _stated(stated)


def is_stated(stated: Sequence[str], name: str) -> bool:
    """Whether a user gave this factor."""
    return any(entry.partition("=")[0] == name for entry in stated)


def prompts_label(templates: Sequence[Any]) -> str:
    """What the prompts column says: "80 prompts", "1 prompt: a photo of a {c}."."""
    if len(templates) == 1:
        return f"1 prompt: {templates[0]}"
    return f"{len(templates)} prompts"


def _of_tag(architecture: str, tag: str) -> dict[str, str]:
    found = {
        "architecture": architecture,
        "objective": "sigmoid" if "SigLIP" in architecture else "softmax",
    }
    if Path(tag).suffix:  # a weights file says nothing about its training
        return {"architecture": architecture}
    best = max((key for key in _SOURCES if tag.startswith(key)), key=len, default=None)
    if best is not None:
        found["training_source"], found["training_pairs"] = _SOURCES[best]
        found["fine_tuning"] = "fine-tuned" if _FINE_TUNED.search(tag) else "none"
    if seen := _SAMPLES_SEEN.search(tag):
        found["training_length"] = f"{seen[1]}{seen[2].upper()} samples"
    return found


def _of_run(folder: Path) -> dict[str, str]:
    """From the config of a run, and from the manifest of its data where that is still there."""
    try:
        config: Any = read_json(folder / "config.json")["config"]
        model, data = config["model"], config["data"]
        started_from = model.get("pretrained")
        objective = str(config["objective"]["kind"])
        return {
            "architecture": str(model["name"]),
            "training_source": ", ".join(_source_name(source) for source in data["train"]),
            "training_pairs": _pairs(data["train"]),
            "objective": _OBJECTIVES.get(objective, objective),
            "fine_tuning": f"from {started_from}" if started_from else "none",
            "training_length": _length(folder, config),
            "other_settings": _other_settings(config),
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _length(folder: Path, config: Mapping[str, Any]) -> str:
    """Samples seen by the last record of training, else what the config asks for."""
    seen = 0
    try:
        with (folder / "metrics.jsonl").open(encoding="utf-8") as lines:
            for line in lines:
                if '"samples_seen"' in line:
                    seen = max(seen, int(parsed_json(line)["samples_seen"]))
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        seen = 0
    return f"{seen:,} samples" if seen else str(config.get("duration", UNKNOWN))


def _other_settings(config: Mapping[str, Any]) -> str:
    """All settings but those of the other factors: "optim.lr=0.0005; seed=0"."""
    told = sorted(_flat(config, ""))
    kept = [f"{k}={v}" for k, v in told if k not in _NOT_OTHER and not k.startswith(_NO_TRAINING)]
    return "; ".join(kept) or "none"


def _flat(value: Any, key: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and value:
        for name, own in value.items():
            yield from _flat(own, f"{key}.{name}" if key else str(name))
    else:
        yield key, json.dumps(value)


def differing_settings(told: Sequence[str]) -> list[str]:
    """Of several models' other settings those that are not the same in all of them.

    Args:
        told: as ``influences_of`` gives them; "unknown" stays.
    """
    settings = [dict(_entries(one)) for one in told]
    keys = dict.fromkeys(key for own in settings for key in own)
    apart = [key for key in keys if len({own.get(key) for own in settings if own}) > 1]
    return [
        "; ".join(f"{key}={own.get(key, 'absent')}" for key in apart) or "the same" if own else text
        for own, text in zip(settings, told, strict=True)
    ]


def _entries(told: str) -> Iterator[tuple[str, str]]:
    for entry in told.split("; "):
        key, equals, value = entry.partition("=")
        if equals:
            yield key, value


def _pairs(sources: Sequence[str]) -> str:
    """Samples in the training data, as long as every source still has its manifest."""
    found = [own for source in sources for own in data_sources(source)]
    counts = [source.num_samples for source in found]
    if len(found) < len(sources) or not all(counts):
        return UNKNOWN
    return f"{sum(count for count in counts if count):,}"


def _source_name(source: str) -> str:
    """Last part of a path without shard numbers: "cifar10-train" of a pattern of tars."""
    name = source.rstrip("/").rsplit("/", 1)[-1]
    return re.sub(r"[-_]?(\{[^}]*\}|\d+)?\.tar(\.gz)?$", "", name) or name


def _stated(stated: Sequence[str]) -> dict[str, str]:
    values: dict[str, str] = {}
    for entry in stated:
        key, equals, value = entry.partition("=")
        if not equals or key not in INFLUENCES:
            raise EvaluationError(
                f"--influence {entry}: write KEY=VALUE with one of {', '.join(INFLUENCES)}"
            )
        values[key] = value
    return values


def merged(influences: Mapping[str, str], templates: Sequence[Any] | None) -> dict[str, str]:
    """A result's influences: the model's, and the prompts it was asked with."""
    prompts = prompts_label(templates) if templates else "none"
    return {"prompts": prompts} | dict(influences)
