"""Checkpoints that any number of processes and any ZeRO stage can resume.

One folder per checkpoint: ``weights.safetensors`` (fp32 masters and persistent buffers by name),
``optimizer.safetensors`` (Adam moments, and the objective with its own), ``state.json`` (progress,
which is also the position in the data stream, and size and SHA-256 of the other two). A folder is
written under a temporary name, every file synced to the disk, and renamed when complete. Nothing
in it is pickled.
"""

import hashlib
import os
import re
import shutil
import stat
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from data_pipelines.bounded_json import read_object
from data_pipelines.shards.atomic import sync_folder
from vlsuite.engine.master_state import MOMENTS, MasterState, iterate_master_state
from vlsuite.engine.run_folder import write_json
from vlsuite.errors import CheckpointError

_NAME = re.compile(r"^step_(\d{8})$")
_OBJECTIVE = "objective."
_BUFFER = "buffer."
_WEIGHTS, _OPTIMIZER, _STATE = "weights.safetensors", "optimizer.safetensors", "state.json"

# What checkpoints of earlier versions lack, as it was then.
_OF_OLD: dict[str, Any] = {"uids": "key", "order": {}, "content": "", "train": []}

#: Raised when the meaning of a file changes; other formats are refused.
FORMAT_VERSION = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How far a run is.

    Attributes:
        step: optimizer updates done.
        samples_seen: over all processes; also the position in the data stream.
        loss_scale: of fp16 training, None elsewhere.
        counts: samples by source, by reason left out, by reason mended (see StreamCounts).
        data: fingerprint of the training set and how it is mixed, for which the position holds.
        uids: what names a sample without a uid: "shard", or "key" in runs of vlsuite 0.1.
        order: the rule of the order (see ``Shuffling``); empty in runs that began before there was
            a choice.
        content: of the training shards, in one word; empty where it was not recorded.
        train: patterns of the training shards, and files of their subsets.
    """

    step: int
    samples_seen: int
    loss_scale: float | None
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    data: str = ""
    uids: str = "shard"
    order: dict[str, Any] = field(default_factory=dict)
    content: str = ""
    train: list[str] = field(default_factory=list)


class Snapshot(NamedTuple):
    """A run's state copied to host memory: what a checkpoint holds."""

    progress: Progress
    weights: dict[str, Tensor]
    optimizer: dict[str, Tensor]


class Checkpoint(NamedTuple):
    """A checkpoint read back."""

    progress: Progress
    masters: dict[str, MasterState]
    buffers: dict[str, Tensor]
    objective: dict[str, Tensor]


def take_snapshot(
    engine: Any,
    progress: Progress,
    *,
    objective: Mapping[str, Tensor],
    buffers: Mapping[str, Tensor],
    is_writer: bool,
) -> Snapshot | None:
    """Copy the state to host memory; every process calls, the writer gets the copy.

    Args:
        objective: parameters of the objective and of its optimizer, by name.
        buffers: persistent buffers of the towers (running statistics), by name.
    """
    weights, optimizer = {}, {}
    for name, state in iterate_master_state(engine, moments=True):
        if is_writer:
            weights[name] = state.weight
            optimizer |= {f"{key}.{name}": value for key, value in state.moments.items()}
    if not is_writer:
        return None
    weights |= {f"{_BUFFER}{k}": v.detach().to("cpu", copy=True) for k, v in buffers.items()}
    optimizer |= {f"{_OBJECTIVE}{key}": value for key, value in objective.items()}
    return Snapshot(progress, weights, optimizer)


def write_checkpoint(folder: Path, snapshot: Snapshot) -> Path:
    """Write one checkpoint, complete or not at all; returns its folder.

    Raises:
        CheckpointError: the disk is full or not writable; older checkpoints are untouched.
    """
    final = folder / f"step_{snapshot.progress.step:08d}"
    temporary = folder / f".{final.name}.tmp"
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        files = {
            _WEIGHTS: _write_tensors(temporary / _WEIGHTS, snapshot.weights),
            _OPTIMIZER: _write_tensors(temporary / _OPTIMIZER, snapshot.optimizer),
        }
        head = {"format": FORMAT_VERSION, "written": time.time(), "files": files}
        write_json(temporary / _STATE, head | asdict(snapshot.progress))
        sync_folder(temporary)
        _remove(final)
        temporary.rename(final)
        sync_folder(folder)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(temporary, ignore_errors=True)
        reason = getattr(error, "strerror", None) or error
        raise CheckpointError(
            f"cannot write checkpoint {final}: {reason}; free some disk, then continue the run "
            f"with --resume"
        ) from error
    return final


def list_checkpoints(folder: Path) -> list[Path]:
    """Checkpoints, oldest first.

    Each was complete when it got its name; whether it still is, ``damage_of`` says.
    """
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if _NAME.match(path.name) and path.is_dir())


