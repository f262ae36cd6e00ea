"""Which process this is, started by the deepspeed launcher, torchrun, Slurm or by hand."""

import logging
import os
import socket
import subprocess
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import distributed as dist

from vlsuite.engine.peers import peers_lost_as_error
from vlsuite.errors import ConfigError

_SLURM = {"RANK": "SLURM_PROCID", "WORLD_SIZE": "SLURM_NTASKS", "LOCAL_RANK": "SLURM_LOCALID"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Context:
    """This process among its peers.

    Attributes:
        rank: 0 to world_size - 1 over all hosts.
        local_rank: number of this process on its host.
        world_size: processes over all hosts.
        device: where this process computes.
    """

    rank: int
    local_rank: int
    world_size: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        """Whether this process writes the logs and files."""
        return self.rank == 0

    def barrier(self) -> None:
        """Wait for all processes."""
        if self.world_size > 1:
            dist.barrier()


def start_distributed(*, threads: int | None = None, timeout: float = 1800.0) -> Context:
    """Join the process group, creating one of size 1 where nothing launched us.

    Reads RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT (deepspeed, torchrun), else the
    SLURM_* variables of srun. Without a GPU, DeepSpeed is told to use the CPU and gloo.

    Args:
        threads: CPU threads of this process; None leaves torch's choice.
        timeout: seconds a collective may wait for a peer.
    Raises:
        ConfigError: a launcher set some of the variables and not the others.
        LostContactError: another process did not come.
    """
    has_gpu = torch.cuda.is_available()
    if not has_gpu:
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    if threads is not None:
        torch.set_num_threads(threads)
    _complete_environment()
    context = Context(
        rank=int(os.environ["RANK"]),
        local_rank=int(os.environ["LOCAL_RANK"]),
        world_size=int(os.environ["WORLD_SIZE"]),
        device=torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        if has_gpu
        else torch.device("cpu"),
    )
    if has_gpu:
        torch.cuda.set_device(context.device)
        torch.backends.cuda.matmul.allow_tf32 = True
    with peers_lost_as_error(context.world_size):
        _start_deepspeed("nccl" if has_gpu else "gloo", timedelta(seconds=timeout))
    return context


def _start_deepspeed(backend: str, timeout: timedelta) -> None:
    logging.getLogger("DeepSpeed").setLevel(logging.WARNING)
    import deepspeed
    from deepspeed import ops

    if backend == "gloo":
        # Its shared-memory collectives are compiled at first use (about 40 s), and a compile
        # that was killed leaves a lock that hangs every later run. gloo needs neither.
        ops.__compatible_ops__["deepspeed_shm_comm"] = False
    deepspeed.init_distributed(dist_backend=backend, timeout=timeout, verbose=False)


def _complete_environment() -> None:
    """Fill in what the launcher left out, so that one set of variables describes every case."""
    env = os.environ
    if "RANK" not in env and "SLURM_PROCID" in env and "SLURM_STEP_ID" in env:
        for name, source in _SLURM.items():
            env.setdefault(name, env[source])
        if "MASTER_ADDR" not in env:
            env["MASTER_ADDR"] = _first_slurm_host(env["SLURM_STEP_NODELIST"])
        env.setdefault("MASTER_PORT", str(20000 + int(env["SLURM_JOB_ID"]) % 20000))
    if "RANK" not in env and "WORLD_SIZE" not in env:
        env.update(RANK="0", WORLD_SIZE="1", LOCAL_RANK="0")
        env.setdefault("MASTER_ADDR", "127.0.0.1")
        env.setdefault("MASTER_PORT", str(_free_port()))
    missing = [
        name
        for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
        if name not in env
    ]
    if missing:
        raise ConfigError(
            f"the launcher set some of the variables of a process group but not "
            f"{', '.join(missing)}; start with deepspeed, torchrun or srun, or unset RANK"
        )


def _first_slurm_host(nodes: str) -> str:
    command = ["scontrol", "show", "hostnames", nodes]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise ConfigError(
            f"cannot list the hosts of this Slurm job with '{' '.join(command)}' ({error}); "
            f"export MASTER_ADDR=<first host> before srun"
        ) from error
    return listed.split()[0]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
