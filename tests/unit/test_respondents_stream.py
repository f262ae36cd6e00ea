"""Endpoints that stream, break off, never end or send too much, on loopback."""

import gzip
import itertools
import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.support.omni_questions import write_github_form
from benchmarks.support.scripted_server import (
    Script,
    ScriptedServer,
    Sent,
    chunk,
    event,
    refusal,
    told,
)
from eval.errors import EvaluationError
from eval.omnibench.read_questions import read_questions
from eval.respondents.asking_form import Asking, AskingForm, StreamChoice
from eval.respondents.cost import Price
from eval.respondents.endpoint import Endpoint
from eval.respondents.endpoint_config import EndpointConfig, EndpointLimits
from eval.respondents.endpoint_settings import EndpointSettings
from eval.respondents.question import SETTINGS, Prompted, prompted
from eval.respondents.response_cache import ResponseCache
from eval.respondents.retry import Backoff

ONLY_STREAMS = (
    "This model only support stream mode, please enable the stream parameter to access the model. "
)
JSON = "application/json"


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> list[Prompted]:
    found = read_questions(write_github_form(tmp_path_factory.mktemp("stream"), 4))
    return [prompted(question, SETTINGS["image_audio"]) for question in found.questions]


def endpoint(server: ScriptedServer, **given: Any) -> Endpoint:
    """A quick endpoint; limits and options of the config by name."""
    own = {name: given.pop(name) for name in ("cache", "api_key", "price") if name in given}
    extra = given.pop("extra", {})
    limits = EndpointLimits(
        **{"timeout": 5.0, "backoff": Backoff(base=0.001, tries=3), "concurrency": 2, **given}
    )
    config = EndpointConfig(url=server.url, model="m", extra=extra)
    return Endpoint(config, limits=limits, **own)


def whole(text: str, **more: Any) -> Sent:
    """An answer in one piece."""
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    body = json.dumps({"choices": [choice], **more}).encode()
    return Sent(pieces=[body], kind=JSON)


def only_streams(request: dict[str, Any], before: int) -> Sent:
    """As DashScope with Qwen-Omni."""
    if not request.get("stream"):
        return refusal(ONLY_STREAMS, code="invalid_parameter_error")
    return Sent(pieces=told("The answer", " is ", "B."))


def test_an_endpoint_that_only_streams_is_asked_again_once_and_then_streamed(
    asked: list[Prompted],
) -> None:
    with ScriptedServer(only_streams) as server:
        model = endpoint(server, backoff=Backoff(base=30.0, tries=1))
        responses = list(model.respond(asked))
        again = list(model.respond(asked[:1]))
    assert [r.text for r in responses + again] == ["The answer is B."] * 5
    assert {(r.input_tokens, r.output_tokens) for r in responses} == {(11, 3)}
    assert [request.get("stream") for request in server.requests] == [None] + [True] * 5
    assert server.requests[1]["stream_options"] == {"include_usage": True}
    assert model.account.sent == 6
    assert model.account.troubles == {}
    assert (model.account.retried, model.account.lost) == (0, 0)


@pytest.mark.parametrize("given", [{"stream": "on"}, {"extra": {"stream": True}}])
def test_streams_are_asked_for_on_request(asked: list[Prompted], given: dict[str, Any]) -> None:
    with ScriptedServer(only_streams) as server:
        responses = list(endpoint(server, **given).respond(asked))
    assert [response.text for response in responses] == ["The answer is B."] * 4
    assert len(server.requests) == 4


def test_streaming_that_is_off_stays_off(asked: list[Prompted]) -> None:
    for given in ({"stream": "off"}, {"extra": {"stream": False}}):
        with (
            ScriptedServer(only_streams) as server,
            pytest.raises(EvaluationError, match="only support stream mode"),
        ):
            list(endpoint(server, **given).respond(asked))
        assert not any(request.get("stream") for request in server.requests)


