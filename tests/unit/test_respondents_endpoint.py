"""A chat endpoint as a respondent, against a real server on loopback."""

import asyncio
import base64
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

from benchmarks.support.omni_questions import picture, sound, write_github_form
from benchmarks.support.omni_server import FaultPlan, OmniServer, letter_model
from eval.errors import EvaluationError
from eval.omnibench.read_questions import read_questions
from eval.respondents.chat_client import api_key_from
from eval.respondents.chat_request import chat_request
from eval.respondents.cost import Price
from eval.respondents.endpoint import Endpoint
from eval.respondents.endpoint_config import EndpointConfig, EndpointLimits
from eval.respondents.media import BytesMedia
from eval.respondents.question import SETTINGS, Prompted, prompted
from eval.respondents.response import Response
from eval.respondents.response_cache import ResponseCache
from eval.respondents.retry import Backoff

QUICK = Backoff(base=0.001, tries=5)


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> list[Prompted]:
    found = read_questions(write_github_form(tmp_path_factory.mktemp("endpoint"), 8))
    return [prompted(question, SETTINGS["image_audio"]) for question in found.questions]


def endpoint(url: str, **given: Any) -> Endpoint:
    """A quick endpoint; options of its config by name."""
    own = {name: given.pop(name) for name in ("cache", "api_key", "price") if name in given}
    limits = EndpointLimits(
        timeout=given.pop("timeout", 5.0),
        concurrency=given.pop("concurrency", 4),
        backoff=given.pop("backoff", QUICK),
        max_cost=given.pop("max_cost", None),
    )
    return Endpoint(EndpointConfig(url=url, model="m", **given), limits=limits, **own)


def by_index(responses: Sequence[Response]) -> list[Response]:
    return sorted(responses, key=lambda response: response.index)


def test_each_question_gets_the_answer_to_its_own_request(asked: list[Prompted]) -> None:
    with OmniServer(letter_model) as server:
        model = endpoint(server.url)
        responses = by_index(list(model.respond(asked)))
        expected = [
            letter_model(json.loads(chat_request(question, model.config).body))
            for question in asked
        ]
    assert [response.text for response in responses] == expected
    assert all(r.input_tokens and r.output_tokens for r in responses)
    assert model.account.sent == model.account.answered == len(asked)


def test_a_rerun_is_free_and_other_parameters_are_not(
    asked: list[Prompted], tmp_path: Path
) -> None:
    cache = ResponseCache(tmp_path)
    with OmniServer(letter_model) as server:
        first = by_index(list(endpoint(server.url, cache=cache).respond(asked)))
        again = endpoint(server.url, cache=cache)
        assert by_index(list(again.respond(asked))) == first
        assert (again.account.sent, again.account.cached) == (0, len(asked))
        assert again.estimate(asked).requests == 0
        for change in ({"max_tokens": 7}, {"style": "lmms"}, {"system": "Be brief."}):
            assert endpoint(server.url, cache=cache, **change).estimate(asked).cached == 0


@pytest.mark.parametrize("fault", ["429", "429 date", "500", "cut", "malformed", "timeout"])
def test_every_fault_is_got_over(asked: list[Prompted], fault: Any) -> None:
    plan = FaultPlan(rates={fault: 1.0}, faulty_tries=1, hang=1.6, retry_after=0.01)
    with OmniServer(letter_model, plan=plan) as server:
        model = endpoint(server.url, timeout=0.8 if fault == "timeout" else 5.0, concurrency=8)
        responses = list(model.respond(asked))
    assert [response.error for response in responses] == [None] * len(asked)
    assert server.ledger.faults == {fault: len(asked)}
    assert set(server.ledger.delivered.values()) == {1}
    assert model.account.sent == 2 * len(asked)
    assert model.account.retried == len(asked)
    may_be_paid = fault in {"cut", "malformed", "timeout"}
    assert model.account.lost == (len(asked) if may_be_paid else 0)


@pytest.mark.parametrize("status", [401, 402, 403, 404])
def test_wrong_address_or_key_stops_after_one_request(asked: list[Prompted], status: int) -> None:
    with (
        OmniServer(letter_model, status=status, message="not\nyou") as server,
        pytest.raises(EvaluationError, match=f"status {status}: not you") as caught,
    ):
        list(endpoint(server.url).respond(asked))
    assert sum(server.ledger.received.values()) == 1
    assert "\n" not in str(caught.value)


def test_key_is_sent_and_never_shown(
    asked: list[Prompted], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "secret-word\n")
    with OmniServer(letter_model, api_key="secret-word") as server:
        model = endpoint(server.url, api_key=api_key_from("MY_KEY"))
        assert len(list(model.respond(asked[:2]))) == 2
        with pytest.raises(EvaluationError) as caught:
            list(endpoint(server.url, api_key="other-secret").respond(asked))
    assert "401" in str(caught.value)
    assert "other-secret" not in str(caught.value)
    monkeypatch.setenv("MY_KEY", "")
    for variable in ("MY_KEY", "MY_ABSENT_KEY"):
        with pytest.raises(EvaluationError, match=variable):
            api_key_from(variable)


