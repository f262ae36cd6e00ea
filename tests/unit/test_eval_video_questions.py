"""Models that answer in words are asked about videos: what they see, what is read, what is kept."""

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.support.omni_server import OmniServer
from data_pipelines.video.process import VideoProcess
from data_pipelines.video.sampler import mirrored_frames
from eval.answers.polar import yes_or_no
from eval.capabilities import ANSWERS_CLIPS, lack_of
from eval.contract import ClipAnswerer
from eval.errors import EvaluationError
from eval.report.clip_costs import cost_of
from eval.respondents.outcome import read_response
from eval.respondents.response import Response
from eval.video.clip_set import ChoiceQuestion, PairQuestion
from eval.video.kept_answers import _packed, _read
from eval.video.wording import worded_choice, worded_pair
from tests.support.embedding_model import SmallClip
from tests.support.omni_models import random_omni
from tests.support.shards import write_tar
from tests.support.video_questions import (
    LONG,
    SHORT,
    looking,
    seen,
    video,
    write_tempcompass,
    write_vinoground,
)
from tests.support.videos import number_shown
from vlsuite.api.evaluation import evaluate as evaluate_here
from vlsuite.cli.main import main

FRAMES = 4


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))


def evaluate(model: str, data: Path, folder: Path, *options: str) -> int:
    words = ["eval", model, "--data", str(data), "--device", "cpu", "--task", "video_questions"]
    words += ["--cache", str(folder / "cache"), "--out", str(folder / "out")]
    return main([*words, "--set", f"video.frames={FRAMES}", *options])


def result(folder: Path) -> dict[str, Any]:
    (path,) = (folder / "out").glob("*video_questions.json")
    return json.loads(path.read_text())


class Watcher:
    """A ``ClipAnswerer`` that reads the numbers off its frames; three sizes of batches are seen."""

    name, fingerprint, device, clip_frames = "watcher", "0" * 64, "cpu", FRAMES

    def __init__(self, *, answers: int | None = None) -> None:
        self.calls: list[tuple[int, ...]] = []
        self._answers = answers

    def image_transform(self, image: Image.Image) -> torch.Tensor:
        return torch.from_numpy(np.asarray(image).copy()).movedim(-1, 0)

    def answer_clips(
        self, clips: torch.Tensor, questions: list[str], *, max_tokens: int
    ) -> list[str]:
        assert clips.dtype == torch.uint8
        assert max_tokens == 128
        self.calls.append(tuple(clips.shape))
        asked = zip(clips, questions, strict=True)
        return [looking(as_request(clip, question)) for clip, question in asked][: self._answers]


def as_request(clip: torch.Tensor, question: str) -> dict[str, Any]:
    """What an endpoint would get of pixels, without times."""
    content: list[dict[str, Any]] = []
    for frame in clip:
        out = io.BytesIO()
        Image.fromarray(frame.movedim(0, -1).numpy()).save(out, "PNG")
        url = f"data:image/jpeg;base64,{base64.b64encode(out.getvalue()).decode()}"
        content.append({"type": "image_url", "image_url": {"url": url}})
    return {"messages": [{"content": [*content, {"type": "text", "text": question}]}]}


def test_an_endpoint_sees_the_frames_in_order_with_their_times(tmp_path: Path) -> None:
    data = write_tempcompass(tmp_path / "data", "multi-choice")
    with OmniServer(looking, keep_bodies=True) as server:
        assert evaluate(f"{server.url}#eyes", data, tmp_path) == 0
        shown = [seen(json.loads(body)) for body in server.ledger.bodies]
    by_size = {LONG: mirrored_frames(LONG, FRAMES), SHORT: mirrored_frames(SHORT, FRAMES)}
    assert len(shown) == 3
    for one in shown:
        size = LONG if max(n or 0 for n in one.numbers) >= SHORT else SHORT
        assert one.numbers == list(by_size[size])
        assert one.seconds == [round(n / 25, 1) for n in by_size[size]]
        assert one.text.endswith("Answer with the letter of the right option and nothing else.")
    found = result(tmp_path)
    assert found["scores"]["accuracy"]["value"] == 1
    assert found["chance"]["accuracy"] == 0.5
    assert found["details"]["sampling"] == {
        "sampler": "mirrored", "num_frames": FRAMES, "is_random": False,
    }  # fmt: skip
    assert found["details"]["frame_side"] == 448
    assert found["details"]["jpeg_quality"] == 90
    assert found["details"]["counts"] == {"answered": 3}
    assert found["details"]["input_tokens"] > 0


