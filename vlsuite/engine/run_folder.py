"""The folder of one run: what was asked, on which machine, and where each result goes."""

import errno
import fcntl
import json
import os
import platform
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, TextIO

import torch

from data_pipelines import plugins
from data_pipelines.bounded_json import read_json, read_object
from data_pipelines.printable import masked, masked_values
from data_pipelines.settings import from_dict, to_dict
from vlsuite.engine.config import TrainConfig
from vlsuite.engine.credentials import CREDENTIALS, keep_credentials, with_credentials
from vlsuite.engine.whole_file import write_whole
from vlsuite.errors import ConfigError, RunFolderError

_PACKAGES = (
    "vlsuite",
    "torch",
    "torchvision",
    "open_clip_torch",
    "deepspeed",
    "webdataset",
    "numpy",
    "pillow",
)


class RunFolder:
    """Paths of a run, and the two files that say what it is.

    Args:
        path: the folder; made by :meth:`create`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.json"
        self.environment = path / "environment.json"
        self.credentials = path / CREDENTIALS
        self.resolved = path / "resolved.json"
        self.changes = path / "changes.jsonl"
        self.metrics = path / "metrics.jsonl"
        self.tensorboard = path / "tensorboard"
        self.dashboards = path / "dashboards.json"
        self.checkpoints = path / "checkpoints"
        self.export = path / "export"
        self.results = path / "results"
        self.uids = path / "uids"
        self.shards = path / "shards"
        self.quarantine = path / "quarantine"
        self._lock = path / ".lock"
        self._was_held = False

    def create(self, recipe: str, config: TrainConfig) -> None:
        """Make the folder and write config.json and environment.json.

        Raises:
            RunFolderError: the folder holds a run already, or cannot be written.
        """
        self.refuse_existing_run()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            write_json(self.environment, describe_environment(seed=config.seed))
            self._write_config(recipe, config)
        except OSError as error:
            raise self._not_written(error) from error

    @contextmanager
    def tried(self) -> Iterator[None]:
        """The folder for a run that may not come about: without config.json, it goes again.

        Raises:
            RunFolderError: the folder cannot be written.
        """
        is_new = not self.path.exists()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            before = {path.name for path in self.path.iterdir()}
        except OSError as error:
            raise self._not_written(error) from error
        try:
            yield
        finally:
            if not self.config.exists():
                if self._was_held:
                    self._remove_beginning(before)
                if is_new:
                    with suppress(OSError):
                        self.path.rmdir()

    def _remove_beginning(self, before: set[str]) -> None:
        """What a start writes before its config.json; the files of others stay.

        Another run that has begun here meanwhile holds the folder: then everything is its own.
        """
        with suppress(RunFolderError), self.held():
            if self.config.exists():
                return
            begun = (self.metrics, self.environment, self.resolved, self.credentials)
            for path in (*begun, self.dashboards, self._lock):
                if path.name not in before:
                    path.unlink(missing_ok=True)
            for path in (self.tensorboard, self.path / "wandb", self.uids):
                if path.name not in before:
                    shutil.rmtree(path, ignore_errors=True)

    def _write_config(self, recipe: str, config: TrainConfig) -> None:
        settings = to_dict(config)
        keep_credentials(self.credentials, settings)
        told: dict[str, Any] = {"recipe": recipe, "config": masked_values(settings)}
        if named := plugins.imported():
            told["imports"] = named
        write_json(self.config, told)

    def _not_written(self, error: OSError) -> RunFolderError:
        return RunFolderError(
            f"cannot write the run folder {self.path}: {error.strerror}; choose another with --out"
        )

    def change(
        self, recipe: str, config: TrainConfig, changes: Mapping[str, tuple[Any, Any]], *, step: int
    ) -> None:
        """Settings of a continued run that hold from now on: the newest are in config.json.

        Each change is a line of changes.jsonl, with the command and the step it took effect at,
        written before config.json.

        Args:
            recipe, config: see ``create``.
            changes: old and new value by dotted key; nothing is written where it is empty.
            step: updates made before.
        Raises:
            RunFolderError: the folder cannot be written.
        """
        if not changes:
            return
        told = {
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "step": step,
            "command": _command(),
            "changes": masked_values(dict(changes)),
        }
        try:
            with self.changes.open("a") as stream:
                stream.write(json.dumps(told) + "\n")
            self._write_config(recipe, config)
        except OSError as error:
            raise RunFolderError(
                f"cannot write {self.changes}: {error.strerror}; mend permissions or free space"
            ) from error

    def refuse_existing_run(self) -> None:
        """Protect a run from being overwritten.

        Raises:
            RunFolderError: the folder holds one; where that is running now, the message names it.
        """
        if self.config.exists():
            with suppress(FileNotFoundError, PermissionError), self._lock.open("r+") as stream:
                self._take(stream)
            raise RunFolderError(
                f"{self.path} already holds a run; continue it with --resume, or choose another "
                f"folder with --out"
            )

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other runs out of the folder while the block runs; a killed holder lets go.

        Where the file system knows no locks, nothing is held.

        Raises:
            RunFolderError: another process holds it, or the folder cannot be written.
        """
        try:
            # Record locks: unlike flock, they do not stay with forked workers.
            stream = self._lock.open("a+")
        except OSError as error:
            raise RunFolderError(
                f"cannot write the run folder {self.path}: {error.strerror}; mend its permissions"
            ) from error
        with stream:
            self._take(stream)
            if not os.fstat(stream.fileno()).st_nlink:
                raise RunFolderError(f"another run has just left {self.path}; start again")
            self._was_held = True
            self._sign(stream)
            yield

    def _sign(self, stream: TextIO) -> None:
        """Say in the lock file who holds it; on a full disk nobody reads it."""
        with suppress(OSError):
            os.ftruncate(stream.fileno(), 0)
            os.write(stream.fileno(), f"process {os.getpid()} on {socket.gethostname()}\n".encode())

    def _take(self, stream: TextIO) -> None:
        """Take the lock of the open lock file, where the file system knows locks.

        Raises:
            RunFolderError: another process holds it.
        """
        try:
            fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                stream.seek(0)
                raise RunFolderError(
                    f"another run is writing {self.path} ({stream.read().strip() or '?'}); "
                    f"wait for it, or stop it"
                ) from error

    def stored_environment(self) -> dict[str, Any]:
        """What is in environment.json; empty where it cannot be read."""
        try:
            stored = json.loads(self.environment.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return stored if isinstance(stored, dict) else {}

    def stored_recipe(self) -> str:
        """Name of the recipe of the run in this folder.

        Raises:
            RunFolderError: no run here.
        """
        try:
            return str(read_json(self.config)["recipe"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunFolderError(
                f"{self.config} is not the config of a run: {error}; name a folder that "
                f"'vlsuite train' wrote"
            ) from error

    def stored_config(self, recipe: str) -> TrainConfig:
        """The config of the run in this folder.

        Raises:
            RunFolderError: no run here, or one of another recipe.
        """
        if not self.config.is_file():
            raise RunFolderError(f"nothing to resume: no run in {self.path}; leave out --resume")
        try:
            stored = read_object(self.config)
            settings = with_credentials(self.credentials, _as_it_began(stored["config"]))
            config = from_dict(TrainConfig, settings)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, ConfigError) as error:
            raise RunFolderError(
                f"{self.config} is not a run config of this version: {error}{self._imports_hint()}"
            ) from error
        if stored["recipe"] != recipe:
            raise RunFolderError(
                f"{self.path} is a run of recipe '{stored['recipe']}', not '{recipe}'; resume it "
                f"under its own name or choose another --out"
            )
        return config

    def _imports_hint(self) -> str:
        """What the run was started with and this command was not; never imported by itself."""
        try:
            named = read_json(self.config).get("imports", [])
        except (OSError, ValueError, AttributeError, TypeError):
            return ""
        missing = [str(name) for name in named if name not in plugins.imported()]
        return f"; it was started with --import {' --import '.join(missing)}" if missing else ""


def _as_it_began(stored: dict[str, Any]) -> dict[str, Any]:
    """Settings of a run from before they existed, at what it did then where the default differs."""
    then = {"clip_objective": False, "decayed": "matrices"}
    return {**stored, "optim": {**then, **stored.get("optim", {})}}


def write_json(path: Path, value: Any) -> None:
    """Write JSON; see ``write_whole``.

    Raises:
        OSError: it cannot be written; nothing is left behind.
    """
    write_whole(path, json.dumps(value, indent=2) + "\n")


def describe_environment(*, seed: int) -> dict[str, Any]:
    """Commit, command, hardware and versions, for whoever wants to repeat the run."""
    return {
        "commit": _commit(),
        "command": _command(),
        "hardware": describe_hardware(),
        "versions": {"python": platform.python_version(), **package_versions()},
        "seed": seed,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def describe_hardware() -> str:
    """CPU, memory and GPUs of this machine in one line."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    parts = [f"{os.cpu_count()} x {_cpu_name()}", f"{memory:.0f} GiB"]
    if torch.cuda.is_available():
        parts.append(f"{torch.cuda.device_count()} x {torch.cuda.get_device_name(0)}")
    return ", ".join(parts)


def package_versions() -> dict[str, str]:
    """Versions of the packages a result depends on; missing ones are left out."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _command() -> str:
    program = Path(sys.argv[0])
    if program.name == "__main__.py":
        return masked(shlex.join(["python", "-m", program.parent.name, *sys.argv[1:]]))
    return masked(shlex.join([program.name, *sys.argv[1:]]))


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _commit() -> str | None:
    """Commit of the source tree this package runs from, marked where it was changed."""
    here = Path(__file__).resolve().parent
    command = ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip() or None
