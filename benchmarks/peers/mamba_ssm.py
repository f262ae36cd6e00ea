"""mamba-ssm, the authors' package, by its sources: its plain torch references need no build.

The package itself imports Triton and wants a GPU, so it is not installed: files of a clone of
github.com/state-spaces/mamba, or of its unpacked source distribution, are read where they lie, in a
process of their own with this environment's torch.
"""

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from benchmarks.support.timed_process import BenchmarkError, run_timed


class Case(NamedTuple):
    """One question to a reference.

    Attributes:
        inputs: by name.
        weights: what each entry of an output counts in the sum whose gradients are compared; none
            for values alone.
    """

    inputs: dict[str, Tensor]
    weights: dict[str, Tensor]


def answers(folder: Path, cases: dict[str, Case], work: Path) -> dict[str, dict[str, Tensor]]:
    """Outputs of each reference, and gradients as "d INPUT" where there are weights.

    Args:
        folder: holds the package ``mamba_ssm``.
        cases: by name of the reference.
        work: for files of this call.
    Raises:
        BenchmarkError: no such package there, or it fails.
    """
    if not (folder / "mamba_ssm" / "modules" / "ssd_minimal.py").is_file():
        raise BenchmarkError(
            f"no mamba_ssm/modules/ssd_minimal.py in {folder}; name a clone of "
            "github.com/state-spaces/mamba with --peer"
        )
    given, out = work / "inputs.pt", work / "outputs.pt"
    torch.save({name: case._asdict() for name, case in cases.items()}, given)
    script = Path(__file__).parent / "inside" / "mamba_references.py"
    command = [sys.executable, "-W", "ignore", script, folder.resolve(), given, out]
    run_timed(command, cwd=work, threads=1, log=work / "peer.txt")
    return torch.load(out, weights_only=True)


def version_of(folder: Path) -> str:
    """Commit of a clone, else the version of the package."""
    words = ["git", "-C", str(folder), "rev-parse", "--short=10", "HEAD"]
    shown = subprocess.run(words, capture_output=True, text=True)
    if shown.returncode == 0 and (folder / ".git").exists():
        return shown.stdout.strip()
    first = (folder / "mamba_ssm" / "__init__.py").read_text().partition("\n")[0]
    return first.partition('"')[2].rstrip('"')