def test_frames_are_scaled_to_the_side_asked_for(tmp_path: Path) -> None:
    data = write_tempcompass(tmp_path / "data", "multi-choice")
    with OmniServer(lambda request: "A", keep_bodies=True) as server:
        options = ("--set", "model.max_side=32", "--set", "video_questions.quality=40")
        assert evaluate(f"{server.url}#eyes", data, tmp_path, *options) == 0
        first = json.loads(server.ledger.bodies[0])
    url = first["messages"][-1]["content"][1]["image_url"]["url"]
    picture = Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))
    assert picture.size == (32, 24)
    assert result(tmp_path)["details"]["frame_side"] == 32


def test_yes_and_no(tmp_path: Path) -> None:
    data = write_tempcompass(tmp_path / "data", "yes_no")
    with OmniServer(looking) as server:
        assert evaluate(f"{server.url}#eyes", data, tmp_path) == 0
    assert result(tmp_path)["scores"]["accuracy"]["value"] == 1


def test_pairs_are_asked_four_questions(tmp_path: Path) -> None:
    data = write_vinoground(tmp_path / "data")
    with OmniServer(looking, keep_bodies=True) as server:
        assert evaluate(f"{server.url}#eyes", data, tmp_path) == 0
        shown = [seen(json.loads(body)) for body in server.ledger.bodies]
    assert len(shown) == 8
    joined = [one for one in shown if None in one.numbers]
    assert len(joined) == 4
    for one in joined:
        assert len(one.numbers) == 2 * FRAMES + 1
        assert one.numbers.index(None) == FRAMES
        assert one.seconds == sorted(one.seconds)
        assert one.seconds[FRAMES] - one.seconds[FRAMES - 1] == pytest.approx(1, abs=0.06)
    found = result(tmp_path)
    for name in ("text", "video", "group"):
        assert found["scores"][f"{name}_score"]["value"] == 1
        assert found["scores"][f"{name}_score_action"]["n"] == 1
    assert found["chance"]["group_score"] == 1 / 16
    assert found["chance"]["text_score"] == 0.25


def test_an_answer_that_ignores_the_question_is_never_right_of_a_pair(tmp_path: Path) -> None:
    data = write_vinoground(tmp_path / "data", pairs=3)
    with OmniServer(lambda request: "A") as server:
        assert evaluate(f"{server.url}#deaf", data, tmp_path) == 0
    assert [score["value"] for score in result(tmp_path)["scores"].values()] == [0] * 9


def test_a_model_here_sees_the_same_questions(tmp_path: Path) -> None:
    model = Watcher()
    assert isinstance(model, ClipAnswerer)
    assert lack_of(model, (ANSWERS_CLIPS,)) is None
    data = write_vinoground(tmp_path / "data")
    kept: dict[str, Any] = {"cache": tmp_path / "cache", "tasks": "video_questions"}
    (found,) = evaluate_here(model, data, options={"video.batch_size": 3}, **kept)
    assert {name: score.value for name, score in found.scores.items()}["group_score"] == 1
    assert found.details["sampling"]["num_frames"] == FRAMES
    shapes = sorted(model.calls)
    assert shapes == sorted(
        [(3, 4, 3, 48, 64), (1, 4, 3, 48, 64), (3, 9, 3, 48, 64), (1, 9, 3, 48, 64)]
    )
    (again,) = evaluate_here(model, data, out=tmp_path / "again", **kept)
    assert again.scores == found.scores
    assert len(model.calls) == 4


def test_a_model_that_leaves_answers_out_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="gives 1 answers to 3 questions") as told:
        evaluate_here(
            Watcher(answers=1),
            write_tempcompass(tmp_path / "data", "multi-choice"),
            tasks="video_questions",
        )
    assert "\n" not in str(told.value)


def test_broken_videos_are_counted_and_in_no_score(tmp_path: Path) -> None:
    data = write_tempcompass(tmp_path / "data", "multi-choice", broken=("100",))
    with OmniServer(looking) as server:
        assert evaluate(f"{server.url}#eyes", data, tmp_path) == 0
        assert sum(server.ledger.received.values()) == 2
    found = result(tmp_path)
    assert found["num_samples"] == 2
    assert found["scores"]["accuracy"]["n"] == 2
    assert found["details"]["left_out"] == {"video cannot be decoded": 1}
    assert found["details"]["questions_left_out"] == 1


