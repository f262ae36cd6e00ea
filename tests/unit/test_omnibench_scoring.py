"""Scores, comparisons, results and the page, against sums written out by hand."""

import math
import random
from dataclasses import replace

import numpy as np
import pytest

from eval.errors import EvaluationError
from eval.omnibench.comparison import compare
from eval.omnibench.log import Log, LogHeader
from eval.omnibench.question_set import QuestionSet
from eval.omnibench.report import render
from eval.omnibench.results import results_of, write_results
from eval.omnibench.scoring import positions, score_log
from eval.respondents.media import BytesMedia
from eval.respondents.outcome import best_option
from eval.respondents.question import OmniQuestion
from eval.respondents.response import Response
from eval.results import load_result

OPTIONS = ("A man opens the door", "A dog barks", "The rain falls", "Nobody speaks")
TASKS, AUDIOS = ("Action and Activity", "Count and Quantity"), ("speech", "music")


def _question(index: int, *, task: str, audio: str, answer: int) -> OmniQuestion:
    nothing = BytesMedia("none", b"")
    return OmniQuestion(
        index=index, task_type=task, audio_type=audio, text="What is it?", options=OPTIONS,
        answer=answer, transcript="", caption="", image=nothing, audio=nothing,
    )  # fmt: skip


def _set(count: int = 40) -> QuestionSet:
    rng = random.Random(1)
    questions = [
        _question(3 * i, task=TASKS[i % 5 == 0], audio=AUDIOS[i % 3 == 0], answer=rng.randrange(4))
        for i in range(count)
    ]
    return QuestionSet(name="made-up", questions=tuple(questions), revision="r")


def _log(responses, **header) -> Log:
    told = {"question_set": "made-up", "revision": "r", "respondent": "m", "fingerprint": "f"}
    kept = {(response.index, response.setting): response for response in responses}
    return Log(LogHeader(**{**told, **header}), kept)


def _answers(questions: QuestionSet, *, seed: int, setting: str = "image_audio") -> list[Response]:
    rng = random.Random(seed)
    return [
        Response(index=q.index, setting=setting, text="ABCD"[q.answer if rng.random() < 0.6 else 0])
        for q in questions.questions
    ]


def test_every_kind_of_missing_answer_is_counted_and_wrong():
    found = _set(8)
    index = [question.index for question in found.questions]
    responses = [
        Response(index=index[0], setting="image", text="ABCD"[found.questions[0].answer]),
        Response(index=index[1], setting="image", text="I cannot tell."),
        Response(index=index[2], setting="image", text="  "),
        Response(index=index[3], setting="image", error="no mp3", kind="media"),
        Response(index=index[4], setting="image", error="400", kind="refused"),
        Response(index=index[5], setting="image", error="500", kind="failed"),
        Response(index=index[6], setting="image", scores=(0.0, math.nan, 0.0, 0.0)),
    ]
    scores = score_log(found, _log(responses)).settings["image"]
    assert scores.counts == {
        "answered": 2, "unparsed": 1, "unanswered": 1, "media": 1, "refused": 1, "failed": 1,
        "missing": 1,
        "cut": 0,
        "filtered": 0,
        "declined": 0,
    }  # fmt: skip
    right = 1 + (found.questions[6].answer == 0)
    assert scores.accuracy.value == right / 8
    assert scores.accuracy.n == 8
    assert scores.answered_only is not None
    assert (scores.answered_only.value, scores.answered_only.n) == (right / 2, 2)


def test_no_answer_at_all_has_no_share_among_the_answered():
    found = _set(3)
    responses = [Response(index=0, setting="image", text="")]
    scores = score_log(found, _log(responses)).settings["image"]
    assert scores.answered_only is None
    assert scores.accuracy.value == 0


@pytest.mark.parametrize(
    ("values", "best"),
    [
        ((0.1, 0.3, 0.3, 0.2), 1),
        ((1.0, 1.0, 1.0, 1.0), 0),
        ((math.nan, -5.0, -5.0, -9.0), 1),
        ((-math.inf, -math.inf, 0.0, -1.0), 2),
    ],
)
def test_the_highest_score_wins_and_ties_go_to_the_lowest_letter(values, best):
    assert best_option(values) == best


def test_shares_and_intervals_equal_sums_written_out():
    found = _set()
    scores = score_log(found, _log(_answers(found, seed=3))).settings["image_audio"]
    hits = {o.question.index: o.choice == o.question.answer for o in scores.outcomes}
    for axis, by in (("task_type", scores.by_task), ("audio_type", scores.by_audio)):
        shares = []
        for kind, score in by.items():
            own = [hits[q.index] for q in found.questions if getattr(q, axis) == kind]
            n, k, z = len(own), sum(own), 1.959963984540054
            centre = (k + z * z / 2) / (n + z * z)
            half = z * math.sqrt(k * (n - k) / n + z * z / 4) / (n + z * z)
            assert score.value == pytest.approx(k / n)
            if 5 < k < n - 5:  # limits of fewer hits or misses are Poisson's
                assert (score.low, score.high) == pytest.approx((centre - half, centre + half))
            shares.append(k / n)
        macro = scores.macro_task if axis == "task_type" else scores.macro_audio
        assert macro.value == pytest.approx(sum(shares) / len(shares))
        assert macro.low <= macro.value <= macro.high
    total = sum(score.value * score.n for score in scores.by_both.values())
    assert scores.accuracy.value == pytest.approx(total / len(found.questions))
    assert scores.chance == 0.25


