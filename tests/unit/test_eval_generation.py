"""The tasks whose answers are texts: captioning and questions, alone and among other tasks."""

import json
from pathlib import Path

import numpy as np
import pytest

from eval.embedding.decode import StreamingDecoder
from eval.embedding.embedder import StreamingEmbedder
from eval.embedding.store import StoredEmbedder
from eval.errors import EvaluationError
from eval.generation import written
from eval.generation.captioning import Captioning, CaptioningOptions
from eval.generation.spice import spice_missing, spice_values
from eval.generation.vqa import VisualQuestions, VqaOptions
from eval.metrics.captions import caption_scores
from eval.running.runner import run_benchmarks
from eval.running.selection import benchmarks_for, select
from eval.running.validation import make_evaluators
from eval.task_choices import TaskChoices
from tests.support.embedding_model import SmallClip
from tests.support.evaluation_data import captioned, noise_png, write_evaluation_folder, write_tar
from tests.support.reading_model import COLOURS, SmallReader
from vlsuite.batches.decode import decode_image
from vlsuite.cli.main import main

EMBEDDER = StreamingEmbedder(decoder=StreamingDecoder(batch_size=4, workers=1))
NUM_IMAGES = 10


def _captions(seed: int) -> list[list[str]]:
    rng = np.random.default_rng(seed)
    return [[" ".join(rng.choice(COLOURS, 4)) for _ in range(1 + i % 2)] for i in range(NUM_IMAGES)]


def _pairs(root: Path) -> str:
    samples = captioned(_captions(0))
    samples[3]["png"] = b"broken"
    return str(write_evaluation_folder(root, samples))


def _questions(root: Path) -> str:
    samples = []
    for number in range(9):
        picture = number // 2
        side = "left" if number % 2 else "right"
        answers = ["red", "red", "red", "Blue!", "green"] if number else ["green"]
        fields = {"question": f"What is {side}?", "answers": answers}
        samples.append({"png": noise_png(picture), "json": json.dumps(fields).encode()})
    samples.append({"png": noise_png(7), "json": b'{"question": "?", "answers": []}'})
    return str(write_tar(root / "questions.tar", samples))


def _task(data: str, name: str, **options):
    (task,) = benchmarks_for([data], tasks=(name,), choices=TaskChoices(**options))
    return task


def test_captions_are_scored_against_their_own_references(tmp_path: Path) -> None:
    task = _task(_pairs(tmp_path / "d"), "captioning", num_examples=2, seed=4)
    assert isinstance(task, Captioning)
    model = SmallReader()
    result = task.run(model, EMBEDDER)

    kept = [i for i in range(NUM_IMAGES) if i != 3]
    pixels = [model.image_transform(decode_image(noise_png(i))) for i in kept]
    captions = [model.caption(one[None], max_tokens=30)[0] for one in pixels]
    references = [_captions(0)[i] for i in kept]
    expected = caption_scores(captions, references, seed=4)
    for name, score in expected.scores.items():
        assert result.scores[name] == score
    assert result.scores["cider"].value > 0
    assert "cider_shuffled" in result.scores
    assert result.details["per_image"]["rows"] == kept
    np.testing.assert_allclose(result.details["per_image"]["cider"], expected.cider, atol=1e-6)
    assert result.details["captions"][0]["caption"] == captions[0].strip()
    assert (result.num_samples, result.num_skipped) == (9, 1)
    assert (spice_missing() is None) == ("spice" in result.scores)
    for name, units in result.per_unit.items():
        values, _ = units.unpack()
        assert values.mean() == pytest.approx(result.scores[name].value, abs=1e-6)


def test_settings_reach_the_model_and_prompts_come_before(tmp_path: Path) -> None:
    options = CaptioningOptions(max_tokens=2, num_beams=3, prompt="a photo of", max_images=4)
    task = _task(_pairs(tmp_path / "d"), "captioning", options=(options,))

    class Recorder(SmallReader):
        seen: list = []  # noqa: RUF012

        def caption(self, images, **settings) -> list[str]:
            self.seen.append((len(images), settings))
            return super().caption(images, **settings)

    result = task.run(Recorder(), EMBEDDER)
    assert sum(count for count, _ in Recorder.seen) == result.num_samples
    assert result.num_samples + result.num_skipped == 4
    for count, settings in Recorder.seen:
        assert settings == {"max_tokens": 2, "num_beams": 3, "prompts": ["a photo of"] * count}