def test_no_video_that_can_be_decoded_is_one_line(tmp_path: Path, capsys) -> None:
    data = write_tempcompass(tmp_path / "data", "yes_no", broken=("100", "101", "102"))
    with OmniServer(looking) as server:
        assert evaluate(f"{server.url}#eyes", data, tmp_path) == 2
    assert "no video of any question of tempcompass" in capsys.readouterr().err


def test_what_cannot_be_read_is_wrong_and_counted_apart(tmp_path: Path, capsys) -> None:
    data = write_tempcompass(tmp_path / "data", "multi-choice")

    def unsure(request: dict[str, Any]) -> str:
        text = seen(request).text
        return "A or B" if "video 0" in text else looking(request)

    with OmniServer(unsure) as server:
        server.refuse = "video 2"
        assert evaluate(f"{server.url}#eyes", data, tmp_path, "--examples", "1") == 0
    found = result(tmp_path)
    assert found["scores"]["accuracy"]["value"] == pytest.approx(1 / 3)
    assert found["scores"]["accuracy_answered"]["value"] == 1
    assert found["scores"]["accuracy_answered"]["n"] == 1
    assert found["details"]["counts"] == {"answered": 1, "refused": 1, "unparsed": 1}
    (kept,) = found["details"]["answers"]
    assert kept["answer"] == "A or B"
    assert kept["read_as"] is None
    told = capsys.readouterr().err
    assert "1 were refused by the endpoint" in told
    assert "1 choose no option" in told


def test_an_endpoint_that_fails_keeps_what_it_answered(tmp_path: Path, capsys) -> None:
    data = write_tempcompass(tmp_path / "data", "multi-choice")
    quick = ("--set", "model.tries=1", "--set", "model.first_wait=0.01")
    with OmniServer(looking) as server:
        server.fail = "video 1"
        model = f"{server.url}#eyes"
        assert evaluate(model, data, tmp_path, *quick) == 2
        assert "without an answer" in capsys.readouterr().err
        assert not list((tmp_path / "out").glob("*.json"))
        server.fail = None
        assert evaluate(model, data, tmp_path, *quick) == 0
        assert sorted(server.ledger.delivered.values()) == [1, 1, 1]
        assert evaluate(model, data, tmp_path / "new", *quick, "--cache", str(tmp_path / "c")) == 0
        assert sorted(server.ledger.delivered.values()) == [1, 1, 1]
    assert result(tmp_path)["scores"] == result(tmp_path / "new")["scores"]


@pytest.mark.parametrize("harm", [b"", b"no json\n", None])
def test_damaged_kept_answers_are_asked_again(tmp_path: Path, harm: bytes | None) -> None:
    model = Watcher()
    data = write_tempcompass(tmp_path / "data", "multi-choice")
    kept: dict[str, Any] = {"cache": tmp_path / "cache", "tasks": "video_questions"}
    (found,) = evaluate_here(model, data, **kept)
    (path,) = (tmp_path / "cache").rglob("answers-*.json")
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"answer is", b"answer was") if harm is None else harm)
    (again,) = evaluate_here(model, data, **kept)
    assert again.scores == found.scores
    assert len(model.calls) == 2
    assert path.read_bytes() == whole


def test_kept_answers_of_another_length_or_order_are_none(tmp_path: Path) -> None:
    responses = [Response(index=i, setting="video", text="A") for i in range(2)]
    path = tmp_path / "answers.json"
    path.write_bytes(_packed(responses))
    assert _read(path, 2) == responses
    assert _read(path, 3) is None
    path.write_bytes(_packed(responses[::-1]))
    assert _read(path, 2) is None
    assert _read(tmp_path / "gone.json", 2) is None


