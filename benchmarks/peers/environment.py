"""Programs we measure ourselves against, each in an environment of its own.

They are never among our dependencies, and torch is the same version on both sides, so that both
compute with the same code.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from benchmarks.support.timed_process import BenchmarkError

#: Installed in the versions of this environment.
_SHARED_PACKAGES = ("torch", "torchvision")


def folder_of(name: str) -> Path:
    """Where a peer is installed unless another place is asked for."""
    return Path.home() / ".cache" / "vlsuite" / "peers" / name


class PeerEnvironment:
    """An installed peer.

    Args:
        path: virtual environment, made by :func:`prepare`.
        reported: packages whose versions are part of a figure.
    """

    def __init__(self, path: Path, reported: Sequence[str]) -> None:
        self.python = path / "bin" / "python"
        self._reported = tuple(reported)
        self._stamp = path / "peer.json"

    def is_ready_for(self, requirements: list[str]) -> bool:
        """Whether exactly these requirements were installed here, to the end."""
        return self._stamp.is_file() and self._stored()["requirements"] == requirements

    def versions(self) -> dict[str, str]:
        """Versions of the packages a measurement depends on."""
        return self._stored()["versions"]

    def mark_ready(self, requirements: list[str]) -> None:
        """Note what is installed; called when the installation has succeeded."""
        program = (
            "import json, sys; from importlib.metadata import version; "
            "print(json.dumps({name: version(name) for name in sys.argv[1:]}))"
        )
        words = [str(self.python), "-c", program, *self._reported]
        shown = subprocess.run(words, capture_output=True, text=True, check=True)
        content = {"requirements": requirements, "versions": json.loads(shown.stdout)}
        self._stamp.write_text(json.dumps(content, indent=2) + "\n")

    def _stored(self) -> dict:
        return json.loads(self._stamp.read_text())


def prepare(
    path: Path,
    *,
    title: str,
    requirements: Sequence[str],
    reported: Sequence[str],
    shared: Sequence[str] = _SHARED_PACKAGES,
) -> PeerEnvironment:
    """The peer's environment in ``path``, installed on first use; ours is not touched.

    With uv the packages are linked from its cache, so the copy costs seconds and little disk.

    Args:
        title: what messages call it.
        requirements: exact versions.
        reported: packages whose versions are part of a figure.
        shared: packages installed in the versions of this environment.
    Raises:
        BenchmarkError: it cannot be made, for example without a network on first use.
    """
    wanted = [*requirements, *(f"{name}=={metadata.version(name)}" for name in shared)]
    environment = PeerEnvironment(path, reported)
    if environment.is_ready_for(wanted):
        return environment
    print(f"installing {title} in {path} (once) ...", file=sys.stderr, flush=True)
    _clear(path)
    if uv := shutil.which("uv"):
        _install([uv, "venv", "--python", sys.executable, str(path)], title)
        _install([uv, "pip", "install", "--python", str(environment.python), *wanted], title)
    else:
        _install([sys.executable, "-m", "venv", str(path)], title)
        _install([str(environment.python), "-m", "pip", "install", *wanted], title)
    environment.mark_ready(wanted)
    return environment


def _clear(path: Path) -> None:
    """Remove a virtual environment that is of another version or unfinished, and nothing else."""
    if (path / "pyvenv.cfg").is_file():
        shutil.rmtree(path)
    elif path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise BenchmarkError(
            f"{path} exists and is no Python environment; name another place with --peer-env"
        )


def _install(command: list[str], title: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        raise BenchmarkError(
            f"cannot install {title}: {' '.join(lines[-3:])[:300]}; the first run needs a "
            f"package index (or name a finished environment with --peer-env)"
        )