@pytest.mark.parametrize("status", [400, 413, 422])
def test_probe_stops_where_all_questions_are_refused(asked: list[Prompted], status: int) -> None:
    with (
        OmniServer(letter_model, status=status, message="no audio here") as server,
        pytest.raises(EvaluationError, match=r"image_audio.*no audio here"),
    ):
        list(endpoint(server.url).respond(asked))
    assert sum(server.ledger.received.values()) == 3


def test_one_refused_question_is_logged_and_not_sent_again(asked: list[Prompted]) -> None:
    with OmniServer(letter_model) as server:
        server.refuse = "case 0?"
        responses = by_index(list(endpoint(server.url).respond(asked)))
    assert [response.kind for response in responses] == ["refused", *[""] * (len(asked) - 1)]
    assert responses[0].error == "status 400: refused on purpose"
    assert set(server.ledger.received.values()) == {1}


def test_tries_run_out_for_one_question_alone(asked: list[Prompted]) -> None:
    with OmniServer(letter_model) as server:
        server.fail = "case 3?"
        responses = by_index(list(endpoint(server.url).respond(asked)))
    assert [response.kind for response in responses] == ["", "", "", "failed", "", "", "", ""]
    assert responses[3].error == "status 500: failed on purpose (try 5 of 5)"
    assert sorted(server.ledger.received.values()) == [1] * 7 + [5]


def test_absent_server_is_one_line(asked: list[Prompted]) -> None:
    with OmniServer(letter_model) as server:
        url = server.url
    with pytest.raises(EvaluationError, match="does not answer: no connection"):
        list(endpoint(url).respond(asked))


def test_endpoint_that_goes_away_stops_the_job(asked: list[Prompted]) -> None:
    plan = FaultPlan(rates={"500": 1.0}, faulty_tries=100)
    with OmniServer(letter_model) as server:
        model = endpoint(server.url, concurrency=1, backoff=Backoff(base=0.001, tries=2))
        responses = model.respond(asked * 3)
        assert next(responses).error is None
        server.plan = plan
        with pytest.raises(EvaluationError, match="10 questions in a row"):
            list(responses)


def test_empty_account_is_not_waited_for(asked: list[Prompted]) -> None:
    with OmniServer(letter_model, status=429, message="empty", code="insufficient_quota") as server:
        with pytest.raises(EvaluationError, match="status 429: empty"):
            list(endpoint(server.url).respond(asked))
        assert sum(server.ledger.received.values()) == 1


def test_cost_limit_stops_before_it_is_passed_and_the_next_command_goes_on(
    asked: list[Prompted], tmp_path: Path
) -> None:
    cache = ResponseCache(tmp_path)
    price = Price(input=1.0, output=100.0)
    answered = []
    with OmniServer(letter_model) as server:

        def command() -> str:
            given = {"cache": cache, "price": price, "max_tokens": 100, "concurrency": 1}
            model = endpoint(server.url, max_cost=0.03, **given)
            told = ""
            try:
                list(model.respond(asked))
            except EvaluationError as error:
                told = str(error)
            assert 0 < model.account.cost <= 0.03
            answered.append(model.account.answered)
            return told

        while told := command():
            assert "--max-cost 0.03" in told
    assert len(answered) > 1
    assert sum(answered) == len(asked)
    assert set(server.ledger.received.values()) == {1}


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("C", "C"),
        (None, ""),
        ([{"type": "text", "text": "C"}, {"type": "text", "text": "."}], "C."),
        ("half \ud83d pair", "half ? pair"),
        ("", ""),
    ],
)
def test_unusual_contents(asked: list[Prompted], content: Any, text: str) -> None:
    with OmniServer(lambda request: content) as server:
        (response,) = endpoint(server.url).respond(asked[:1])
    assert response.text == text
    response.to_json().encode()


@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b'{"choices": []}', b'{"choices": [{}]}', b"[" * 100_000]
)
def test_no_completion_is_malformed(asked: list[Prompted], body: bytes) -> None:
    with OmniServer(letter_model) as server:
        server.body = body
        with pytest.raises(EvaluationError, match="malformed answer"):
            list(endpoint(server.url).respond(asked[:1]))
    assert sum(server.ledger.received.values()) == 5


def test_undecodable_media_are_told_from_refusals(asked: list[Prompted]) -> None:
    from dataclasses import replace

    broken = [
        replace(asked[0], image=BytesMedia("x.png", b"\x89PNG\r\n\x1a\nnothing")),
        replace(asked[1], audio=BytesMedia("x.ogg", b"OggSnothing")),
        replace(asked[2], audio=BytesMedia("x.mp3", b"ID3nothing"), text="case 0?"),
        asked[3],
    ]
    with OmniServer(letter_model) as server:
        server.refuse = "case 0?"
        responses = by_index(list(endpoint(server.url).respond(broken)))
    assert [response.kind for response in responses] == ["media", "media", "media", ""]
    assert "x.mp3 cannot be decoded" in str(responses[2].error)