def test_the_cost_of_a_clip_is_measured_where_the_model_runs_and_kept(tmp_path: Path) -> None:
    data = write_tempcompass(tmp_path / "data", "multi-choice")

    class Counting(Watcher):
        def tokens_of(self, num_frames: int) -> int:
            return 7 * num_frames

    kept: dict[str, Any] = {"cache": tmp_path / "cache", "tasks": "video_questions"}
    (found,) = evaluate_here(Counting(), data, **kept)
    cost = cost_of(found)
    assert cost.tokens == 7 * FRAMES
    assert cost.seconds is not None
    assert cost.decode_seconds is not None
    assert 0 < cost.seconds < cost.decode_seconds + 60
    (again,) = evaluate_here(Counting(), data, **kept)
    assert cost_of(again) == cost
    for path in (tmp_path / "cache").rglob("cost-*.json"):
        path.unlink()
    (before,) = evaluate_here(Counting(), data, **kept)
    assert before.scores == found.scores
    assert cost_of(before).seconds is None


def test_of_an_endpoint_decoding_alone_is_measured(tmp_path: Path) -> None:
    data = write_tempcompass(tmp_path / "data", "multi-choice")
    with OmniServer(looking) as server:
        assert evaluate(f"{server.url}#eyes", data, tmp_path) == 0
    cost = result(tmp_path)["details"]["cost"]
    assert cost["decode_seconds_per_clip"] > 0
    assert "model" not in cost


def test_a_clip_is_decoded_part_by_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = write_tempcompass(tmp_path / "data", "multi-choice")
    sizes: list[int] = []
    parts = VideoProcess.sample_in_parts

    def watched(self: VideoProcess, *args: Any, **told: Any) -> Any:
        for part in parts(self, *args, **told):
            sizes.append(len(part.frames))
            yield part

    monkeypatch.setattr(VideoProcess, "sample_in_parts", watched)
    monkeypatch.setattr("eval.video.decoding.FRAMES_AT_ONCE", 3)
    monkeypatch.setattr("eval.video.decoding.BYTES_AT_ONCE", 0)
    (found,) = evaluate_here(Watcher(), data, tasks="video_questions", cache=tmp_path / "cache")
    assert found.scores["accuracy"].value == 1
    assert set(sizes) == {3, FRAMES - 3}


def test_sentences_of_shards_get_an_order_and_parts_of_a_video_their_own_time(
    tmp_path: Path,
) -> None:
    fields = {"caption": "it counts to 40", "contrast": ["it counts to 16"]}
    members = []
    for number, size in enumerate((LONG, SHORT)):
        own = (
            fields
            if size == LONG
            else {"caption": "it counts to 16", "contrast": "it counts to 40"}
        )
        members.append((f"{number}.mp4", video(size)))
        members.append((f"{number}.json", json.dumps(own).encode()))
    data = write_tar(tmp_path / "shard.tar", members)
    with OmniServer(looking) as server:
        assert evaluate(f"{server.url}#eyes", data, tmp_path) == 0
    with OmniServer(lambda request: "A") as server:
        assert evaluate(f"{server.url}#deaf", data, tmp_path / "deaf") == 0
    assert result(tmp_path)["scores"]["accuracy"]["value"] == 1
    assert result(tmp_path / "deaf")["scores"]["accuracy"]["value"] == 0.5
    assert result(tmp_path / "deaf")["details"]["chosen_by_place"] == [2, 0]
    assert result(tmp_path / "deaf")["details"]["right_by_place"] == [1, 1]

    spans = [
        {
            "video": "100.mp4",
            "question": "What?",
            "candidates": ["counts to 40", "counts to 16"],
            "answer": "counts to 40",
            "start": 0.8,
            "end": 1.6,
        }
    ]
    write_tempcompass(tmp_path / "data", "multi-choice")
    (tmp_path / "data" / "own.json").write_text(json.dumps(spans))
    with OmniServer(looking, keep_bodies=True) as server:
        assert evaluate(f"{server.url}#eyes", tmp_path / "data" / "own.json", tmp_path / "s") == 0
        (one,) = [seen(json.loads(body)) for body in server.ledger.bodies]
    assert min(n or 0 for n in one.numbers) >= 20
    assert one.seconds == [pytest.approx((n or 0) / 25 - 0.8, abs=0.06) for n in one.numbers]


