"""What ``vlsuite doctor`` looks at: one function a subject, in seconds, changing nothing.

Only the kernel of the selective scan is compiled into the user's cache, as its first use would.
"""

import importlib
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import threading
from importlib import metadata
from pathlib import Path
from typing import Literal, NamedTuple

from data_pipelines.errors import UserError

REINSTALL = "install the package again: 'make clean install', or pip install -r requirements.lock"
_SUPPORTED_PYTHON = ((3, 11), (3, 13))
_REQUIRED = ("open_clip", "webdataset", "tokenizers", "transformers", "safetensors", "einops")
_GIB = 2**30
_NETWORK_SECONDS = 1.5
_COMPILE_SECONDS = 30


class Finding(NamedTuple):
    """What was found out about one subject.

    state: "ok"; "warn" where something optional is missing; "fail" where training cannot work.
    remedy: one line, None where there is nothing to mend.
    """

    state: Literal["ok", "warn", "fail"]
    text: str
    remedy: str | None = None


def check_python() -> Finding:
    """Version of the interpreter."""
    version = f"{platform.python_version()} ({platform.system()} {platform.machine()})"
    low, high = _SUPPORTED_PYTHON
    if not low <= sys.version_info[:2] <= high:
        return Finding("fail", version, "use Python 3.11, 3.12 or 3.13")
    return Finding("ok", version)


def check_packages() -> Finding:
    """Versions of what results depend on; all that training needs is imported."""
    from vlsuite.engine.run_folder import package_versions

    for name in _REQUIRED:
        importlib.import_module(name)
    shown = package_versions()
    return Finding("ok", ", ".join(f"{name} {version}" for name, version in shown.items()))


def check_torch() -> Finding:
    """One gradient on the CPU."""
    import torch

    weight = torch.ones(4, requires_grad=True)
    (weight * 2).sum().backward()
    threads = os.environ.get("OMP_NUM_THREADS")
    limited = f" (OMP_NUM_THREADS={threads})" if threads else ""
    return Finding("ok", f"trains on the CPU, {torch.get_num_threads()} threads{limited}")


def check_gpu() -> Finding:
    """GPUs with memory and bf16."""
    import torch

    if torch.cuda.is_available():
        return Finding("ok", "; ".join(_describe_gpu(i) for i in range(torch.cuda.device_count())))
    if Path("/proc/driver/nvidia/version").exists():
        return Finding(
            "warn",
            f"there is an NVIDIA driver, but torch {torch.__version__} finds no GPU",
            "install a CUDA build of torch and torchvision that suits the driver",
        )
    return Finding("ok", "none: training runs on the CPU")


def _describe_gpu(index: int) -> str:
    import torch

    properties = torch.cuda.get_device_properties(index)
    low_precision = "bf16" if properties.major >= 8 else "no bf16, use fp16"
    return f"{properties.name}, {properties.total_memory / _GIB:.0f} GiB, {low_precision}"


def check_torchvision() -> Finding:
    """Whether the compiled operators load; they do not if torch is of another build."""
    import torch
    from torchvision.ops import nms

    boxes = torch.tensor([[0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 2.0, 1.9], [4.0, 4.0, 5.0, 5.0]])
    try:
        kept = nms(boxes, torch.tensor([0.9, 0.8, 0.7]), 0.5).tolist()
    except (RuntimeError, NotImplementedError) as error:
        return Finding(
            "fail",
            f"compiled operators do not load: {' '.join(str(error).split())[:120]}",
            "install torch and torchvision together, both from the same package index",
        )
    assert kept == [0, 2], f"nms kept {kept}"
    return Finding("ok", "compiled operators load")