def test_streams_unasked_and_pieces_instead_of_streams_are_read(asked: list[Prompted]) -> None:
    scripts: list[Script] = [
        lambda request, before: Sent(pieces=told("B")),
        lambda request, before: Sent(pieces=told("B"), kind=JSON),
        lambda request, before: Sent(pieces=[b": hello\n\n", *told("B")], kind="text/plain"),
        lambda request, before: whole("B"),
        lambda request, before: Sent(pieces=whole("B").pieces),
        lambda request, before: Sent(pieces=[b"\xef\xbb\xbf", *whole("B").pieces]),
    ]
    streams: tuple[StreamChoice, ...] = ("auto", "on")
    for script, stream in itertools.product(scripts, streams):
        with ScriptedServer(script) as server:
            responses = list(endpoint(server, stream=stream).respond(asked[:2]))
        assert [response.text for response in responses] == ["B", "B"]


def test_characters_and_lines_cut_anywhere(asked: list[Prompted]) -> None:
    text = "\u00fcber \u4e2d\u6587 \U0001f3b5"
    body = b"".join(told(*text)).replace(b"\n", b"\r\n")
    pieces = [body[start : start + 5] for start in range(0, len(body), 5)]
    with ScriptedServer(lambda request, before: Sent(pieces=pieces)) as server:
        (response,) = endpoint(server).respond(asked[:1])
    assert response.text == text


@pytest.mark.parametrize("is_chunked", [True, False])
@pytest.mark.parametrize("end", ["close", "reset"])
def test_a_stream_that_is_cut_is_tried_again_and_not_stored(
    asked: list[Prompted], tmp_path: Path, end: Any, is_chunked: bool
) -> None:
    def script(request: dict[str, Any], before: int) -> Sent:
        if before == 0:
            cut = told("The answer is A", "? No, B.")[:2]
            return Sent(pieces=cut, end=end, is_chunked=is_chunked, pause=0.02)
        return Sent(pieces=told("B"))

    cache = ResponseCache(tmp_path)
    with ScriptedServer(script) as server:
        model = endpoint(server, cache=cache, stream="on")
        responses = list(model.respond(asked))
        assert [response.text for response in responses] == ["B"] * 4
        assert model.account.troubles == {"cut connection": 4}
        assert (model.account.sent, model.account.lost) == (8, 4)
        assert len(list(tmp_path.rglob("*.json"))) == 4
        # how an answer was delivered is no part of what it is
        for change in ({}, {"stream": "off"}, {"extra": {"stream": True, "stream_options": {}}}):
            other = endpoint(server, cache=cache, **change)
            assert other.estimate(asked).cached == 4
            assert other.fingerprint == model.fingerprint


def test_only_cut_streams_are_no_answer(asked: list[Prompted], tmp_path: Path) -> None:
    with (
        ScriptedServer(lambda request, before: Sent(pieces=told("A")[:2])) as server,
        pytest.raises(EvaluationError, match=r"stream ended before the answer did \(try 3 of 3\)"),
    ):
        list(endpoint(server, cache=ResponseCache(tmp_path)).respond(asked))
    assert not list(tmp_path.rglob("*.json"))


def test_the_end_of_an_answer_does_not_wait_for_the_end_of_the_connection(
    asked: list[Prompted],
) -> None:
    with ScriptedServer(lambda request, before: Sent(pieces=told("B"), end="hang")) as server:
        assert [r.text for r in endpoint(server).respond(asked[:2])] == ["B", "B"]
    pieces = told("B")[:3]  # neither usage nor [DONE] ever comes
    with ScriptedServer(lambda request, before: Sent(pieces=pieces, end="hang")) as server:
        model = endpoint(server, timeout=0.5)
        assert [r.text for r in model.respond(asked[:1])] == ["B"]
        assert model.account.sent == 1


def endless(piece: bytes) -> Iterator[bytes]:
    yield from told("A")[:2]
    yield from itertools.repeat(piece)


