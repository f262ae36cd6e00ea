"""README.md of an exported folder: what the model is, how it was made, how good it is."""

import json
import math
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from vlsuite.export.new_file import write_card
from vlsuite.export.run_changes import Change
from vlsuite.export.run_history import DataSource, Measurement, RunHistory
from vlsuite.export.shown_paths import NOTE, short_paths, short_paths_in
from vlsuite.models.dual_encoder.built import BuiltModel
from vlsuite.models.dual_encoder.caption_cleaning import NOT_DONE

CARD = "README.md"

_LOADING = {
    "open_clip": """\
import open_clip

model, _, preprocess = open_clip.create_model_and_transforms("local-dir:FOLDER")
tokenizer = open_clip.get_tokenizer("local-dir:FOLDER")
""",
    "transformers": """\
from transformers import CLIPModel, CLIPProcessor

model = CLIPModel.from_pretrained("FOLDER")
processor = CLIPProcessor.from_pretrained("FOLDER", backend="pil")
# in transformers 4: use_fast=False instead of backend="pil"
""",
}
_VLSUITE = """\
from vlsuite import load_model

model = load_model("FOLDER")  # or: vlsuite eval FOLDER --data SHARDS
"""
_REMARKS = {
    "open_clip": "",
    "transformers": """\
Embeddings equal those of the model in training, with two remarks. The processor is loaded with
its Pillow backend: the default one resizes tensors, which rounds some pixels differently, and
where an odd number of pixels is cropped away transformers may take the middle one pixel further
up or left.
"""
    + f"{NOT_DONE[0].upper()}{NOT_DONE[1:]}.\n",
}


def write_model_card(
    folder: Path, built: BuiltModel, *, name: str, library: str, history: RunHistory | None
) -> None:
    """Write README.md with the metadata header of Hugging Face.

    Args:
        name: title of the card.
        library: that loads the folder, "open_clip" or "transformers".
        history: of the run; None for a model that was not trained in a run folder.
    Raises:
        RunFolderError: the folder cannot be written.
    """
    sections = [
        _header(name, library, history),
        f"# {name}\n\n{_summary(built, history)}",
        _usage(library),
    ]
    if history is not None:
        sections += [_results(history.measurements), _data(history.sources), _training(history)]
    write_card(folder / CARD, "\n".join(section.rstrip() + "\n" for section in sections))


def _header(name: str, library: str, history: RunHistory | None) -> str:
    """YAML, each value written as JSON (which is YAML)."""
    values: dict[str, Any] = {
        "library_name": library,
        "pipeline_tag": "zero-shot-image-classification",
        "tags": ["clip", "contrastive", "vlsuite"],
    }
    if history is not None and history.measurements:
        values["model-index"] = [{"name": name, "results": _index(history.measurements)}]
    lines = [f"{key}: {json.dumps(value)}" for key, value in values.items()]
    return "\n".join(["---", *lines, "---"])


def _index(measurements: Sequence[Measurement]) -> list[dict[str, Any]]:
    return [
        {
            "task": {"type": m.benchmark.replace("_", "-")},
            "dataset": {"name": m.dataset, "type": m.dataset, "split": m.split},
            "metrics": [{"type": m.metric, "name": m.metric, "value": round(m.value, 4)}],
        }
        for m in measurements
    ]


def _summary(built: BuiltModel, history: RunHistory | None) -> str:
    cfg = built.model_cfg
    height, width = built.preprocess["size"]
    shape = (
        f"A contrastive image-text model: pictures of {height} x {width} px and texts of up to "
        f"{cfg['text_cfg'].get('context_length', 77)} tokens, embedded in "
        f"{cfg['embed_dim']} dimensions."
    )
    if history is None:
        return f"{shape} Converted with vlsuite {_version()}."
    model = history.config.get("model", {})
    start = f"weights '{model['pretrained']}'" if model.get("pretrained") else "random weights"
    objective = history.config.get("objective", {}).get("kind", "unknown")
    return (
        f"{shape} Architecture {model.get('name', 'unknown')}, trained with vlsuite from {start} "
        f"(recipe '{history.recipe}', objective '{objective}') for {history.step} steps, "
        f"{history.samples_seen} samples."
    )


def _usage(library: str) -> str:
    remark = _REMARKS[library]
    vlsuite = f"\n```python\n{_VLSUITE}```\n" if library == "open_clip" else ""
    return (
        f"## Load\n\nFOLDER is the folder of this file.\n\n```python\n{_LOADING[library]}```\n"
        f"{vlsuite}\n{remark}"
    )


def _results(measurements: Sequence[Measurement]) -> str:
    if not measurements:
        return (
            "## Results\n\nNone yet: `vlsuite eval RUN --data SHARDS` measures, and "
            "`vlsuite export RUN --overwrite` then writes them here."
        )
    rows = [
        (
            m.benchmark,
            m.dataset if m.split in ("", "test") else f"{m.dataset} ({m.split})",
            m.metric,
            f"{m.value:.4f}",
            "none" if math.isnan(m.low) else f"{m.low:.4f} to {m.high:.4f}",
            "" if m.chance is None else f"{m.chance:.4f}",
            m.num_trials,
            m.when,
        )
        for m in measurements
    ]
    head = ("benchmark", "data set", "metric", "score", "95% interval", "chance", "n", "measured")
    return f"## Results\n\n{_table(head, rows)}"


def _data(sources: Sequence[DataSource]) -> str:
    rows = [
        (
            s.source or short_paths(s.pattern),
            "" if s.num_samples is None else s.num_samples,
            s.licence or "no manifest beside the shards, so not known",
        )
        for s in sources
    ]
    credits = sorted({f"- {s.attribution}" for s in sources if s.attribution})
    table = _table(("source", "samples", "licence"), rows)
    return "\n".join(["## Training data", "", table, *credits])


def _training(history: RunHistory) -> str:
    environment = dict(history.environment)
    versions = environment.pop("versions", {})
    told = ("commit", "command", "hardware", "seed", "started")
    known = [key for key in told if environment.get(key) is not None]
    rows = [(key, short_paths(str(environment[key]))) for key in known]
    rows.append(("versions", ", ".join(f"{k} {v}" for k, v in versions.items())))
    rows.append(("exported by", f"vlsuite {_version()}"))
    settings = json.dumps(short_paths_in(history.config), indent=2)
    problems = [f"- {line}" for line in history.problems]
    return "\n".join(
        [
            "## Training\n",
            _table(("", ""), rows),
            NOTE + "\n",
            *_changes(history.changes),
            "<details><summary>Resolved config</summary>\n",
            f"```json\n{settings}\n```\n",
            "</details>\n",
            *(["Not in this card:\n", *problems] if problems else []),
        ]
    )


def _changes(changes: Sequence[Change]) -> list[str]:
    if not changes:
        return []
    rows = [
        (c.step, c.setting, short_paths(c.before.strip('"')), short_paths(c.after.strip('"')),
         short_paths(c.command)) for c in changes
    ]  # fmt: skip
    head = ("from step", "setting", "before", "after", "command")
    return ["### Settings changed when the run was continued\n", _table(head, rows)]


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    def line(cells: Sequence[object]) -> str:
        return "| " + " | ".join(_cell(cell) for cell in cells) + " |"

    return "\n".join([line(head), line(["---"] * len(head)), *map(line, rows)]) + "\n"


def _cell(value: object) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")


def _version() -> str:
    try:
        return metadata.version("vlsuite")
    except metadata.PackageNotFoundError:
        return "unknown"
