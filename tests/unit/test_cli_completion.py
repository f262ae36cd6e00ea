"""``vlsuite completion``: scripts of three shells that know every command and option."""

import shutil
import subprocess
import sys

import pytest

from vlsuite.cli.completion import SHELLS, script
from vlsuite.cli.main import main


def test_without_the_library_it_is_one_line(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["completion", "bash"]) == 2
    assert capsys.readouterr().err.startswith("error: completion needs shtab; run 'pip install")
    assert main(["completion", "csh"]) == 2
    assert "there is no 'csh'" in capsys.readouterr().err


@pytest.fixture(scope="module")
def scripts():
    pytest.importorskip("shtab", reason="completion needs shtab")
    return {shell: script(shell) for shell in SHELLS}


@pytest.mark.parametrize("shell", SHELLS)
def test_scripts_know_commands_and_options(scripts, shell):
    for word in ("vlsuite", "curate", "doctor", "older-than", "image-folder", "list-recipes"):
        assert word in scripts[shell], word


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["vlsuite", "tra"], {"train"}),
        (["vlsuite", "data", "ins"], {"inspect"}),
        (["vlsuite", "train", "--auto"], {"--auto-resume"}),
        (["vlsuite", "curate", "run", "--qui"], {"--quiet"}),
        (["vlsuite", "completion", "f"], {"fish"}),
        (["vlsuite", "data", "build", "table", "pai"], {"pairs.csv"}),
        (["vlsuite", "data", "build", "shards", "pairs.csv", "mo"], {"more"}),
        (["vlsuite", "data", "build", "image-folder", "mo"], {"more"}),
        (["vlsuite", "data", "build", "video", "pai"], {"pairs.csv"}),
        (["vlsuite", "data", "build", "coco", "--anno"], set()),
    ],
)
def test_bash_completes(scripts, tmp_path, words, wanted):
    if shutil.which("bash") is None:
        pytest.skip("no bash")
    path = tmp_path / "vlsuite.bash"
    path.write_text(scripts["bash"] + (
        f"\nCOMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}\n"
        "_shtab_vlsuite\nprintf '%s\\n' \"${COMPREPLY[@]}\"\n"
    ))  # fmt: skip
    (tmp_path / "pairs.csv").write_text("")
    (tmp_path / "more").mkdir()
    done = subprocess.run(["bash", path], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.stderr == ""
    assert set(done.stdout.split()) == wanted
