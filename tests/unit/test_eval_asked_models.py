"""Models that are asked in words, in ``vlsuite eval``: what they are shown, asked and kept from."""

import base64
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.support.omni_questions import write_github_form
from benchmarks.support.omni_server import OmniServer, letter_model
from eval.respondents.endpoint import Endpoint
from eval.respondents.endpoint_config import EndpointConfig
from eval.respondents.instructed import BRIEFLY, DESCRIBE
from eval.respondents.pixels import Fitted, as_png
from tests.support.evaluation_data import noise_png, write_evaluation_folder
from tests.support.omni_models import random_omni
from vlsuite.cli.main import main


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five pictures of two sizes with captions, a question each and the answer of people."""
    samples = []
    for number in range(5):
        told = {
            "caption": f"picture {number}",
            "question": f"What is number {number}?",
            "answers": ["word"] * 10,
        }
        png = noise_png(number, side=(16, 40)[number % 2])
        samples.append({"png": png, "json": json.dumps(told).encode(), "txt": b"a picture"})
    return write_evaluation_folder(tmp_path_factory.mktemp("asked") / "pictures", samples)


@pytest.fixture(scope="module")
def omni(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_omni(tmp_path_factory.mktemp("omni") / "tiny")


@pytest.fixture(scope="module")
def questions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_github_form(tmp_path_factory.mktemp("asked") / "OmniBench", 6)


def evaluate(model: str, data: Path, folder: Path, *options: str) -> int:
    words = ["eval", model, "--data", str(data), "--device", "cpu", "--batch-size", "4"]
    return main([*words, "--cache", str(folder / "cache"), "--out", str(folder / "out"), *options])


def result(folder: Path, end: str) -> dict[str, Any]:
    (path,) = (folder / "out").glob(f"*{end}.json")
    return json.loads(path.read_text())


def describing(request: dict[str, Any]) -> str:
    """Depends on everything in the request."""
    return f"word {hashlib.sha256(json.dumps(request['messages']).encode()).hexdigest()[:6]}"


def asked(body: bytes) -> tuple[Image.Image, str]:
    """Picture and text of a request."""
    image, text = json.loads(body)["messages"][-1]["content"]
    data = image["image_url"]["url"].removeprefix("data:image/png;base64,")
    return Image.open(io.BytesIO(base64.b64decode(data))), text["text"]


@pytest.mark.parametrize("size", [(1, 1), (5, 9), (32, 32), (7, 32)])
def test_pictures_that_fit_arrive_pixel_by_pixel(size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(1, 256, (size[1], size[0], 3), dtype=np.uint8)
    fitted = Fitted(32)(Image.fromarray(pixels))
    assert fitted.shape == (3, 32, 32)
    back = np.asarray(Image.open(io.BytesIO(as_png(fitted, name="p").read())))
    np.testing.assert_array_equal(back, pixels)


def test_large_pictures_keep_their_shape_and_black_ones_are_there() -> None:
    large = Image.fromarray(np.full((50, 100, 3), 200, dtype=np.uint8))
    fitted = Fitted(32)(large)
    assert Image.open(io.BytesIO(as_png(fitted, name="p").read())).size == (32, 16)
    black = torch.zeros(3, 8, 8, dtype=torch.uint8)
    assert Image.open(io.BytesIO(as_png(black, name="p").read())).size == (8, 8)


def test_an_endpoint_writes_captions_and_answers(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("OWN_KEY", "secret")
    tasks = ["--task", "captioning", "--task", "vqa", "--set", "model.key_env=OWN_KEY"]
    with OmniServer(describing, keep_bodies=True, api_key="secret") as server:
        model = f"{server.url}#describer"
        assert evaluate(model, pictures, tmp_path, *tasks) == 0
        bodies = [json.loads(body) for body in server.ledger.bodies]
        assert "10 requests sent" in capsys.readouterr().err
        assert {body["max_tokens"] for body in bodies} == {30, 10}
        assert {body["temperature"] for body in bodies} == {0.0}
        shown = [asked(body) for body in server.ledger.bodies]
        assert {text for _, text in shown} == {DESCRIBE} | {
            f"What is number {number}?\n{BRIEFLY}" for number in range(5)
        }
        stored = {noise_png(number, side=(16, 40)[number % 2]) for number in range(5)}
        assert {image.tobytes() for image, _ in shown} == {
            Image.open(io.BytesIO(png)).convert("RGB").tobytes() for png in stored
        }
        assert result(tmp_path, "captioning")["num_samples"] == 5
        assert result(tmp_path, "vqa")["num_samples"] == 5
        assert evaluate(model, pictures, tmp_path, *tasks) == 0
        assert capsys.readouterr().out.count("finished earlier, kept") == 2
        assert evaluate(model, pictures, tmp_path / "new", *tasks) == 0
        assert len(server.ledger.bodies) == 10
        own = ["--set", "captioning.prompt=What is this?", "--task", "captioning"]
        assert evaluate(model, pictures, tmp_path, *own, "--set", "model.key_env=OWN_KEY") == 0
        assert asked(server.ledger.bodies[-1])[1] == "What is this?"


def test_a_model_run_here_writes_captions_and_answers(
    pictures: Path, omni: Path, tmp_path: Path
) -> None:
    model = f"transformers:{omni}"
    tasks = ["--task", "captioning", "--task", "vqa", "--set", "captioning.max_tokens=4"]
    tasks += ["--set", "captioning.num_beams=2", "--examples", "5"]
    assert evaluate(model, pictures, tmp_path, *tasks) == 0
    assert evaluate(model, pictures, tmp_path / "again", *tasks, "--set", "model.batch_size=2") == 0
    for end in ("captioning", "vqa"):
        one, two = result(tmp_path, end), result(tmp_path / "again", end)
        assert one["scores"] == two["scores"]
        assert one["details"] == two["details"]


def test_questions_are_asked_as_by_the_other_command(
    questions: Path, omni: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    with OmniServer(letter_model) as server:
        models = [f"{server.url}#letters", f"transformers:{omni}", "baseline:majority"]
        settings = ["--set", "omnibench.settings=image_audio,caption"]
        for model, options in zip(models, (settings, settings[:0], settings), strict=True):
            own = ["--set", "model.max_tokens=3"] if "transformers" in model else []
            folder = tmp_path / model.rpartition("/")[2].replace(":", "-")
            assert evaluate(model, questions, folder, *options, *own) == 0
            words = ["omnibench", "run", str(questions), "--out", str(folder / "run"), "--model"]
            words += [model, *(["--max-tokens", "3"] if own else [])]
            words += ["--setting", "image_audio,caption"] if options else []
            assert main(words) == 0
            for path in (folder / "run" / "results").glob("*.json"):
                other = json.loads(path.read_text())
                own_result = json.loads((folder / "out" / path.name).read_text())
                assert own_result["scores"] == other["scores"]
                assert own_result["details"]["counts"] == other["details"]["counts"]
            (log,) = (folder / "cache").rglob("responses.jsonl")
            asked_alike = sorted((folder / "run" / "responses.jsonl").read_text().splitlines())
            assert sorted(log.read_text().splitlines()) == asked_alike
        assert sum(server.ledger.received.values()) == 12


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--task", "zero_shot"], "model tiny does not embed pictures and texts; leave zero_shot"),
        (["--task", "captioning", "--set", "model.key=X"], "unknown setting 'model.key'"),
        (["--task", "captioning", "--set", "model.batch_size=0"], "batch size is 0"),
        (["--task", "omnibench"], "give OmniBench's folder"),
    ],
)
def test_mistakes_are_one_line(
    omni: Path, pictures: Path, tmp_path: Path, capsys, options: list[str], told: str
) -> None:
    labelled = [{"png": noise_png(n), "cls": str(n % 2).encode()} for n in range(4)]
    classes = write_evaluation_folder(tmp_path / "c", labelled, class_names=("cat", "dog"))
    data = classes if "zero_shot" in options else pictures
    assert evaluate(f"transformers:{omni}", data, tmp_path, *options) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert told in lines[0]


def test_what_an_endpoint_refuses_or_fails_to_answer(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    quick = ["--task", "vqa", "--set", "model.tries=1", "--set", "model.first_wait=0.01"]
    with OmniServer(describing) as server:
        model = f"{server.url}#describer"
        server.refuse = "number 3"
        assert evaluate(model, pictures, tmp_path, *quick) == 0
        assert "refuses 1 of 4 questions: " in capsys.readouterr().err
        assert result(tmp_path, "vqa")["num_samples"] == 5
        server.refuse, server.fail = None, "number 4"
        quick += ["--set", "model.no_cache=true"]
        assert evaluate(model, pictures, tmp_path / "other", *quick) == 2
        assert "does not answer" in capsys.readouterr().err


def test_one_failing_task_leaves_the_results_of_the_others(
    questions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = ["--set", "omnibench.settings=image_audio,image,caption", "--set", "model.tries=1"]
    settings += ["--set", f"model.cache={tmp_path / 'answers'}"]
    with OmniServer(letter_model) as server:
        server.fail = '"type": "input_audio"'
        model = f"{server.url}#letters"
        assert evaluate(model, questions, tmp_path, *settings) == 2
        told = capsys.readouterr().err
        assert "1 of 3 tasks have no result (omnibench image_audio)" in told
        assert "Traceback" not in told
        assert len(list((tmp_path / "out").glob("*.json"))) == 2
        before = sum(server.ledger.received.values())
        server.fail = None
        assert evaluate(model, questions, tmp_path, *settings) == 0
        assert len(list((tmp_path / "out").glob("*.json"))) == 3
        assert sum(server.ledger.received.values()) - before == 6


@pytest.mark.parametrize(
    ("written", "caption"),
    [
        ("<think>A dog? No.</think>\n\nA cat.", "A cat."),
        ("A dog? No.</think>A cat.", "A cat."),
        ("<think>A dog? No, perhaps", ""),
        ("A cat.", "A cat."),
    ],
)
def test_thoughts_are_no_part_of_a_caption(written: str, caption: str) -> None:
    picture = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    with OmniServer(lambda request: written) as server:
        model = Endpoint(EndpointConfig(url=server.url, model="m"))
        assert model.caption(picture, max_tokens=9) == [caption]