def test_wording_of_choices_and_pairs() -> None:
    asked = ChoiceQuestion("order", 3, ("x", "y", "z"), 2, "Which one?")
    worded = worded_choice(asked)
    assert worded.clips == (3,)
    assert worded.options == ("x", "y", "z")
    assert worded.text.splitlines()[:4] == ["Question: Which one?", "A. x", "B. y", "C. z"]
    assert worded.answer == 2
    alone = worded_choice(asked._replace(question=""))
    assert alone.options[alone.answer] == "z"
    pair = PairQuestion(("k",), (4, 5), ("first text", "second text"))
    one, two, three, four = worded_pair(pair)
    assert (one.clips, two.clips) == ((4,), (5,))
    assert one.options == two.options
    assert one.options[one.answer] == "first text"
    assert two.options[two.answer] == "second text"
    assert three.clips == four.clips
    assert set(three.clips) == {4, 5}
    assert three.clips[three.answer] == 4
    assert four.clips[four.answer] == 5
    assert "first text" in three.text
    with_many = ChoiceQuestion("k", 0, tuple(map(str, range(27))), 0, "Which?")
    with pytest.raises(EvaluationError, match="27 options"):
        worded_choice(with_many)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Yes", True), ("no.", False), ("**No**", False), ("Yes, the man runs.", True),
        ("No, he does not.", False), ("The answer is yes.", True), ("<think>no</think>yes", True),
        ("\u662f\u7684", True), ("\u4e0d\u662f\u3002", False), ("Nein", False), ("Oui !", True),
        ("yes and no", None), ("It is hard to say.", None), ("", None), ("There is none.", None),
        ("He does not run, so the answer is no.", False),
    ],
)  # fmt: skip
def test_yes_or_no(text: str, answer: bool | None) -> None:
    assert yes_or_no(text) is answer


def test_a_cut_answer_is_read_as_far_as_it_is_whole() -> None:
    cut = Response(index=0, setting="video", text="The answer is B", ending="length")

    def parse(text: str, options: Any) -> int | None:
        return 1

    assert read_response(cut, ("a", "b"), parse).kind == "cut"


def test_models_that_cannot_and_files_that_cannot_are_one_line(tmp_path: Path, capsys) -> None:
    choices = write_tempcompass(tmp_path / "data", "multi-choice")
    write_tempcompass(tmp_path / "data", "yes_no")
    (tmp_path / "data" / "captioning.json").write_text("{}")
    with pytest.raises(EvaluationError, match="answers no questions about videos"):
        evaluate_here(SmallClip(), choices, tasks="video_questions")
    with pytest.raises(EvaluationError, match="asks for yes or no"):
        evaluate_here(SmallClip(), tmp_path / "data" / "yes_no.json", tasks="video_order")
    with OmniServer(looking) as server:
        model = f"{server.url}#eyes"
        words = ["eval", model, "--data", str(choices), "--out", str(tmp_path / "out")]
        assert main([*words, "--cache", str(tmp_path / "cache")]) == 2
        assert "video_questions" in capsys.readouterr().err
        for data, told in (
            (tmp_path / "data" / "captioning.json", "a paid model judges"),
            (choices, "quality from 1 to 95"),
        ):
            assert evaluate(model, data, tmp_path, "--set", "video_questions.quality=96") == 2
            lines = [x for x in capsys.readouterr().err.splitlines() if x.startswith("error: ")]
            assert len(lines) == 1
            if data == choices:
                assert told in lines[0]
        assert evaluate(model, tmp_path / "data" / "captioning.json", tmp_path) == 2
        assert "a paid model judges" in capsys.readouterr().err


def test_the_frames_that_videos_show() -> None:
    """The support's videos survive encoding, so that the tests above mean something."""
    with VideoProcess() as process:
        frames = process.sample(video(SHORT), SHORT).frames
    assert [number_shown(frame) for frame in frames] == list(range(SHORT))


def test_a_model_of_transformers_is_asked(tmp_path: Path) -> None:
    omni = random_omni(tmp_path / "tiny")
    data = write_tempcompass(tmp_path / "data", "multi-choice")
    few = ("--set", "video_questions.max_tokens=3", "--set", "video.frames=2")
    assert evaluate(f"transformers:{omni}", data, tmp_path, *few) == 0
    batched = ("--set", "model.batch_size=2")
    assert evaluate(f"transformers:{omni}", data, tmp_path / "again", *few, *batched) == 0
    one, two = result(tmp_path), result(tmp_path / "again")
    assert sum(one["details"]["counts"].values()) == 3
    for name in ("counts", "output_tokens", "chosen_by_place"):
        assert one["details"][name] == two["details"][name]
