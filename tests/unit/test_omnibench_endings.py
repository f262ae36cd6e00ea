"""Why an answer ended, over real loopback servers: what is counted as what."""

import json
from typing import Any

import pytest

from benchmarks.support.omni_questions import write_github_form
from benchmarks.support.omni_server import OmniServer, letter_model
from eval.omnibench.outcomes import outcomes_of
from eval.omnibench.parsers.registry import parsers
from eval.omnibench.read_questions import read_questions
from eval.omnibench.scoring import score_outcomes
from eval.respondents.chat_request import read_answer
from eval.respondents.endings import chosen_choice, ending_of
from eval.respondents.endpoint import Endpoint
from eval.respondents.endpoint_config import EndpointConfig, EndpointLimits
from eval.respondents.outcome import KINDS
from eval.respondents.question import SETTINGS, prompted
from eval.respondents.response import Response
from eval.respondents.response_cache import ResponseCache
from eval.respondents.retry import Backoff


def choice(content: Any, reason: Any = "stop", index: int = 0, **more: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": content, **more}
    return {"index": index, "message": message, "finish_reason": reason}


def part(kind: str, text: str) -> dict[str, str]:
    return {"type": kind, "text": text}


#: By name: choices of a server's answer, what is read, the ending, and what it is counted as.
ANSWERS: dict[str, tuple[list[Any], str, str, str]] = {
    "whole": ([choice("The answer is B.")], "The answer is B.", "stop", "answered"),
    "end_turn": ([choice("B", "end_turn")], "B", "stop", "answered"),
    "not told": ([choice("B", None)], "B", "", "answered"),
    "another word": ([choice("B", "done_by_server")], "B", "other", "answered"),
    "cut before": ([choice("The option is", "length")], "The option is", "length", "cut"),
    "cut at the letter": ([choice("It must be B", "length")], "It must be B", "length", "cut"),
    "cut behind": (
        [choice("The answer is B. It shows a", "max_tokens")],
        "The answer is B. It shows a",
        "length",
        "answered",
    ),
    "reasoning ran out": (
        [choice(None, "length", reasoning_content="Let me see. B is")], "", "length", "cut",
    ),
    "open think tag": (
        [choice("<think>B. I think. A.", "length")], "<think>B. I think. A.", "length", "cut",
    ),
    "filtered": ([choice("It is B.", "content_filter")], "It is B.", "content_filter", "filtered"),
    "filtered, silent": ([choice("", "SAFETY")], "", "content_filter", "filtered"),
    "declined": ([choice(None, "stop", refusal="I can't say B.")], "I can't say B.", "refusal",
                 "declined"),
    "tool": ([choice(None, "tool_calls", tool_calls=[{}])], "", "tool_calls", "unanswered"),
    "silent": ([choice("")], "", "stop", "unanswered"),
    "parts": (
        [choice([part("reasoning", "A is wrong. The answer is A."), part("text", "B"),
                 part("output_text", ".")])],
        "B.",
        "stop",
        "answered",
    ),
    "thinking beside": ([choice("B", reasoning="The answer is A.")], "B", "stop", "answered"),
    "out of order": ([choice("A", index=1), choice("B", index=0)], "B", "stop", "answered"),
    "null first": ([None, choice("B")], "B", "stop", "answered"),
}  # fmt: skip


@pytest.fixture(scope="module")
def questions(tmp_path_factory):
    return read_questions(write_github_form(tmp_path_factory.mktemp("endings"), 4)).questions


@pytest.fixture(scope="module")
def server():
    with OmniServer(letter_model) as running:
        yield running


def respond(server, question, choices, **given) -> Response:
    server.body = json.dumps({"model": "m", "choices": choices, "usage": {}}).encode()
    limits = EndpointLimits(timeout=5.0, concurrency=1, backoff=Backoff(base=0.001, tries=2))
    config = EndpointConfig(url=server.url, model="m")
    (response,) = Endpoint(config, limits=limits, **given).respond(
        [prompted(question, SETTINGS["image_audio"])]
    )
    return response


@pytest.mark.parametrize(("choices", "text", "ending", "kind"), ANSWERS.values(), ids=ANSWERS)
def test_what_a_server_sends_is_counted_as_what(server, questions, choices, text, ending, kind):
    question = questions[0]
    response = respond(server, question, choices)
    assert (response.text, response.ending) == (text, ending)
    again = Response.from_dict(json.loads(response.to_json()), where="log")
    assert again == response
    key = (question.index, "image_audio")
    (outcome,) = outcomes_of(
        [question], {key: again}, setting="image_audio", parse=parsers.get("vlsuite")
    )
    assert (outcome.kind, outcome.ending) == (kind, ending)
    assert outcome.choice == (1 if kind == "answered" else None)
    assert outcome.kind in KINDS


def test_thought_is_counted_and_never_read(server, questions):
    response = respond(server, questions[0], [choice("B", reasoning_content="The answer is A.")])
    assert response.reasoning_chars == len("The answer is A.")
    nested = [{"type": "thinking", "thinking": [part("text", "A it is")]}, part("text", "B")]
    response = respond(server, questions[0], [choice(nested)])
    assert (response.text, response.reasoning_chars) == ("B", len("A it is"))


def test_several_choices_are_noted(server, questions):
    choices = [choice("C", index=2), choice("A", index=1), choice("B", index=0)]
    response = respond(server, questions[0], choices)
    assert (response.text, response.num_choices) == ("B", 3)
    assert '"num_choices": 3' in response.to_json()


def test_the_cache_keeps_the_ending_and_old_entries_stay_readable(server, questions, tmp_path):
    cache = ResponseCache(tmp_path)
    cut = [choice("It is", "length", reasoning_content="hm")]
    first = respond(server, questions[1], cut, cache=cache)
    before = sum(server.ledger.received.values())
    again = respond(server, questions[1], [choice("other")], cache=cache)
    assert again == first
    assert sum(server.ledger.received.values()) == before
    (path,) = tmp_path.rglob("*.json")
    path.write_text(json.dumps({"text": "It is", "input_tokens": 1, "output_tokens": 2}))
    old = respond(server, questions[1], [choice("other")], cache=cache)
    assert (old.text, old.ending, old.num_choices) == ("It is", "", 1)


def test_published_parsers_read_a_cut_answer_as_it_stands(questions):
    key = (questions[0].index, "image")
    response = Response(index=key[0], setting="image", text="The answer is B", ending="length")
    (outcome,) = outcomes_of(
        [questions[0]], {key: response}, setting="image", parse=parsers.get("vlsuite"),
        reads_endings=False,
    )  # fmt: skip
    assert (outcome.kind, outcome.choice) == ("answered", 1)


def test_endings_are_in_the_scores(questions):
    texts = [("B.", "stop"), ("It is", "length"), ("", "content_filter"), ("B. For it", "length")]
    responses = {
        (q.index, "image"): Response(index=q.index, setting="image", text=text, ending=ending)
        for q, (text, ending) in zip(questions, texts, strict=True)
    }
    outcomes = outcomes_of(questions, responses, setting="image", parse=parsers.get("vlsuite"))
    scores = score_outcomes(outcomes, setting="image", parser="vlsuite", seed=0)
    assert scores.endings == {"stop": 1, "length": 2, "content_filter": 1}
    assert {k: n for k, n in scores.counts.items() if n} == {"answered": 2, "cut": 1, "filtered": 1}


def test_words_and_choices_of_any_kind():
    assert ending_of(" STOP ") == "stop"
    assert ending_of(7) == "other"
    assert ending_of(None) == ending_of("") == ""
    with pytest.raises(ValueError, match="no choice"):
        chosen_choice([None, 3])
    with pytest.raises(ValueError, match="no text"):
        read_answer(json.dumps({"choices": [choice({"a": 1})]}).encode())
    unnumbered = [{"message": {"content": "x"}}, {"message": {"content": "y"}, "index": True}]
    assert read_answer(json.dumps({"choices": unnumbered}).encode()).text == "x"