def test_a_stream_without_end_is_bounded_in_bytes_and_in_time(asked: list[Prompted]) -> None:
    flood = event(chunk("x" * 4096))
    with ScriptedServer(lambda request, before: Sent(pieces=endless(flood))) as server:
        with pytest.raises(EvaluationError, match="more than 1 MiB; --max-body"):
            list(endpoint(server, max_body=2**20).respond(asked))
        assert len(server.requests) == 1
    line = b"x" * 65536
    with (
        ScriptedServer(lambda request, before: Sent(pieces=endless(line))) as server,
        pytest.raises(EvaluationError, match="more than 1 MiB"),
    ):
        list(endpoint(server, max_body=2**20).respond(asked))
    drip = Sent(pieces=endless(b": keep-alive\n\n"), pause=0.05)
    with (
        ScriptedServer(lambda request, before: drip) as server,
        pytest.raises(EvaluationError, match=r"no answer within 0\.3 s"),
    ):
        list(endpoint(server, timeout=0.3, backoff=Backoff(tries=1)).respond(asked))


@pytest.mark.parametrize("kind", ["application/json", "text/event-stream"])
@pytest.mark.parametrize("status", [200, 500])
def test_a_small_body_that_decompresses_to_a_large_one(
    asked: list[Prompted], status: int, kind: str
) -> None:
    bomb = gzip.compress(b'{"choices": "' + b" " * (64 * 2**20), compresslevel=1)
    headers = {"Content-Encoding": "gzip"}
    sent = Sent(pieces=[bomb], status=status, kind=kind, headers=headers)
    with ScriptedServer(lambda request, before: sent) as server:
        tracemalloc.start()
        try:
            with pytest.raises(EvaluationError, match=r"more than 4 MiB|status 500"):
                list(endpoint(server, max_body=4 * 2**20, backoff=Backoff(tries=1)).respond(asked))
            assert tracemalloc.get_traced_memory()[1] < 24 * 2**20
        finally:
            tracemalloc.stop()


def test_a_reply_in_several_layers_of_compression_is_none(asked: list[Prompted]) -> None:
    layers = gzip.compress(gzip.compress(b"".join(whole("B").pieces)))
    headers = {"Content-Encoding": "gzip, gzip"}
    sent = Sent(pieces=[layers], kind=JSON, headers=headers)
    with (
        ScriptedServer(lambda request, before: sent) as server,
        pytest.raises(EvaluationError, match="compressed more than once"),
    ):
        list(endpoint(server).respond(asked[:1]))


def test_a_long_answer_is_not_stored_nor_paid_again(asked: list[Prompted], tmp_path: Path) -> None:
    texts = {True: Sent(pieces=told(*["\u00e9" * 1000] * 10)), False: whole("\u00e9" * 10_000)}

    def script(request: dict[str, Any], before: int) -> Sent:
        return texts[bool(request.get("stream"))]

    streams: tuple[StreamChoice, ...] = ("on", "off")
    for stream in streams:
        with ScriptedServer(script) as server:
            model = endpoint(server, stream=stream, cache=ResponseCache(tmp_path), max_text=19_999)
            with pytest.raises(EvaluationError, match="--max-text"):
                list(model.respond(asked))
            assert len(server.requests) == 1
            assert not list(tmp_path.rglob("*.json"))
            assert len(list(endpoint(server, max_text=20_000).respond(asked[:1]))) == 1


def test_errors_in_a_stream(asked: list[Prompted]) -> None:
    begun = told("A")[:2]
    overload = {"error": {"message": "overloaded", "type": "server_error"}}
    older = {"object": "error", "message": "overloaded", "code": 500}
    for data in (event(overload), event(older), b"event: error\ndata: overloaded\n\n"):
        for start in ([], begun):

            def script(request: dict[str, Any], before: int, bytes_: Any = (start, data)) -> Sent:
                start, data = bytes_
                pieces = [*start, data, event("[DONE]")] if before == 0 else told("B")
                return Sent(pieces=pieces)

            with ScriptedServer(script) as server:
                model = endpoint(server)
                assert [r.text for r in model.respond(asked[:1])] == ["B"]
                assert model.account.lost == bool(start)
                assert model.account.retried == 1


def test_an_error_in_a_stream_that_no_retry_mends(asked: list[Prompted]) -> None:
    cases = [
        ({"error": {"message": "too long", "code": 400}}, "status 400: too long"),
        ({"error": {"message": "no key", "code": 401}}, "status 401: no key"),
        ({"error": {"message": "empty", "code": "insufficient_quota"}}, "empty"),
    ]
    for data, expected in cases:
        sent = Sent(pieces=[event(data), event("[DONE]")])
        with ScriptedServer(lambda request, before, sent=sent: sent) as server:
            with pytest.raises(EvaluationError, match=expected):
                list(endpoint(server).respond(asked[:3]))
            assert len(server.requests) <= 3