def test_written_texts_are_kept(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(written, "_IMAGES_AT_A_TIME", 3)
    task = _task(_pairs(tmp_path / "d"), "captioning")
    embedder = StoredEmbedder(EMBEDDER, tmp_path / "cache", batch_size=4)

    class Interrupted(SmallReader):
        def caption(self, images, **settings) -> list[str]:
            if self.num_captioned >= 5:
                raise KeyboardInterrupt
            return super().caption(images, **settings)

    with pytest.raises(KeyboardInterrupt):
        task.run(Interrupted(), embedder)
    again = SmallReader()
    result = task.run(again, embedder)
    assert again.num_captioned == 9 - 5
    assert result.scores == task.run(SmallReader(), EMBEDDER).scores


def test_a_wrong_number_of_texts_is_refused(tmp_path: Path) -> None:
    class Silent(SmallReader):
        def caption(self, images, **settings) -> list[str]:
            return []

    with pytest.raises(EvaluationError, match="0 texts for"):
        _task(_pairs(tmp_path / "d"), "captioning").run(Silent(), EMBEDDER)


def test_answers_by_image_and_question(tmp_path: Path) -> None:
    data = _questions(tmp_path)
    (task,) = benchmarks_for([data])
    assert isinstance(task, VisualQuestions)
    model = SmallReader()
    result = task.run(model, EMBEDDER)
    hits = []
    for number in range(9):
        pixels = model.image_transform(decode_image(noise_png(number // 2)))
        shown = COLOURS[int(pixels[:, 0, 0 if number % 2 else -1].argmax())]
        if number == 0:
            hits.append(float(shown == "green"))
            continue
        people = ["red", "red", "red", "blue", "green"]
        others = [[p for j, p in enumerate(people) if j != left] for left in range(5)]
        hits.append(np.mean([min(1, own.count(shown) / 3) for own in others]))
    score = result.scores["vqa_accuracy"]
    assert score.value == pytest.approx(np.mean(hits))
    assert score.low <= score.value <= score.high
    assert (result.num_samples, result.num_skipped) == (9, 1)
    assert result.details["num_images"] == 5
    for name, units in result.per_unit.items():
        values, _ = units.unpack()
        assert values.mean() == pytest.approx(result.scores[name].value, abs=1e-6)
    assert result.details["usual_answer"] == "red"
    assert result.chance["vqa_accuracy"] == pytest.approx((8 * 0.8 + 0) / 9)


def test_all_leaves_out_what_the_model_cannot_do(tmp_path: Path, capsys) -> None:
    chosen = select([_pairs(tmp_path / "d")], tasks=("all",))
    names = [benchmark.name for benchmark in chosen.benchmarks]
    assert {"captioning", "retrieval", "retrieval_rerank"} <= set(names)
    assert any(line.startswith("vqa: ") for line in chosen.not_possible)

    plain = run_benchmarks(
        SmallClip(), chosen.benchmarks, embedder=EMBEDDER, out_dir=tmp_path / "plain"
    )
    assert {one.result.benchmark for one in plain} == set(names) - {
        "captioning",
        "retrieval_rerank",
    }
    told = capsys.readouterr().err
    assert "not measured: captioning: model small-clip writes no captions" in told
    assert "not measured: retrieval_rerank: model small-clip does not match" in told
    able = run_benchmarks(
        SmallReader(), chosen.benchmarks, embedder=EMBEDDER, out_dir=tmp_path / "able"
    )
    assert {one.result.benchmark for one in able} == set(names)


def test_asked_for_by_name_it_must_be_possible(tmp_path: Path) -> None:
    data = _pairs(tmp_path / "d")
    both = benchmarks_for([data], tasks=("retrieval", "captioning"))
    with pytest.raises(EvaluationError, match="writes no captions; leave captioning out"):
        run_benchmarks(
            SmallClip(), both, embedder=EMBEDDER, out_dir=tmp_path / "o", required=("captioning",)
        )
    with pytest.raises(EvaluationError, match="writes no captions"):
        run_benchmarks(SmallClip(), both[1:], embedder=EMBEDDER, out_dir=tmp_path / "o")
    questions = benchmarks_for([_questions(tmp_path)])
    with pytest.raises(EvaluationError, match="answers no questions"):
        run_benchmarks(SmallClip(), questions, embedder=EMBEDDER, out_dir=tmp_path / "o")


def test_inside_training(tmp_path: Path) -> None:
    data = [_pairs(tmp_path / "d")]
    (evaluator,) = make_evaluators(data, tasks=("retrieval", "captioning"), batch_size=4)
    assert [result.benchmark for result in evaluator(SmallClip())] == ["retrieval"]
    assert [result.benchmark for result in evaluator(SmallReader())] == ["retrieval", "captioning"]


@pytest.mark.parametrize(
    ("task", "options", "part"),
    [
        ("captioning", {"options": (CaptioningOptions(num_beams=0),)}, "num_beams"),
        ("vqa", {"options": (VqaOptions(max_tokens=0),)}, "max_tokens"),
        ("retrieval", {"options": (VqaOptions(max_tokens=3),)}, r"settings vqa\.\* given"),
    ],
)
def test_choices_that_do_not_fit(tmp_path: Path, task: str, options: dict, part: str) -> None:
    data = _questions(tmp_path) if task == "vqa" else _pairs(tmp_path / "d")
    with pytest.raises(EvaluationError, match=part):
        benchmarks_for([data], tasks=(task,), choices=TaskChoices(**options))


def test_spice_says_what_it_lacks_or_runs() -> None:
    lack = spice_missing()
    if lack is None:
        values = spice_values(["a red cat"], [["a red cat sits"]])
        assert 0 < values[0] <= 1
        return
    assert lack.startswith("SPICE needs")
    with pytest.raises(EvaluationError, match="SPICE needs"):
        spice_values(["a"], [["a"]])


def test_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    models = {"ViT-B-32:openai": SmallClip, "RN50:openai": SmallReader}
    monkeypatch.setattr(
        "eval.opening.open_model", lambda spec, *, device, settings=(): models[spec](name=spec)
    )
    arguments = ["--data", _pairs(tmp_path / "d"), "--no-cache", "--out", str(tmp_path / "out")]
    chosen = ["--task", "captioning", "--task", "retrieval_rerank"]
    settings = ["--set", "captioning.num_beams=1", "--set", "retrieval_rerank.candidates=3"]
    assert main(["eval", "RN50:openai", *arguments, *chosen, *settings]) == 0
    printed = capsys.readouterr().out
    for part in ("CIDEr-D", "BLEU 4", "image to text R@1 gain, points"):
        assert part in printed
    assert main(["eval", "ViT-B-32:openai", *arguments, *chosen]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: model ViT-B-32:openai writes no captions; leave captioning out")
    assert main(["report", str(tmp_path / "out")]) == 0