def test_places_right_and_chosen():
    found = _set(12)
    responses = [Response(index=q.index, setting="image", text="A") for q in found.questions[:9]]
    table = positions(score_log(found, _log(responses)).settings["image"].outcomes)
    assert table.shape == (4, 5)
    assert table[:, 0].sum() == 9
    assert table[:, 4].sum() == 3
    assert table[0].sum() == sum(q.answer == 0 for q in found.questions)


def test_a_log_of_other_questions_or_settings_is_refused():
    found = _set(4)
    responses = _answers(found, seed=0)
    with pytest.raises(EvaluationError, match="other questions"):
        score_log(found, _log(responses, revision="other"))
    with pytest.raises(EvaluationError, match="no responses in setting audio"):
        score_log(found, _log(responses), settings=["audio"])
    with pytest.raises(EvaluationError, match="no responses yet"):
        score_log(found, _log([]))


def test_a_sample_is_scored_as_the_sample_and_said_so():
    found = _set()
    scored = score_log(found, _log(_answers(found, seed=0), limit=10, sample_seed=2))
    assert len(scored.settings["image_audio"].outcomes) == 10
    assert scored.asked == (10, 40)
    assert "10 of 40 questions" in scored.notes[0]


def test_comparison_equals_a_binomial_test_written_out():
    found = _set()
    one, two = (
        score_log(found, _log(_answers(found, seed=seed))).settings["image_audio"]
        for seed in (5, 6)
    )
    first, *types = compare(one, two, seed=0)
    pairs = [(a.is_right, b.is_right) for a, b in zip(one.outcomes, two.outcomes, strict=True)]
    b, c = (sum(pair == wanted for pair in pairs) for wanted in ((True, False), (False, True)))
    tail = sum(math.comb(b + c, k) for k in range(min(b, c) + 1)) / 2 ** (b + c)
    assert (first.paired.only_first, first.paired.only_second) == (b, c)
    assert first.paired.p_value == pytest.approx(min(1.0, 2 * tail if b != c else 1.0))
    assert first.paired.difference.value == pytest.approx((b - c) / 40)
    assert first.bootstrap.value == pytest.approx((b - c) / 40)
    assert [row.what for row in types] == [*one.by_task, *one.by_audio]
    assert sum(row.paired.difference.n for row in types) == 80


def test_logs_without_a_common_question_or_with_other_options_cannot_be_compared():
    found = _set(6)
    scores = score_log(found, _log(_answers(found, seed=0))).settings["image_audio"]
    half = replace(scores, outcomes=scores.outcomes[:3])
    with pytest.raises(EvaluationError, match="no question in common"):
        compare(half, replace(scores, outcomes=scores.outcomes[3:]))
    changed = scores.outcomes[0]
    other = replace(changed.question, options=OPTIONS[::-1])
    with pytest.raises(EvaluationError, match="other options"):
        compare(half, replace(scores, outcomes=(changed._replace(question=other),)))


def test_results_survive_the_disk_and_hold_every_hit(tmp_path):
    found = _set()
    responses = _answers(found, seed=0) + _answers(found, seed=1, setting="audio")
    scored = score_log(found, _log(responses))
    results = results_of(scored, seed=0)
    paths = write_results(results, tmp_path)
    assert [path.name for path in paths] == [
        "m__made-up__image_audio__omnibench.json",
        "m__made-up__audio__omnibench.json",
    ]
    loaded = load_result(paths[0])
    assert loaded == results[0]
    hits, asked = loaded.per_image["accuracy"].unpack()
    assert asked.all()
    assert np.mean(hits) == pytest.approx(loaded.scores["accuracy"].value)
    assert loaded.scores["task_action_and_activity"].n == 32
    assert loaded.chance["accuracy"] == 0.25
    before = [path.read_bytes() for path in paths]
    assert [p.read_bytes() for p in write_results(results_of(scored, seed=0), tmp_path)] == before


def test_the_page_is_the_same_each_time_and_escapes_what_models_write():
    found = _set()
    responses = _answers(found, seed=0)
    responses[0] = Response(index=0, setting="image_audio", text="<script>alert(1)</script> hm")
    scored = score_log(found, _log(responses))
    page = render(scored)
    assert page == render(score_log(found, _log(responses)))
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)" in page
    for told in ("Gemini-1.5-Pro", "denominators omit questions", "Count and Quantity"):
        assert told in page