def test_dashscope_tells_errors_by_the_name_of_the_event(asked: list[Prompted]) -> None:
    data = json.dumps({"code": "InvalidParameter", "message": "no such voice"})
    body = f"id:1\nevent:error\n:HTTP_STATUS/400\ndata:{data}\n\n".encode()
    with (
        ScriptedServer(lambda request, before: Sent(pieces=[body])) as server,
        pytest.raises(EvaluationError, match="status 400: no such voice"),
    ):
        list(endpoint(server).respond(asked[:3]))


def test_an_endpoint_that_takes_no_stream_options(asked: list[Prompted]) -> None:
    def script(request: dict[str, Any], before: int) -> Sent:
        if "stream_options" in request:
            return refusal("Unknown parameter: 'stream_options'.", 422)
        return only_streams(request, before)

    with ScriptedServer(script) as server:
        model = endpoint(server)
        responses = list(model.respond(asked))
    assert [response.text for response in responses] == ["The answer is B."] * 4
    assert len(server.requests) == 6


def test_usage_is_the_last_that_is_told_and_estimated_where_none_is(asked: list[Prompted]) -> None:
    counts = [{"prompt_tokens": 7, "completion_tokens": n} for n in (1, 2)]
    running = [event(chunk("B", usage=usage)) for usage in counts]
    ended = [*running, event(chunk(finish="stop", usage=None)), event("[DONE]")]
    with ScriptedServer(lambda request, before: Sent(pieces=ended)) as server:
        (response,) = endpoint(server).respond(asked[:1])
    assert (response.input_tokens, response.output_tokens) == (7, 2)
    bare = [event(chunk("B")), event(chunk(finish="stop"))]
    with ScriptedServer(lambda request, before: Sent(pieces=bare)) as server:
        model = endpoint(server)
        (response,) = model.respond(asked[:1])
    assert (response.input_tokens, response.output_tokens) == (None, None)
    assert model.account.output_tokens == 1


@pytest.mark.parametrize("tokens", [10**400, -1, True, 1.5, "12", 1e300, None, [], 10**13])
def test_senseless_counts_of_tokens_count_as_none(asked: list[Prompted], tokens: Any) -> None:
    usage = {"prompt_tokens": tokens, "completion_tokens": tokens}
    with ScriptedServer(lambda request, before: whole("B", usage=usage)) as server:
        model = endpoint(server, price=Price(1.0, 1.0))
        (response,) = model.respond(asked[:1])
    assert (response.text, response.input_tokens, response.output_tokens) == ("B", None, None)
    assert 0 < model.account.cost < 1


def test_counts_that_an_earlier_version_stored_are_read_alike(
    asked: list[Prompted], tmp_path: Path
) -> None:
    cache = ResponseCache(tmp_path)
    with ScriptedServer(lambda request, before: whole("B")) as server:
        list(endpoint(server, cache=cache).respond(asked[:1]))
        (path,) = tmp_path.rglob("*.json")
        path.write_text(json.dumps({"text": "B", "input_tokens": 10**400}))
        (response,) = endpoint(server, cache=cache).respond(asked[:1])
    assert (response.text, response.input_tokens) == ("B", None)


KEY = "sk-test/0123456789abcdef"


def test_a_key_that_an_answer_echoes_is_stored_nowhere(
    asked: list[Prompted], tmp_path: Path
) -> None:
    scripts: list[Script] = [
        lambda request, before: whole(f"Bearer {KEY} is B"),
        lambda request, before: Sent(pieces=told("Bearer ", *KEY, " is B")),
    ]
    for place, script in enumerate(scripts):
        folder = tmp_path / str(place)
        with ScriptedServer(script) as server:
            model = endpoint(server, cache=ResponseCache(folder), api_key=KEY)
            (response,) = model.respond(asked[:1])
        assert response.text == "Bearer *** is B"
        (path,) = folder.rglob("*.json")
        assert KEY not in path.read_text()
        path.write_text(json.dumps({"text": f"{KEY} B"}))  # of an earlier version
        (response,) = model.respond(asked[:1])
        assert response.text == "*** B"
    with ScriptedServer(lambda request, before: whole("EMPTY")) as server:
        (response,) = endpoint(server, api_key="EMPTY").respond(asked[:1])
    assert response.text == "EMPTY"