@pytest.mark.parametrize("form", ["input_audio", "data_uri", "audio_url"])
@pytest.mark.parametrize("stored", ["MP3", "WAV", "OGG", "FLAC"])
def test_sounds_arrive_as_wav_or_mp3_in_the_form_asked_for(
    asked: list[Prompted], form: Any, stored: str
) -> None:
    from dataclasses import replace

    data = sound(3, form=stored)
    question = replace(asked[0], audio=BytesMedia("misnamed.mp4", data))
    config = EndpointConfig(url="http://x/v1", model="m", audio_form=form)
    content = json.loads(chat_request(question, config).body)["messages"][0]["content"]
    part = content[1]
    kind = "mp3" if stored == "MP3" else "wav"
    if form == "audio_url":
        assert part["type"] == "audio_url"
        sent = part["audio_url"]["url"]
    else:
        assert (part["type"], part["input_audio"]["format"]) == ("input_audio", kind)
        sent = part["input_audio"]["data"]
    prefix = {"mp3": "data:audio/mpeg;base64,", "wav": "data:audio/wav;base64,"}[kind]
    assert sent.startswith(prefix) == (form != "input_audio")
    arrived = base64.b64decode(sent.removeprefix(prefix))
    if stored in {"MP3", "WAV"}:
        assert arrived == data
    else:
        expected, rate = soundfile.read(io.BytesIO(data))
        samples, arrived_rate = soundfile.read(io.BytesIO(arrived))
        assert arrived_rate == rate
        assert np.abs(samples - expected).max() < 2 / 2**15


def test_pictures_are_labelled_by_content_and_scaled_if_asked(asked: list[Prompted]) -> None:
    from dataclasses import replace

    def sent(data: bytes, **given: Any) -> tuple[str, Image.Image, bytes]:
        question = replace(asked[0], image=BytesMedia("wrong.gif", data))
        config = EndpointConfig(url="http://x/v1", model="m", **given)
        content = json.loads(chat_request(question, config).body)["messages"][0]["content"]
        head, _, encoded = content[0]["image_url"]["url"].partition(";base64,")
        raw = base64.b64decode(encoded)
        return head.removeprefix("data:"), Image.open(io.BytesIO(raw)), raw

    assert sent(picture(1))[::2] == ("image/jpeg", picture(1))
    assert sent(picture(2), max_side=56)[::2] == ("image/png", picture(2))
    out = io.BytesIO()
    Image.open(io.BytesIO(picture(2))).save(out, "BMP")
    mime, image, _ = sent(out.getvalue())
    assert mime == "image/png"
    assert image.tobytes() == Image.open(io.BytesIO(picture(2))).tobytes()
    mime, image, raw = sent(picture(1, side=400), max_side=100)
    assert (mime, image.size) == ("image/jpeg", (100, 100))
    assert raw == sent(picture(1, side=400), max_side=100)[2]


def test_dry_run_knows_the_bytes_and_the_limit_of_the_cost(asked: list[Prompted]) -> None:
    with OmniServer(letter_model, keep_bodies=True) as server:
        model = endpoint(server.url, price=Price(2.0, 10.0), max_tokens=50)
        estimate = model.estimate(asked)
        list(model.respond(asked))
    assert estimate.requests == len(asked)
    assert estimate.bytes == sum(map(len, server.ledger.bodies))
    assert estimate.output_tokens == 50 * len(asked)
    expected = (estimate.input_tokens * 2.0 + estimate.output_tokens * 10.0) / 1e6
    assert estimate.cost == pytest.approx(expected)


def test_requests_are_spaced_by_the_rate(asked: list[Prompted]) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        await asyncio.sleep(0)

    with OmniServer(letter_model) as server:
        limits = EndpointLimits(requests_per_minute=60.0)
        config = EndpointConfig(url=server.url, model="m")
        model = Endpoint(config, limits=limits, clock=lambda: sum(slept), sleep=sleep)
        assert len(list(model.respond(asked))) == len(asked)
    assert sum(slept) == pytest.approx(len(asked) - 1)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"url": "ftp://x", "model": "m"}, "URL|http"),
        ({"url": "http://x", "model": ""}, "http"),
        ({"url": "http://x", "model": "m", "style": "odd"}, "odd"),
        ({"url": "http://x", "model": "m", "max_tokens": 0}, "at least 1"),
        ({"url": "http://x", "model": "m", "extra": {"messages": []}}, "messages"),
    ],
)
def test_wrong_settings_are_one_line(given: dict[str, Any], told: str) -> None:
    with pytest.raises(EvaluationError, match=told):
        EndpointConfig(**given)
    with pytest.raises(EvaluationError, match="above 0"):
        EndpointLimits(concurrency=0)
