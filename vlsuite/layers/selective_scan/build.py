"""Compiles ``kernel.c`` once with the system's compiler and keeps the library for later processes.

It lies in the user's cache folder (``$XDG_CACHE_HOME/vlsuite/kernels``) under a name that covers
all it depends on: source, flags, compiler and its version, processor, C library. It is built in a
folder of its own and then renamed, so any number of processes may do so at once, one that is killed
leaves nothing that would be used, and there is no lock. Where the cache cannot be used, the library
is built in a temporary folder, for this process alone.

Objects are compiled without -ffast-math, and it is never given to the linker: GCC 12 would then
link code that flushes denormal numbers to zero in the whole process.
"""

import hashlib
import json
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, TypeVar

from data_pipelines.shards.sidecar import cache_folder

SOURCE = Path(__file__).with_name("kernel.c")

_FLAGS = ("-std=gnu11", "-O3", "-fPIC", "-fno-math-errno", "-fno-trapping-math",
          "-ffp-contract=fast", "-Wno-psabi")  # fmt: skip
#: What makes use of this processor; some compilers know only the last or none of them.
_TUNINGS = (("-march=native",), ("-mcpu=native",), ())
_SECONDS = 120
_LEFT_OVER_SECONDS = 3600

Loaded = TypeVar("Loaded")


class BuildError(Exception):
    """There is no library; the text says why, and what to do, in one line."""


class Built(NamedTuple):
    """Where a library is from.

    Attributes:
        compiler: the first line that it says about itself.
        seconds: that compiling took, when it was compiled.
        is_new: it was compiled by this call.
        not_kept: why the next process has to compile it again; None where it has not.
    """

    compiler: str
    seconds: float
    is_new: bool
    not_kept: str | None = None


def build(load: Callable[[Path], Loaded | None]) -> tuple[Built, Loaded]:
    """The library, from the cache where it is there.

    Args:
        load: opens a library; None where that fails: one that is damaged or lies where nothing may
            be executed is built again, elsewhere.
    Raises:
        BuildError: no compiler, it fails, or no folder can be written.
    """
    command, about = _compiler()
    name = f"selective_scan-{_key(command, about)}.so"
    folder = cache_folder() / "kernels"
    with suppress(OSError):
        built = _stored(folder / name)
        loaded = None if built is None else load(folder / name)
        if built is not None and loaded is not None:
            return built, loaded
    try:
        built = _compile(command, about, folder, name)
        loaded = load(folder / name)
        if loaded is not None:
            return built, loaded
        problem = f"libraries in {folder} cannot be loaded"
    except OSError as error:
        problem = f"{folder} cannot be written ({error.strerror or error})"
    return _for_this_process(command, about, name, load, problem)


def _for_this_process(
    command: list[str],
    about: str,
    name: str,
    load: Callable[[Path], Loaded | None],
    problem: str,
) -> tuple[Built, Loaded]:
    """Compile in a folder that goes away; its name cannot be known beforehand.

    Raises:
        BuildError: that fails too.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="vlsuite-kernels-") as folder:
            built = _compile(command, about, Path(folder), name)
            loaded = load(Path(folder) / name)
    except OSError as error:
        problem += f", nor a temporary folder ({error.strerror or error})"
        loaded = None
    if loaded is None:
        raise BuildError(f"{problem}; set XDG_CACHE_HOME to a folder of yours")
    return built._replace(not_kept=problem), loaded


def _compiler() -> tuple[list[str], str]:
    """The command, and what the compiler says about itself."""
    given = os.environ.get("CC")
    candidates = [shlex.split(given)] if given else [["cc"], ["gcc"], ["clang"]]
    for words in candidates:
        path = shutil.which(words[0]) if words else None
        if path is not None:
            command = [path, *words[1:]]
            with suppress(OSError, subprocess.SubprocessError):
                done = _run([*command, "--version"])
                if done.returncode == 0 and done.stdout.strip():
                    return command, done.stdout.strip().splitlines()[0]
    tried = given or "cc, gcc, clang"
    raise BuildError(f"no C compiler ({tried}); install gcc or clang, or name one with CC")


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, capture_output=True, text=True, errors="replace", timeout=_SECONDS, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


def _key(command: list[str], about: str) -> str:
    """Covers whatever the library depends on."""
    parts = [SOURCE.read_text(encoding="utf-8"), repr((_FLAGS, _TUNINGS)), repr(command), about,
             *platform.libc_ver(), platform.machine(), _processor()]  # fmt: skip
    return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:24]


def _processor() -> str:
    """Model and instruction sets: -march=native depends on them, and homes are shared."""
    kept = ("model name", "flags", "Features", "CPU part", "CPU implementer")
    with suppress(OSError):
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
        lines = text.split("\n\n")[0].splitlines()
        return "\n".join(line for line in lines if line.startswith(kept))
    return platform.processor()


def _stored(path: Path) -> Built | None:
    """A library of an earlier process; None where it is not there or is somebody else's."""
    status = path.stat()
    if hasattr(os, "getuid") and status.st_uid not in (os.getuid(), 0):
        return None
    try:
        notes = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        return Built(str(notes["compiler"]), float(notes["seconds"]), is_new=False)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _compile(command: list[str], about: str, folder: Path, name: str) -> Built:
    """Build in a folder beside the final place, then rename.

    Raises:
        BuildError: the compiler fails.
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    _clear_left_overs(folder)
    began = time.monotonic()
    work = Path(tempfile.mkdtemp(prefix="building-", dir=folder))
    try:
        library = _compile_in(command, work)
        seconds = time.monotonic() - began
        notes = work / "notes.json"
        notes.write_text(json.dumps({"compiler": about, "seconds": seconds}), encoding="utf-8")
        target = folder / name
        os.replace(notes, target.with_suffix(".json"))
        _to_disk(library)
        os.replace(library, target)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return Built(about, seconds, is_new=True)


def _compile_in(command: list[str], work: Path) -> Path:
    """Object first, then the library: the linker gets no flag about arithmetic."""
    object_file, library = work / "kernel.o", work / "kernel.so"
    said = ""
    for tuning in _TUNINGS:
        words = [*command, *_FLAGS, *tuning, "-c", str(SOURCE), "-o", str(object_file)]
        done = _finish(words)
        if done.returncode == 0:
            break
        said = said or done.stderr
    else:
        raise BuildError(f"{command[0]} cannot compile {SOURCE.name}: {_first_error(said)}")
    done = _finish([*command, "-shared", "-pthread", str(object_file), "-o", str(library)])
    if done.returncode or not library.is_file():
        raise BuildError(f"{command[0]} cannot link {SOURCE.name}: {_first_error(done.stderr)}")
    return library


def _finish(words: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return _run(words)
    except subprocess.TimeoutExpired:
        raise BuildError(
            f"{words[0]} has not finished in {_SECONDS} s; name another with CC"
        ) from None


def _first_error(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    telling = next((line for line in lines if "error" in line.lower()), lines[-1] if lines else "")
    return (telling or "it says nothing")[:200]


def _to_disk(path: Path) -> None:
    """A library that a power cut leaves half written would kill those who load it."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _clear_left_overs(folder: Path) -> None:
    """Folders of builds that were killed; younger ones may be at work."""
    for path in folder.glob("building-*"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > _LEFT_OVER_SECONDS:
                shutil.rmtree(path, ignore_errors=True)
