"""What a benchmark ran on: commit, hardware and package versions, for every figure we print."""

import importlib.metadata
import os
import platform
import re
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

_ROOT = Path(__file__).resolve().parents[2]
_PACKAGES = (
    *("torch", "torchvision", "open_clip_torch", "deepspeed", "webdataset", "numpy"),
    *("av", "decord"),
)
_GIB = 2**30


@dataclass(frozen=True, kw_only=True, slots=True)
class Hardware:
    """The machine; memory in GiB, ``gpus`` one name a device."""

    cpu: str
    cores: int
    memory_gib: float
    gpus: tuple[str, ...]

    @property
    def slug(self) -> str:
        """Short form for file names: the first GPU where there is one, else processor and cores."""
        name = f"{len(self.gpus)}x-{self.gpus[0]}" if self.gpus else f"{self.cpu}-{self.cores}c"
        return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


@dataclass(frozen=True, kw_only=True, slots=True)
class Environment:
    """Provenance of a figure; ``commit`` ends in ``-dirty`` where files differ from it.

    Results that earlier benchmarks wrote do not count as a difference.
    """

    commit: str
    hardware: Hardware
    versions: dict[str, str]

    def to_json(self) -> dict[str, Any]:
        """Plain dictionaries, ready for ``json.dumps``."""
        return asdict(self)


def describe() -> Environment:
    """Describe the commit, machine and package versions of this process."""
    return Environment(commit=_commit(), hardware=describe_hardware(), versions=_versions())


def describe_hardware() -> Hardware:
    """The processor, the cores this process may use, main memory and GPUs."""
    gpus = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return Hardware(
        cpu=_cpu_name(),
        cores=len(os.sched_getaffinity(0)),
        memory_gib=round(memory / _GIB, 1),
        gpus=tuple(torch.cuda.get_device_name(gpu) for gpu in gpus),
    )


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _commit() -> str:
    commit = _git("rev-parse", "--verify", "HEAD")
    if commit is None:
        return "unknown"
    changed = _git("status", "--porcelain", "--", ".", ":(exclude)benchmarks/results")
    return f"{commit}-dirty" if changed else commit


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=_ROOT, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return versions
