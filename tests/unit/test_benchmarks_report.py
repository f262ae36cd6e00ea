import json

import pytest

from benchmarks.support import report
from benchmarks.support.environment import Environment, Hardware, describe

HARDWARE = Hardware(cpu="Some CPU (R) 3", cores=2, memory_gib=8.0, gpus=())
ENVIRONMENT = Environment(commit="abc", hardware=HARDWARE, versions={"torch": "2"})


def test_last_line_is_one_json_object_with_provenance(capsys):
    report.finish("speed", {"ratio": 1.5}, ENVIRONMENT, config={"seed": 0}, save=False)
    record = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert record["ratio"] == 1.5
    assert record["config"] == {"seed": 0}
    assert record["commit"] == "abc"
    assert record["hardware"]["cores"] == 2
    assert record["versions"] == {"torch": "2"}


def test_saved_results_are_appended(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(report, "_RESULTS", tmp_path)
    for ratio in (1.0, 2.0):
        report.finish("speed", {"ratio": ratio}, ENVIRONMENT, config={}, save=True)
    assert capsys.readouterr().out.count("saved to") == 2
    (path,) = tmp_path.iterdir()
    assert path.name.startswith("speed_some-cpu-r-3-2c_")
    assert [record["ratio"] for record in json.loads(path.read_text())] == [1.0, 2.0]


def test_this_machine_can_be_described():
    environment = describe()
    assert environment.commit
    assert environment.hardware.cores >= 1
    assert environment.hardware.memory_gib > 0
    assert environment.versions["torch"] == pytest.importorskip("torch").__version__.split("+")[0]


def test_hardware_is_named_after_its_gpus():
    hardware = Hardware(cpu="c", cores=8, memory_gib=1.0, gpus=("Some GPU 80GB",) * 2)
    assert hardware.slug == "2x-some-gpu-80gb"
