"""``vlsuite data`` as a user types it."""

import pytest

from tests.support.shards import picture
from vlsuite.cli.main import main


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(3):
        (folder / f"photo_{number}.png").write_bytes(picture(number))
    (folder / "broken_one.png").write_bytes(b"html")
    return folder


def _build(photos, out, *more):
    options = ["--captions", "name", "--out", str(out)]
    return main(["data", "build", "image-folder", str(photos), *options, *more])


def test_build_validate_inspect(photos, tmp_path, capsys):
    out = tmp_path / "out"
    assert _build(photos, out, "--licence", "CC0") == 0
    printed = capsys.readouterr().out
    assert "3 samples in 1 shard" in printed
    assert "skipped 1: not an image" in printed
    assert main(["data", "validate", str(out)]) == 0
    assert "no problems" in capsys.readouterr().out
    sheet = tmp_path / "sheet.png"
    assert main(["data", "inspect", str(out), "--contact-sheet", str(sheet)]) == 0
    assert sheet.exists()


def test_manifests_of_two_folders_are_equal(photos, tmp_path):
    for name in ("a", "b"):
        _build(photos, tmp_path / name, "--shard-samples", "2")
    first, second = ((tmp_path / name / "manifest.json").read_text() for name in ("a", "b"))
    assert first == second
    assert "--shard-samples 2" in first


def test_benchmark_layout_by_option(photos, tmp_path):
    out = tmp_path / "out"
    assert _build(photos, out, "--layout", "benchmark", "--split", "val") == 0
    assert (out / "dataset_type.txt").read_text() == "retrieval\n"
    assert (out / "val" / "nshards.txt").read_text() == "1\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["build", "image-folder", "absent", "--out", "x"], "check the path"),
        (["build", "table", "absent.csv", "--out", "x"], "check the path"),
        (["validate", "absent.tar"], "no shard (.tar) at absent.tar"),
        (["inspect", "absent-{0..1}.tar"], "does not exist"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(arguments, message, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert main(["data", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert message in error
    assert not list(tmp_path.iterdir())


def test_existing_folder_is_refused_unless_overwritten(photos, tmp_path, capsys):
    assert _build(photos, tmp_path / "out") == 0
    assert _build(photos, tmp_path / "out") == 2
    assert "--overwrite" in capsys.readouterr().err
    assert _build(photos, tmp_path / "out", "--overwrite") == 0


def test_problems_give_exit_code_1(photos, tmp_path, capsys):
    _build(photos, tmp_path / "out")
    (tmp_path / "out" / "shard-000000.tar").write_bytes(b"")
    assert main(["data", "validate", str(tmp_path / "out")]) == 1
    assert "differs from its manifest" in capsys.readouterr().out


def test_tokenizer_is_learned_from_captions(photos, tmp_path, capsys):
    _build(photos, tmp_path / "out")
    arguments = ["--vocab-size", "300", "--out", str(tmp_path / "tokenizer")]
    assert main(["data", "tokenizer", str(tmp_path / "out"), *arguments]) == 0
    assert "vocabulary of" in capsys.readouterr().out
    assert any((tmp_path / "tokenizer").iterdir())


@pytest.mark.parametrize("action", [[], ["build"], ["build", "table"], ["validate"], ["inspect"]])
def test_help_shows_an_example(action, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["data", *action, "--help"])
    assert ended.value.code == 0
    assert "vlsuite data" in capsys.readouterr().out
