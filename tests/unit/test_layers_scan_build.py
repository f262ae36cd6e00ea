"""Compiling the scan's kernel: once, by any number of processes, and said where it cannot be."""

import ctypes
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
import torch

from benchmarks.support import scan_loops
from benchmarks.support.scan_loops import largest_error, made_up
from tests.support.scans import scanned
from vlsuite.errors import ConfigError
from vlsuite.layers.selective_scan import build as building
from vlsuite.layers.selective_scan import chosen_path, native, paths
from vlsuite.layers.selective_scan.build import BuildError, build

pytestmark = pytest.mark.skipif(
    not any(map(shutil.which, ("cc", "gcc", "clang"))), reason="no C compiler here"
)

ROOT = Path(__file__).parents[2]

#: Without the packages around it, which import torch.
_ALONE = """
import ctypes, importlib.util, sys
spec = importlib.util.spec_from_file_location("building", sys.argv[1])
module = importlib.util.module_from_spec(spec)
sys.modules["building"] = module
spec.loader.exec_module(module)
module._FLAGS += ("-O0",)
built, library = module.build(lambda path: ctypes.CDLL(str(path)))
assert library.vlsuite_scan_steps() == 64
print(built.is_new)
"""


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache of this test alone, and nothing remembered before or after."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(building, "_FLAGS", (*building._FLAGS, "-O0"))  # compiles faster
    _forget()
    yield tmp_path / "vlsuite" / "kernels"
    _forget()


def _forget():
    native.library.cache_clear()
    paths._choose.cache_clear()


def load(path: Path) -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL(str(path))
    except OSError:
        return None


def start(**variables):
    return subprocess.Popen(
        [sys.executable, "-c", _ALONE, building.__file__],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | variables,
    )


def compiler_script(tmp_path, body):
    """A compiler that says its version and then does ``body``."""
    path = tmp_path / "strange-cc"
    path.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo "strange 1.0" && exit\n{body}\n')
    path.chmod(0o755)
    return str(path)


def test_the_source_is_packaged():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packaged = settings["tool"]["setuptools"]["package-data"]["vlsuite.layers.selective_scan"]
    assert building.SOURCE.name == "kernel.c"
    assert any(building.SOURCE.match(pattern) for pattern in packaged)


def test_compiled_once(cache):
    first, _ = build(load)
    second, _ = build(load)
    assert (first.is_new, second.is_new) == (True, False)
    assert second.seconds == first.seconds > 0
    assert second.compiler == first.compiler
    assert sorted(path.suffix for path in cache.iterdir()) == [".json", ".so"]
    assert not cache.stat().st_mode & 0o022


def test_the_name_covers_compiler_flags_and_source(cache, monkeypatch, tmp_path):
    command, about = building._compiler()
    names = {building._key(command, about), building._key([*command, "-g"], about)}
    names.add(building._key(command, about + "1"))
    monkeypatch.setattr(building, "_processor", lambda: "another")
    names.add(building._key(command, about))
    monkeypatch.setattr(building, "_FLAGS", ("-O1",))
    names.add(building._key(command, about))
    source = tmp_path / "kernel.c"
    source.write_text("int x;")
    monkeypatch.setattr(building, "SOURCE", source)
    names.add(building._key(command, about))
    assert len(names) == 6


def test_nothing_about_arithmetic_goes_to_the_linker(cache, monkeypatch):
    said = []
    run = building._run

    def listening(command):
        said.append(command)
        return run(command)

    monkeypatch.setattr(building, "_run", listening)
    build(load)
    compiled = next(words for words in said if "-c" in words)
    linked = next(words for words in said if "-shared" in words)
    assert "-O3" in compiled
    assert not any("fast-math" in word for words in said for word in words)
    assert not any(word.startswith(("-f", "-O", "-m")) for word in linked)


def test_several_processes_at_once(cache):
    processes = [start() for _ in range(3)]
    for process in processes:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        assert out.strip() in ("True", "False")
    assert sorted(path.suffix for path in cache.iterdir()) == [".json", ".so"]


