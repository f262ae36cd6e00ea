"""Checkpoints that any number of processes and any ZeRO stage can resume.

One folder per checkpoint: ``weights.safetensors`` (fp32 masters by name), ``optimizer.safetensors``
(Adam moments, and the objective with its own), ``state.json`` (step, samples seen, which is also
the position in the data stream). It is written under a temporary name and renamed when complete.
Nothing in it is pickled.
"""

import json
import re
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from vlsuite.engine.master_state import MOMENTS, MasterState, iterate_master_state
from vlsuite.engine.run_folder import write_json
from vlsuite.errors import CheckpointError

_NAME = re.compile(r"^step_(\d{8})$")
_OBJECTIVE = "objective."


class Progress(NamedTuple):
    """How far a run is.

    step: optimizer updates done. samples_seen: over all processes; also the stream's position.
    loss_scale: of fp16 training, None elsewhere. skipped: samples that were replaced so far.
    """

    step: int
    samples_seen: int
    loss_scale: float | None
    skipped: int


class Checkpoint(NamedTuple):
    """A checkpoint read back."""

    progress: Progress
    masters: dict[str, MasterState]
    objective: dict[str, Tensor]


def save_checkpoint(
    folder: Path,
    engine: Any,
    objective_state: dict[str, Tensor],
    progress: Progress,
    *,
    is_writer: bool,
    keep: int,
) -> None:
    """Write one checkpoint; every process calls, the writer writes.

    Args:
        folder: holds all checkpoints of the run.
        objective_state: parameters of the objective and of its optimizer, by name.
        keep: newest checkpoints that stay.
    Raises:
        CheckpointError: the disk is full or not writable; older checkpoints are untouched.
    """
    weights, moments = {}, {}
    for name, state in iterate_master_state(engine, moments=True):
        if is_writer:
            weights[name] = state.weight
            moments |= {f"{key}.{name}": value for key, value in state.moments.items()}
    if not is_writer:
        return
    moments |= {f"{_OBJECTIVE}{key}": value for key, value in objective_state.items()}
    final = folder / f"step_{progress.step:08d}"
    temporary = folder / f".{final.name}.tmp"
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        save_file(weights, temporary / "weights.safetensors")
        save_file(moments, temporary / "optimizer.safetensors")
        write_json(temporary / "state.json", progress._asdict())
        shutil.rmtree(final, ignore_errors=True)
        temporary.rename(final)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise CheckpointError(
            f"cannot write checkpoint {final}: {error}; free some disk, then continue the run "
            f"with --resume"
        ) from error
    for old in list_checkpoints(folder)[:-keep]:
        shutil.rmtree(old, ignore_errors=True)


def list_checkpoints(folder: Path) -> list[Path]:
    """Complete checkpoints, oldest first."""
    if not folder.is_dir():
        return []
    named = [path for path in folder.iterdir() if _NAME.match(path.name)]
    return sorted(path for path in named if (path / "state.json").is_file())


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint back on the CPU.

    Raises:
        CheckpointError: a file is missing or broken.
    """
    try:
        weights = load_file(path / "weights.safetensors")
        stored = load_file(path / "optimizer.safetensors")
        progress = Progress(**json.loads((path / "state.json").read_text()))
    except (OSError, SafetensorError, ValueError, TypeError) as error:
        raise CheckpointError(
            f"cannot read checkpoint {path}: {error}; remove that folder to resume from the one "
            f"before it"
        ) from error
    masters = {
        name: MasterState(
            weight, {m: stored[f"{m}.{name}"] for m in MOMENTS if f"{m}.{name}" in stored}
        )
        for name, weight in weights.items()
    }
    objective = {
        key.removeprefix(_OBJECTIVE): value
        for key, value in stored.items()
        if key.startswith(_OBJECTIVE)
    }
    return Checkpoint(progress, masters, objective)


def check_matches(
    path: Path, masters: dict[str, MasterState], shapes: dict[str, torch.Size]
) -> None:
    """Refuse a checkpoint of another architecture.

    Raises:
        CheckpointError: names or shapes differ; the message shows the first difference.
    """
    differing = sorted(masters.keys() ^ shapes.keys())
    if differing:
        raise CheckpointError(
            f"checkpoint {path} is of another model: '{differing[0]}' is in only one of them; "
            f"resume with the model settings it was trained with"
        )
    for name, state in masters.items():
        if state.weight.shape != torch.Size(shapes[name]):
            raise CheckpointError(
                f"checkpoint {path} is of another model: '{name}' is "
                f"{tuple(state.weight.shape)} there and {tuple(shapes[name])} here"
            )