def check_deepspeed() -> Finding:
    """Import, and which operators can be built or loaded."""
    import deepspeed
    from deepspeed.ops.op_builder.all_ops import ALL_OPS

    usable, unusable = [], []
    for name, builder in sorted(ALL_OPS.items()):
        if name != "deepspeed_not_implemented":
            (usable if _is_compatible(builder) else unusable).append(name)
    text = f"{deepspeed.__version__}; ops: {', '.join(usable) or 'none'}"
    if unusable:
        text += f"; not: {', '.join(unusable)}"
    if "cpu_adam" not in usable:
        return Finding("warn", text, "CPU offload needs cpu_adam: install a C++ compiler and ninja")
    if "async_io" in unusable:
        return Finding("ok", text, "async_io (only for NVMe offload) needs the libaio headers")
    return Finding("ok", text)


def _is_compatible(builder: object) -> bool:
    """DeepSpeed's own answer; builders raise where a compiler or CUDA is missing."""
    try:
        return bool(builder.is_compatible(verbose=False))  # type: ignore[attr-defined]
    except Exception:
        return False


def check_compiler() -> Finding:
    """Compile a line of C++, as torch.compile and DeepSpeed's operators do."""
    given = os.environ.get("CXX")
    names = (given,) if given else ("c++", "g++", "clang++")
    compiler = next((path for path in map(shutil.which, names) if path), None)
    needed = "torch.compile and CPU offload need a C++ compiler: install g++ or clang, or set CXX"
    if compiler is None:
        return Finding("warn", f"no C++ compiler ({', '.join(names)})", needed)
    with tempfile.TemporaryDirectory() as scratch:
        try:
            done = subprocess.run(
                [compiler, "-x", "c++", "-", "-o", f"{scratch}/out"],
                input="#include <vector>\nint main() { return std::vector<int>(1)[0]; }\n",
                capture_output=True,
                text=True,
                timeout=_COMPILE_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Finding(
                "warn",
                f"{compiler} did not end within {_COMPILE_SECONDS} s",
                "the machine is busy or its disk slow: run 'vlsuite doctor' again",
            )
    if done.returncode:
        return Finding("warn", f"{compiler} fails: {done.stderr.strip()[:120]}", needed)
    if not (Path(sysconfig.get_paths()["include"]) / "Python.h").is_file():
        return Finding(
            "warn",
            f"{compiler} works, but the headers of Python are missing",
            "torch.compile needs Python.h: install your system's python3-dev package",
        )
    return Finding("ok", f"{compiler} works (torch.compile, DeepSpeed ops)")


def check_video() -> Finding:
    """Decode a clip of four frames, made here, as training does."""
    from data_pipelines.video.errors import MissingDecoderError
    from data_pipelines.video.process import VideoProcess
    from vlsuite.cli.tiny_video import tiny_video

    try:
        with VideoProcess() as process:
            shape = process.frames(tiny_video(num_frames=4, side=32), range(4)).shape
    except MissingDecoderError as error:
        return Finding("warn", str(error), REINSTALL)
    except UserError as error:
        return Finding("warn", f"PyAV cannot decode a generated clip: {error}", REINSTALL)
    if shape != (4, 32, 32, 3):
        return Finding("warn", f"PyAV sees frames of {shape}", REINSTALL)
    others = [name for name in ("torchcodec", "decord") if importlib.util.find_spec(name)]
    besides = f"; besides: {', '.join(others)}" if others else ""
    return Finding("ok", f"PyAV {metadata.version('av')} decoded a generated clip{besides}")


def check_mamba() -> Finding:
    """The optional package with CUDA kernels of Mamba; a CPU needs none of it."""
    import torch

    from vlsuite.layers.selective_scan.mamba_ssm_form import why_not

    problem = why_not()
    if problem is None:
        return Finding("ok", f"mamba-ssm {metadata.version('mamba-ssm')} with selective_scan_cuda")
    text = f"{problem.reason} (needs CUDA; nothing on a CPU needs it)"
    return Finding("ok", text, problem.remedy if torch.cuda.is_available() else None)


def check_scan() -> Finding:
    """What computes Mamba's selective scan here; compiles it if need be, and tries it."""
    import torch

    from vlsuite.layers.selective_scan import chosen_path
    from vlsuite.layers.selective_scan.trial import difference_from_torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        path = chosen_path(device)
    except UserError as error:
        return Finding("warn", str(error), "unset VLSUITE_SCAN")
    text = f"{path.name} on {device}: {path.reason}"
    if path.name != "torch":
        difference = difference_from_torch(torch.device(device))
        if not difference < 1e-4:
            return Finding("fail", f"{text}; WRONG by {difference:.0e}", "set VLSUITE_SCAN=torch")
        text += f"; agrees with plain torch to {difference:.0e}"
    return Finding("ok" if path.remedy is None else "warn", text, path.remedy)


def check_cpu() -> Finding:
    """Model and cores; what this process may use can be less than what is there."""
    from vlsuite.engine.run_folder import describe_hardware

    text = describe_hardware()
    if hasattr(os, "sched_getaffinity"):
        text += f"; this process may use {len(os.sched_getaffinity(0))} cores"
    return Finding("ok", text)


def check_memory() -> Finding:
    """Free memory, and the shared memory that data workers pass batches through."""
    free = _available_memory()
    text = "free memory unknown" if free is None else f"{free / _GIB:.1f} GiB free"
    shared = Path("/dev/shm")
    if shared.is_dir():
        size = shutil.disk_usage(shared).total
        text += f", {size / _GIB:.1f} GiB shared"
        if size < 0.5 * _GIB:
            return Finding(
                "warn", text, "enlarge /dev/shm (containers: --shm-size), or use data.num_workers=0"
            )
    if free is not None and free < 2 * _GIB:
        return Finding("warn", text, "close other programs, or lower micro_batch_size")
    return Finding("ok", text)


def _available_memory() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    kib = next((line.split()[1] for line in lines if line.startswith("MemAvailable")), None)
    return None if kib is None else int(kib) * 1024


def check_disk() -> Finding:
    """Free space where runs are written by default."""
    usage = shutil.disk_usage(Path.cwd())
    text = f"{usage.free / _GIB:.0f} GiB free in {Path.cwd()}"
    if usage.free < 5 * _GIB:
        return Finding("warn", text, "free some, or write runs elsewhere with --out")
    return Finding("ok", text)


def check_network() -> Finding:
    """Whether published weights and data sets can be fetched; waits 1.5 seconds at most."""
    from huggingface_hub import constants

    cached = f"weights, tokenizers and data sets come from {constants.HF_HUB_CACHE}"
    if constants.HF_HUB_OFFLINE:
        return Finding("ok", f"offline, as HF_HUB_OFFLINE asks; {cached}")
    answered: list[bool] = []
    # name resolution has no time limit of its own, so it waits in a thread that may be left
    asking = threading.Thread(
        target=lambda: answered.append(_answers(constants.ENDPOINT)), daemon=True
    )
    asking.start()
    asking.join(_NETWORK_SECONDS)
    if answered and answered[0]:
        return Finding("ok", f"online: {constants.ENDPOINT} answers")
    return Finding(
        "ok", f"offline: {cached}", "set HF_HUB_OFFLINE=1, so that nothing waits for the network"
    )


def _answers(address: str) -> bool:
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    try:
        with urlopen(Request(address, method="HEAD"), timeout=_NETWORK_SECONDS):
            return True
    except HTTPError:
        return True
    except OSError:
        return False


#: Subjects in the order they are shown.
CHECKS = {
    "python": check_python,
    "packages": check_packages,
    "torch": check_torch,
    "gpu": check_gpu,
    "torchvision": check_torchvision,
    "deepspeed": check_deepspeed,
    "compiler": check_compiler,
    "video": check_video,
    "mamba": check_mamba,
    "scan": check_scan,
    "cpu": check_cpu,
    "memory": check_memory,
    "disk": check_disk,
    "network": check_network,
}