def step_of(path: Path) -> int:
    """Optimizer updates before the checkpoint, by its name."""
    return int(path.name.removeprefix("step_"))


def damage_of(path: Path) -> str | None:
    """What is wrong with a checkpoint's files, None where size and checksum of all are right."""
    try:
        for name, entry in _read_state(path)["files"].items():
            file = path / name
            if file.stat().st_size != entry["bytes"]:
                return f"{name} has {file.stat().st_size} bytes, {entry['bytes']} were written"
            with file.open("rb") as stream:
                if hashlib.file_digest(stream, "sha256").hexdigest() != entry["sha256"]:
                    return f"the content of {name} is not what was written (sha256)"
    except OSError as error:
        return f"{Path(error.filename or path).name}: {error.strerror}"
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return f"{_STATE} is not readable: {error}"
    return None


def set_aside(path: Path) -> Path:
    """Rename a damaged checkpoint so that no one takes it for a good one; returns its new name."""
    aside = path.with_name(f"{path.name}.damaged")
    try:
        shutil.rmtree(aside, ignore_errors=True)
        path.rename(aside)
    except OSError:
        return path  # a read-only folder: it is found damaged again next time
    return aside


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint back on the CPU; its checksums are not verified (see ``damage_of``).

    Raises:
        CheckpointError: a file is missing or broken.
    """
    try:
        weights = load_file(path / _WEIGHTS)
        stored = load_file(path / _OPTIMIZER)
        state = _read_state(path)
        told: dict[str, Any] = _OF_OLD | state
        progress = Progress(**{key: told[key] for key in Progress.__slots__})
    except (OSError, SafetensorError, ValueError, TypeError, KeyError) as error:
        raise CheckpointError(
            f"cannot read checkpoint {path}: {error}; remove that folder to resume from the one "
            f"before it"
        ) from error
    masters = {
        name: MasterState(
            weight, {m: stored[f"{m}.{name}"] for m in MOMENTS if f"{m}.{name}" in stored}
        )
        for name, weight in weights.items()
        if not name.startswith(_BUFFER)
    }
    return Checkpoint(
        progress=progress,
        masters=masters,
        buffers=_with_prefix(weights, _BUFFER),
        objective=_with_prefix(stored, _OBJECTIVE),
    )


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
            f"choose another run folder with --out"
        )
    for name, state in masters.items():
        if state.weight.shape != shapes[name]:
            raise CheckpointError(
                f"checkpoint {path} is of another model: '{name}' has shape "
                f"{tuple(state.weight.shape)}, this model {tuple(shapes[name])}; choose another "
                f"run folder with --out"
            )


def prune(folder: Path, *, keep: int, keep_hours: float | None) -> None:
    """Remove the checkpoints that :func:`to_keep` leaves out."""
    paths = list_checkpoints(folder)
    written = {path: _written(path) for path in paths}
    kept = to_keep(written, keep=keep, keep_hours=keep_hours)
    for path in paths:
        if path not in kept:
            _remove(path)


def to_keep(written: Mapping[Path, float], *, keep: int, keep_hours: float | None) -> set[Path]:
    """The newest ``keep`` by name, and the first of every span of ``keep_hours``.

    Args:
        written: seconds since the epoch at which each checkpoint was written.
    """
    ordered = sorted(written)
    kept = set(ordered[-keep:])
    if keep_hours is not None:
        spans: dict[int, Path] = {}
        for path in ordered:
            spans.setdefault(int(written[path] // (keep_hours * 3600)), path)
        kept |= set(spans.values())
    return kept


def _remove(path: Path) -> None:
    """Remove a checkpoint; one that is half removed is no longer listed."""
    if not path.exists():
        return
    going = path.with_name(f".{path.name}.removed")
    shutil.rmtree(going, ignore_errors=True)
    path.rename(going)
    shutil.rmtree(going, ignore_errors=True)


def _written(path: Path) -> float:
    try:
        return float(_read_state(path)["written"])
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return path.stat().st_mtime


def _read_state(path: Path) -> dict[str, Any]:
    state = read_object(path / _STATE)
    if state.get("format") != FORMAT_VERSION:
        raise ValueError(f"format {state.get('format')}, this version reads {FORMAT_VERSION}")
    return state


def _write_tensors(path: Path, tensors: dict[str, Tensor]) -> dict[str, Any]:
    """Write and sync one file; returns its size and checksum."""
    path.touch()
    mode = stat.S_IMODE(path.stat().st_mode)
    save_file(tensors, path)
    path.chmod(mode)  # safetensors makes its files readable by the owner alone
    with path.open("rb") as stream:
        os.fsync(stream.fileno())
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return {"bytes": path.stat().st_size, "sha256": digest}


def _with_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