@pytest.mark.parametrize("location", [True, False])
def test_messages_of_servers_hold_no_key_and_no_control_sequences(
    asked: list[Prompted], location: bool
) -> None:
    evil = f"\x1b]0;owned\x07\x1b[2J\x9b31m{'x' * 150}{KEY}?key=sk-test%2F0123456789abcdef"
    if location:
        sent = Sent(status=302, headers={"Location": f"http://{evil}"}, kind="text/html")
    else:
        sent = refusal(evil, 403)
    with (
        ScriptedServer(lambda request, before: sent) as server,
        pytest.raises(EvaluationError) as caught,
    ):
        list(endpoint(server, api_key=KEY).respond(asked))
    message = str(caught.value)
    assert message.isprintable()
    assert "sk-test" not in message
    assert "owned" in message


def test_a_password_in_the_address_is_not_shown() -> None:
    config = EndpointConfig(url="http://user:p@ss@127.0.0.1:9/v1", model="m")
    assert config.shown_url == "http://127.0.0.1:9/v1/chat/completions"


#: Messages that were seen, or are documented.
ASKS = [
    ONLY_STREAMS,
    "parameter.enable_thinking must be set to false for non-streaming calls",
    "enable thinking can not be support when `stream=False`.",
    "Stream must be set to true",
    "Requests with max_tokens > 4096 must have stream=true",
    "This model supports only streaming output",
    "Only streaming is supported for this model",
    "Non-streaming is not supported",
    "stream=false is not supported",
    "streaming is required for this model",
    "parameter.enable_thinking\u5fc5\u987b\u8bbe\u7f6e\u4e3afalse\u624d\u80fd\u8fdb\u884c"
    "\u975e\u6d41\u5f0f\u8c03\u7528",
]
ASKS_NOT = [
    "only one image is supported",
    "the audio must be at most 30 s",
    "Streaming is not supported, please remove 'stream' from the request",
    "please disable stream",
    "upstream must be reachable",
    "upstream request timeout",
    "This model does not support streaming",
]


@pytest.mark.parametrize("message", ASKS)
def test_refusals_that_ask_for_streams(message: str) -> None:
    plain = AskingForm(False)
    assert plain.after(message, may_stream=True) == AskingForm(True)
    assert plain.after(message, may_stream=False) == plain


@pytest.mark.parametrize("message", ASKS_NOT)
def test_refusals_that_do_not(message: str) -> None:
    assert AskingForm(False).after(message, may_stream=True) == AskingForm(False)


def test_a_form_changes_once_whoever_learns_of_it() -> None:
    asking = Asking()
    plain = asking.form
    assert asking.learn(plain, ONLY_STREAMS)
    assert asking.learn(plain, ONLY_STREAMS)  # another request was under way
    assert not asking.learn(asking.form, ONLY_STREAMS)
    assert asking.learn(asking.form, "stream_options: Extra inputs are not permitted")
    assert asking.fields(asking.form) == {"stream": True}
    assert not asking.learn(asking.form, "stream_options")
    assert asking.learn(plain, ONLY_STREAMS)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"stream": "off", "extra": '{"stream": true}'}, "disagree"),
        ({"extra": '{"stream": "yes"}'}, "true or false"),
        ({"extra": '{"stream_options": 5}'}, "an object"),
        ({"max_body": 0.0}, "--max-body is 0 MiB"),
        ({"max_text": float("inf")}, "--max-text is inf"),
    ],
)
def test_wrong_settings_are_one_line(given: dict[str, Any], expected: str) -> None:
    with pytest.raises(EvaluationError, match=expected):
        EndpointSettings(**given).open("http://127.0.0.1:9/v1#m", "cpu")  # type: ignore[arg-type]
