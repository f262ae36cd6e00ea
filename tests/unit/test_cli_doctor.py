import json
import time

import numpy as np
import pytest
import torch
import torchvision
from huggingface_hub import constants

from data_pipelines.video.reader import VideoReader
from vlsuite.cli import doctor_checks
from vlsuite.cli.doctor import examine
from vlsuite.cli.doctor_checks import CHECKS, Finding
from vlsuite.cli.main import main
from vlsuite.cli.tiny_video import tiny_video


@pytest.fixture(autouse=True)
def _offline(monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


@pytest.fixture(scope="module")
def findings():
    """Every check, once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "HF_HUB_OFFLINE", True)
        return {name: examine(check) for name, check in CHECKS.items()}


def only(monkeypatch, **checks):
    monkeypatch.setattr(
        doctor_checks, "CHECKS", {name: lambda f=f: f for name, f in checks.items()}
    )


def test_this_machine_can_train(findings):
    assert [name for name, finding in findings.items() if finding.state == "fail"] == []


def test_what_is_looked_at(findings):
    assert "open_clip_torch" in findings["packages"].text
    assert "compiled operators load" in findings["torchvision"].text
    assert "ops:" in findings["deepspeed"].text
    assert "GiB free" in findings["disk"].text
    assert "HF_HUB_OFFLINE" in findings["network"].text
    assert "PyAV" in findings["video"].text
    assert ("GiB" in findings["gpu"].text) == torch.cuda.is_available()


def test_every_gap_has_a_remedy(findings):
    for name, finding in findings.items():
        assert finding.state == "ok" or finding.remedy, name
        assert "\n" not in finding.text + (finding.remedy or ""), name


def test_no_package_registry_is_named(findings):
    text = str(findings).lower()
    assert "pypi" not in text
    assert "conda.org" not in text


def test_all_well(monkeypatch, capsys):
    only(monkeypatch, one=Finding("ok", "fine"), two=Finding("warn", "gone", "bring it back"))
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "ok    one  fine" in out
    assert "-> bring it back" in out
    assert "ready to train" in out


def test_what_fails_decides_the_exit_code(monkeypatch, capsys):
    only(monkeypatch, one=Finding("ok", "fine"), two=Finding("fail", "gone", "bring it back"))
    assert main(["doctor"]) == 1
    assert "mend two" in capsys.readouterr().out
    assert main(["doctor", "--json"]) == 1
    printed = json.loads(capsys.readouterr().out)
    assert printed["can_train_on_cpu"] is False
    assert printed["checks"]["two"] == {
        "state": "fail",
        "text": "gone",
        "remedy": "bring it back",
    }


def test_a_check_that_raises_is_a_finding(capsys):
    def check():
        print("chatter of a library")
        raise ImportError("libfoo.so.1: cannot open\nshared object file")

    finding = examine(check)
    assert finding.state == "fail"
    assert "ImportError: libfoo.so.1: cannot open shared object file" in finding.text
    assert finding.remedy
    assert capsys.readouterr().out == ""


def test_operators_that_do_not_load(monkeypatch):
    def nms(*_):
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr(torchvision.ops, "nms", nms)
    finding = CHECKS["torchvision"]()
    assert finding.state == "fail"
    assert "same package index" in (finding.remedy or "")


def test_no_compiler(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    finding = CHECKS["compiler"]()
    assert finding.state == "warn"
    assert "g++" in (finding.remedy or "")


def test_a_compiler_that_takes_too_long(monkeypatch, tmp_path):
    slow = tmp_path / "c++"
    slow.write_text("#!/bin/sh\nexec sleep 20\n")
    slow.chmod(0o755)
    monkeypatch.setenv("CXX", str(slow))
    monkeypatch.setattr(doctor_checks, "_COMPILE_SECONDS", 0.1)
    finding = CHECKS["compiler"]()
    assert finding.state == "warn"
    assert "again" in (finding.remedy or "")


def test_no_video_decoder(monkeypatch, tmp_path):
    (tmp_path / "av.py").write_text("raise ImportError('no av')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    finding = CHECKS["video"]()
    assert finding.state == "warn"
    assert "cannot read videos" in finding.text


def test_little_disk(monkeypatch):
    usage = doctor_checks.shutil._ntuple_diskusage(10**12, 10**12, 2 * 2**30)
    monkeypatch.setattr(doctor_checks.shutil, "disk_usage", lambda _: usage)
    assert CHECKS["disk"]().state == "warn"


@pytest.mark.parametrize(("answer", "word"), [(True, "online"), (False, "offline")])
def test_network(monkeypatch, answer, word):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(doctor_checks, "_answers", lambda _: answer)
    finding = CHECKS["network"]()
    assert finding.state == "ok"
    assert finding.text.startswith(word)


def test_a_network_that_never_answers_is_left_alone(monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(doctor_checks, "_NETWORK_SECONDS", 0.05)
    monkeypatch.setattr(doctor_checks, "_answers", lambda _: time.sleep(30))
    began = time.monotonic()
    assert CHECKS["network"]().text.startswith("offline")
    assert time.monotonic() - began < 2


def test_the_generated_clip_is_a_video(tmp_path):
    path = tmp_path / "clip.avi"
    path.write_bytes(tiny_video(num_frames=5, side=64))
    with VideoReader.open(path) as reader:
        frames = reader.frames(range(len(reader)))
    assert frames.shape == (5, 64, 64, 3)
    red, green, blue = frames.mean(axis=(1, 2)).T
    assert (np.diff(red) > 20).all()
    assert green.max() < 10
    assert blue.min() > 240


def test_the_scan_is_tried(findings):
    assert findings["scan"].text.startswith(("native on", "torch on", "mamba_ssm on"))
    if findings["scan"].text.startswith("native"):
        assert "compiled in" in findings["scan"].text
        assert "agrees with plain torch to" in findings["scan"].text


def test_no_compiler_for_the_scan(monkeypatch, tmp_path):
    from vlsuite.layers.selective_scan import native, paths

    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for cached in (native.library, paths._choose):
        cached.cache_clear()
    finding = CHECKS["scan"]()
    for cached in (native.library, paths._choose):
        cached.cache_clear()
    assert finding.state == "warn"
    assert finding.text.startswith("torch on cpu")
    assert "install gcc or clang" in (finding.remedy or "")


def test_a_scan_that_is_wrong(monkeypatch):
    from vlsuite.layers.selective_scan import native, trial
    from vlsuite.layers.selective_scan.build import BuildError

    if isinstance(native.library(), BuildError):
        pytest.skip(str(native.library()))
    monkeypatch.setattr(trial, "difference_from_torch", lambda _: float("nan"))
    finding = CHECKS["scan"]()
    assert finding.state == "fail"
    assert finding.remedy == "set VLSUITE_SCAN=torch"


def test_an_unknown_scan_is_no_failure(monkeypatch):
    monkeypatch.setenv("VLSUITE_SCAN", "fast")
    finding = CHECKS["scan"]()
    assert finding.state == "warn"
    assert "unknown" in finding.text
