"""Two selective scans of others in plain torch, in an environment of their own.

- ``selective_scan_ref`` of mamba-ssm: what the authors' own tests compare their kernels with. Its
  module imports Triton; what it needs of that is stubbed, and the installed file is run as it is.
- ``pscan`` of mambapy (alxndrTL/mamba.py): the scan that is trained with where there is no CUDA.

mamba-ssm is a source distribution whose building asks for torch, so it is installed second, without
its dependencies (CUDA tools) and without the isolation that would bring another torch.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import torch

from benchmarks.peers import environment as peer_environment
from benchmarks.peers.environment import PeerEnvironment
from benchmarks.support.timed_process import BenchmarkError, run_timed

VERSION = "2.3.2.post1"
_REQUIREMENTS = ("mambapy==1.2.0", "einops==0.8.2", "setuptools==80.9.0", "wheel==0.45.1",
                 "packaging==25.0", "ninja==1.13.0")  # fmt: skip


def prepare_environment(path: Path | None) -> PeerEnvironment:
    """The peers' environment; see ``peer_environment.prepare``.

    Raises:
        BenchmarkError: it cannot be made.
    """
    path = path or peer_environment.folder_of(f"mamba-ssm-{VERSION}")
    environment = peer_environment.prepare(
        path,
        title=f"mambapy, and torch for mamba-ssm {VERSION}",
        requirements=_REQUIREMENTS,
        reported=("mambapy",),
        shared=("torch",),
    )
    asked = [
        str(environment.python),
        "-c",
        "import importlib.metadata as m; m.version('mamba-ssm')",
    ]
    if subprocess.run(asked, capture_output=True).returncode:
        _install_mamba_ssm(environment)
    return environment


def _install_mamba_ssm(environment: PeerEnvironment) -> None:
    options = ["--no-deps", "--no-build-isolation", f"mamba-ssm=={VERSION}"]
    if uv := shutil.which("uv"):
        command = [uv, "pip", "install", "--python", str(environment.python), *options]
    else:
        command = [str(environment.python), "-m", "pip", "install", *options]
    # without its CUDA kernels, and without looking for a wheel that has them
    plain = {"MAMBA_SKIP_CUDA_BUILD": "TRUE", "MAMBA_FORCE_BUILD": "TRUE"}
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | plain)
    if done.returncode:
        last = " ".join(done.stderr.split())[-300:]
        raise BenchmarkError(f"cannot install mamba-ssm {VERSION}: {last}")


def measure(
    environment: PeerEnvironment,
    inputs: dict[str, torch.Tensor],
    *,
    peer: str,
    what: str,
    repeats: int,
    threads: int,
    work: Path,
) -> dict[str, Any]:
    """Time one peer in a process of its own.

    Args:
        inputs: by the names of ``scan_loops.Inputs``, fp32; dt is taken as softplus(dt + dt_bias).
        peer: "ref" or "mambapy".
        what: "forward" or "both", which is forward and backward.
        work: for files of this measurement.
    Returns:
        "seconds", CPU time of every repeat; "peak_bytes" above what the process held before;
        "y", a file with the output.
    Raises:
        BenchmarkError: the peer fails.
    """
    given = work / f"{peer}-{what}.pt"
    torch.save(inputs, given)
    script = Path(__file__).parent / "inside" / "plain_scans.py"
    options = {"peer": peer, "what": what, "repeats": repeats, "threads": threads}
    command = [environment.python, "-W", "ignore", script, given, json.dumps(options)]
    report = run_timed(command, cwd=work, threads=threads, log=work / f"{peer}-{what}.txt")
    return json.loads(report.lines[-1].text)
