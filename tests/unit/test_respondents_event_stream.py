"""Server-sent events against the examples of the WHATWG HTML standard, section 9.2.6."""

import json
import random
from typing import Any

import pytest

from benchmarks.support.scripted_server import chunk, event
from data_pipelines.bounded_json import MOST_VALUES, parsed_json
from eval.respondents.chat_stream import ChatStream
from eval.respondents.event_stream import Event, EventReader


def read(stream: bytes, *, sizes: int | None = None) -> list[Event]:
    """All events, of a stream in pieces of that size."""
    reader = EventReader()
    step = sizes or max(1, len(stream))
    pieces = [stream[start : start + step] for start in range(0, len(stream), step)]
    return [event for piece in pieces for event in reader.feed(piece)]


#: Streams of the standard, and the events that it says they give.
STANDARD = [
    (b"data: YHOO\ndata: +2\ndata: 10\n\n", [("message", "YHOO\n+2\n10")]),
    (
        b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\n"
        b"data:  third event\n\n",
        [("message", "first event"), ("message", "second event"), ("message", " third event")],
    ),
    (b"data\n\ndata\ndata\n\ndata:", [("message", ""), ("message", "\n")]),
    (b"data:test\n\ndata: test\n\n", [("message", "test"), ("message", "test")]),
    (
        b"event: add\ndata: 73857293\n\nevent: remove\ndata: 2153\n\nevent: add\ndata: 113411\n\n",
        [("add", "73857293"), ("remove", "2153"), ("add", "113411")],
    ),
]

#: What the standard says in words.
RULES = [
    (b"\xef\xbb\xbfdata: x\n\n", [("message", "x")]),
    (b"\xef\xbb\xbf\xef\xbb\xbfdata: x\n\n", []),
    (b"data: x\r\n\r\ndata: y\r\rdata: z\n\n", [("message", c) for c in "xyz"]),
    (b"event: lost\n\ndata: x\n\n", [("message", "x")]),
    (b"DATA: x\n\n data: y\n\nother: z\n\n", []),
    (b": ping\n\n:\n\nretry: 10\n\n", []),
    (b"data: x\n", []),
    (b"data: a:b\n\n", [("message", "a:b")]),
    (b"data: \xff\xe4\xb8\xad\n\n", [("message", "\ufffd\u4e2d")]),
]


@pytest.mark.parametrize("sizes", [None, 1, 2, 3, 7])
@pytest.mark.parametrize(("stream", "expected"), STANDARD + RULES)
def test_events_of_the_standard_wherever_the_bytes_are_cut(
    stream: bytes, expected: list[tuple[str, str]], sizes: int | None
) -> None:
    assert [tuple(found) for found in read(stream, sizes=sizes)] == expected


def completion(stream: bytes, *, seed: int = 0) -> dict[str, Any]:
    """A stream in pieces of drawn lengths, put together."""
    draw, chat, start = random.Random(seed), ChatStream(), 0
    while start < len(stream):
        size = draw.randint(1, 9)
        chat.feed(stream[start : start + size])
        start += size
    chat.end()
    assert chat.is_whole
    return chat.completion()


def test_a_stream_becomes_the_body_of_a_completion_in_one_piece() -> None:
    text = "caf\u00e9 \u4e2d\u6587 \U0001f600"
    chunks = [
        chunk(""),
        {"choices": [{"index": 1, "delta": {"content": "other"}, "finish_reason": None}]},
        {"choices": [{"index": 0, "delta": {"reasoning_content": "so"}}]},
        {"choices": [{"index": 0, "delta": {"reasoning_content": " then"}}]},
        *(chunk(character) for character in text),
        {"choices": [{"index": 0, "delta": {"audio": {"data": "UklGRg=="}}}]},
        {"choices": [{"index": 1, "delta": {}, "finish_reason": "length"}]},
        {"choices": [{"index": 0, "delta": {"refusal": None}, "finish_reason": "stop"}]},
        {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2}},
    ]
    stream = b": keep-alive\r\n\r\n" + b"".join(map(event, chunks)) + event("[DONE]")
    for seed in range(20):
        assert completion(stream, seed=seed) == {
            "object": "chat.completion",
            "id": "c-1",
            "model": "m",
            "usage": {"prompt_tokens": 5, "completion_tokens": 2},
            "choices": [
                {
                    "index": 0,
                    "message": {
                        "role": "assistant",
                        "content": text,
                        "reasoning_content": "so then",
                    },
                    "finish_reason": "stop",
                },
                {
                    "index": 1,
                    "message": {"role": "assistant", "content": "other"},
                    "finish_reason": "length",
                },
            ],
        }


@pytest.mark.parametrize(
    ("stream", "content"),
    [
        (event(chunk("A")) + event(chunk(finish="stop")), "A"),  # no [DONE]
        (event(chunk("A")) + event("[DONE]"), "A"),  # no finish_reason
        (event(chunk("A", finish="stop")).rstrip(b"\n"), "A"),  # no empty line at the end
        (b"".join(event(chunk(c)) for c in "AB").replace(b"\n\n", b"\n") + b"data: [DONE]\n", "AB"),
        (event(chunk("A", finish="stop")).replace(b"data: ", b"event: result\ndata:"), "A"),
        (b"event: ping\ndata: ping\n\n" + event(chunk("A", finish="stop")), "A"),
        (
            event({"choices": [{"message": {"content": "A B"}, "finish_reason": "stop"}]}),
            "A B",
        ),
        (
            event(chunk("A")).replace(b"null", b'"null"')
            + event({"choices": [{"delta": {"content": [{"type": "text", "text": "B"}]}}]})
            + event("[DONE]"),
            [{"type": "text", "text": "A"}, {"type": "text", "text": "B"}],
        ),
    ],
)
def test_streams_as_servers_really_end_them(stream: bytes, content: Any) -> None:
    assert completion(stream)["choices"][0]["message"]["content"] == content


def test_halves_of_a_character_in_two_chunks_are_one_character() -> None:
    stream = b"".join(
        b'data: {"choices": [{"delta": {"content": "\\u%s"}}]}\n\n' % half
        for half in (b"d83d", b"de00")
    )
    body = json.loads(json.dumps(completion(stream + event("[DONE]"))))
    assert body["choices"][0]["message"]["content"] == "\U0001f600"


@pytest.mark.parametrize("stream", [b"{", b"5", b'{"choices": [5]}', b"[" * 99999, b"{}\ndata: {"])
def test_damaged_events_are_no_answer(stream: bytes) -> None:
    with pytest.raises(ValueError, match=r"stream|JSON"):
        ChatStream().feed(b"data: " + stream + b"\n\n")


def test_choices_and_values_are_bounded() -> None:
    choices = [event({"choices": [{"index": index, "delta": {}}]}) for index in range(129)]
    with pytest.raises(ValueError, match="128 choices"):
        ChatStream().feed(b"".join(choices))
    with pytest.raises(ValueError, match="values"):
        parsed_json(b"[" + b"{}," * MOST_VALUES + b"{}]")
