"""Every example runs as its docstring says, on the emoji of ``make demo``, in this process."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

import vlsuite
from vlsuite.cli.main import main

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
TINY = ("model.name=vlsuite-micro-32", "data.num_workers=0", "global_batch_size=16", "threads=1")
SETTINGS = [f"--set={text}" for text in TINY]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Data, run folder and two pictures; made by the example that trains."""
    root = tmp_path_factory.mktemp("examples")
    data, out = root / "emoji", root / "small"
    _run("train_small_clip.py", f"--data={data}", f"--out={out}", "--duration=2steps", *SETTINGS)
    pictures = root / "pictures"
    pictures.mkdir()
    for number, sample in enumerate(vlsuite.open_shards(data / "line_art")[:3]):
        (pictures / f"{number}.png").write_bytes(sample.image_bytes)
    return root


def test_train_small_clip_again_goes_on(trained, capsys):
    data, out = trained / "emoji", trained / "small"
    _run("train_small_clip.py", f"--data={data}", f"--out={out}", "--duration=3steps", *SETTINGS)
    assert "step 3, loss" in capsys.readouterr().out
    assert list((out / "results").glob("*zero_shot.json"))


def test_embed_folder(trained, capsys):
    out = trained / "embeds.npz"
    _run("embed_folder.py", str(trained / "small"), str(trained / "pictures"), f"--out={out}")
    stored = np.load(out)
    assert len(stored["paths"]) == 3
    np.testing.assert_allclose(np.linalg.norm(stored["embeds"], axis=1), 1.0, rtol=1e-5)
    assert "3 pictures" in capsys.readouterr().out


def test_zero_shot_own_classes(trained, capsys):
    pictures = [str(trained / "pictures" / f"{number}.png") for number in range(2)]
    classes = ["red apple", "pear"]
    _run("zero_shot_own_classes.py", str(trained / "small"), *pictures, "--classes", *classes)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert all(any(f": {name} (" in line for name in classes) for line in lines)


def test_evaluate_own_model(trained, capsys):
    _run("evaluate_own_model.py", str(trained / "emoji" / "line_art"), "--task", "zero_shot")
    assert "line_art zero_shot top1: 0." in capsys.readouterr().out


def test_own_objective(trained):
    settings = [*TINY, f"data.train={trained / 'emoji' / 'train'}", "duration=2steps"]
    settings += ["objective=focal", "objective.gamma=1", "logging.every=1steps"]
    words = ["train", "emoji", "--import", str(EXAMPLES / "own_objective.py")]
    words += ["--out", str(trained / "focal"), *(f"--set={text}" for text in settings)]
    assert main(words) == 0
    model = vlsuite.load_model(trained / "focal")
    assert vlsuite.embed_texts(model, "a cat").shape == (1, model.embed_dim)


def test_own_benchmark(trained, tmp_path, capsys):
    out = tmp_path / "results"
    words = ["eval", str(trained / "small"), "--data", str(trained / "emoji" / "line_art")]
    words += ["--import", str(EXAMPLES / "own_benchmark.py"), "--task", "dimmed", "--no-cache"]
    assert main([*words, "--set", "dimmed.brightness=0.3", "--out", str(out)]) == 0
    assert "Dimmed" in capsys.readouterr().out or list(out.glob("*dimmed.json"))
    (result,) = vlsuite.evaluate(
        trained / "small",
        trained / "emoji" / "line_art",
        tasks="dimmed",
        options={"dimmed.brightness": 1.0},
        cache=False,
    )
    assert result.scores["same_class"].value == 1.0
    assert main([*words, "--set", "dimmed.brightness=3", "--out", str(out)]) == 2
    assert "dimmed.brightness=3.0 must lie in (0, 1]" in capsys.readouterr().err


def test_every_example_is_run_here():
    tested = Path(__file__).read_text(encoding="utf-8")
    for path in EXAMPLES.glob("*.py"):
        assert f'"{path.name}"' in tested


def _run(name: str, *arguments: str) -> None:
    before = sys.argv
    sys.argv = [str(EXAMPLES / name), *arguments]
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    finally:
        sys.argv = before
