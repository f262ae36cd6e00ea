"""A torchvision of another build than torch is said in one line."""

import pytest

from vlsuite import torchvision_operators
from vlsuite.cli import main as command
from vlsuite.errors import ConfigError

MESSAGE = "operator torchvision::nms does not exist"


def test_they_run_here():
    torchvision_operators.require_operators()


def test_a_missing_operator_is_one_line_with_the_remedy(monkeypatch):
    def missing(*args):
        raise RuntimeError(MESSAGE)

    monkeypatch.setattr("torchvision.ops.nms", missing)
    with pytest.raises(ConfigError, match=r"torchvision .* was not built for torch .*pip install"):
        torchvision_operators.require_operators()


@pytest.mark.parametrize("error", [RuntimeError, ImportError])
def test_an_import_that_fails_ends_the_command(monkeypatch, capsys, error):
    def broken(name):
        raise error(MESSAGE)

    monkeypatch.setattr(command.importlib, "import_module", broken)
    assert command.main(["doctor"]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "torchvision" in told


def test_other_errors_stay_what_they_are(monkeypatch):
    def broken(name):
        raise RuntimeError("something else")

    monkeypatch.setattr(command.importlib, "import_module", broken)
    with pytest.raises(RuntimeError, match="something else"):
        command.main(["doctor"])