def test_a_killed_build_is_no_hindrance(cache, tmp_path):
    slow = compiler_script(tmp_path, 'sleep 60; exec cc "$@"')
    process = start(CC=slow)
    while not list(cache.glob("building-*")):
        assert process.poll() is None
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    (left,) = cache.glob("building-*")
    os.utime(left, (0, 0))
    built, _ = build(load)
    assert built.is_new
    assert sorted(path.suffix for path in cache.iterdir()) == [".json", ".so"]


def test_a_damaged_library_is_built_again(cache):
    assert start().wait(120) == 0  # not by this process, which would still have it
    (library,) = cache.glob("*.so")
    library.write_bytes(b"\x7fELF")
    built, loaded = build(load)
    assert built.is_new
    assert loaded.vlsuite_scan_steps() == 64


def test_no_compiler_is_said_once_and_torch_computes(cache, monkeypatch, caplog, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    inputs = made_up(1, 40, 6, 3)
    with caplog.at_level(logging.INFO):
        found = [scanned(inputs).y for _ in range(3)]
    y, _ = scan_loops.scan(inputs, softplus=True)
    assert largest_error(found[0], y) < 2e-6
    (record,) = [record for record in caplog.records if "selective scan" in record.getMessage()]
    assert record.levelno == logging.WARNING
    assert "torch" in record.getMessage()
    assert "no C compiler (cc, gcc, clang)); install gcc or clang" in record.getMessage()
    assert chosen_path("cpu").name == "torch"
    monkeypatch.setenv("VLSUITE_SCAN", "native")
    with pytest.raises(ConfigError, match="VLSUITE_SCAN=native: no C compiler"):
        scanned(inputs)


def test_a_compiler_that_fails_is_said_in_one_line(cache, monkeypatch, tmp_path):
    script = compiler_script(tmp_path, 'echo "kernel.c:1: error: no stdint.h" >&2; exit 1')
    monkeypatch.setenv("CC", script)
    with pytest.raises(BuildError, match=r"strange-cc cannot compile kernel.c: .*no stdint.h"):
        build(load)
    path = chosen_path("cpu")
    assert path.name == "torch"
    assert "no stdint.h" in path.reason
    assert "\n" not in path.reason
    assert path.remedy
    assert not any(cache.iterdir())


def test_a_compiler_that_lacks_native_tuning(cache, monkeypatch, tmp_path):
    body = 'case "$*" in *-march=native*|*-mcpu=native*) exit 1;; esac; exec cc "$@"'
    monkeypatch.setenv("CC", compiler_script(tmp_path, body))
    inputs = made_up(2, 100, 40, 5)
    y, _ = scan_loops.scan(inputs, softplus=True)
    assert chosen_path("cpu").name == "native"
    assert largest_error(scanned(inputs).y, y) < 2e-6
    assert native.opened_library().wide == 8


def test_a_compiler_that_hangs(cache, monkeypatch, tmp_path):
    monkeypatch.setenv("CC", compiler_script(tmp_path, "exec sleep 60"))
    monkeypatch.setattr(building, "_SECONDS", 0.5)
    with pytest.raises(BuildError, match=r"has not finished in 0.5 s; name another with CC"):
        build(load)


def test_a_cache_that_cannot_be_written_is_said(cache, monkeypatch, caplog, tmp_path):
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(file))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(building.tempfile, "tempdir", None)
    with caplog.at_level(logging.INFO):
        path = chosen_path("cpu")
    assert path.name == "native"
    assert "for this process alone" in path.reason
    assert "XDG_CACHE_HOME" in (path.remedy or "")
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert torch.isfinite(scanned(made_up(1, 20, 4, 2)).y).all()
    assert not list(tmp_path.glob("vlsuite-kernels-*"))


def test_no_folder_at_all(cache, monkeypatch, tmp_path):
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(file))
    monkeypatch.setattr(building.tempfile, "tempdir", str(file))
    with pytest.raises(BuildError, match=r"cannot be written .*, nor a temporary folder"):
        build(load)


def test_the_library_of_another_user_is_not_loaded(cache, monkeypatch):
    build(load)
    monkeypatch.setattr(building.os, "getuid", lambda: 12345)
    (library,) = cache.glob("*.so")
    os.chown(library, 54321, -1) if os.geteuid() == 0 else pytest.skip("only root gives files away")
    assert building._stored(library) is None
