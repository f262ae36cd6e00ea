"""A streamed chat completion put together, as the endpoint would have sent it in one piece."""

from typing import Any

from data_pipelines.bounded_json import parsed_json
from eval.respondents.endings import index_of
from eval.respondents.event_stream import Event, EventReader

#: Choices of one stream; OpenAI's ``n`` ends there.
_MOST_CHOICES = 128

_END = "[DONE]"

#: Texts of a message that arrive in pieces.
_TEXTS = ("content", "reasoning_content", "reasoning", "refusal")


class ChatStream:
    """Reads the events of a stream of chat completion chunks, as they arrive.

    Sound in the pieces is left out, its transcript kept. A whole ``message`` in place of a
    ``delta`` replaces what came before.

    Attributes:
        is_done: whether the end was marked ("[DONE]"), after which nothing is read.
        error: the error that an event tells of, as the body of a refusal; None without.
    """

    def __init__(self) -> None:
        self.is_done = False
        self.error: dict[str, Any] | None = None
        self._events = EventReader()
        self._choices: dict[int, _Choice] = {}
        self._told: dict[str, Any] = {}

    @property
    def has_ended(self) -> bool:
        """Whether nothing more has to be read."""
        return self.is_done or self.error is not None

    @property
    def is_finished(self) -> bool:
        """Whether every choice there is has said why it ended; usage may follow."""
        return 0 in self._choices and all(c.finish_reason for c in self._choices.values())

    @property
    def is_whole(self) -> bool:
        """Whether the answer may be taken for one: it was ended, or the stream was."""
        return self.error is None and (self.is_done or self.is_finished)

    @property
    def has_begun(self) -> bool:
        """Whether a part of an answer has come."""
        return bool(self._choices)

    def feed(self, piece: bytes) -> None:
        """Read a piece of the stream.

        Raises:
            ValueError: it is no stream of chat completion chunks.
        """
        for event in self._events.feed(piece):
            if not self.has_ended:
                self._take(event)

    def end(self) -> None:
        """The stream is over; a last event counts without the empty line that should follow.

        Raises:
            ValueError: see ``feed``; never of a damaged last event.
        """
        rest = self._events.rest()
        if rest is None or self.has_ended:
            return
        try:
            self._take(rest)
        except ValueError:
            if not self._choices:
                raise

    def completion(self) -> dict[str, Any]:
        """The body of a completion in one piece, choices by their index."""
        choices = [self._choices[index].as_whole(index) for index in sorted(self._choices)]
        return {"object": "chat.completion", **self._told, "choices": choices}

    def _take(self, event: Event) -> None:
        data = event.data.strip()
        if data == _END:
            self.is_done = True
            return
        if not data:
            return
        chunks, is_last = _chunks(event)
        for chunk in chunks:
            if _is_error(event.kind, chunk):
                # an answer that is whole is paid, and stays one
                self.error = None if self.is_finished else chunk
                self.is_done = self.error is None
                return
            self._add(chunk)
        self.is_done = is_last

    def _add(self, chunk: dict[str, Any]) -> None:
        for name in ("id", "model", "created"):
            if chunk.get(name) is not None:
                self._told.setdefault(name, chunk[name])
        if isinstance(chunk.get("usage"), dict) and chunk["usage"]:
            self._told["usage"] = chunk["usage"]
        choices = chunk.get("choices")
        for place, choice in enumerate(choices if isinstance(choices, list) else []):
            if not isinstance(choice, dict):
                raise ValueError("a choice of the stream is no object")
            kept = self._choices.setdefault(index_of(choice, place), _Choice())
            if len(self._choices) > _MOST_CHOICES:
                raise ValueError(f"more than {_MOST_CHOICES} choices in a stream")
            kept.add(choice)


class _Choice:
    """What has come of one choice."""

    def __init__(self) -> None:
        self.finish_reason: str | None = None
        self._role = "assistant"
        self._pieces: dict[str, list[Any]] = {}
        self._transcript: list[str] = []

    def add(self, choice: dict[str, Any]) -> None:
        delta, message = choice.get("delta"), choice.get("message")
        if not isinstance(delta, dict) and isinstance(message, dict):
            delta = message
            self._pieces.clear()
            self._transcript.clear()
        if isinstance(delta, dict):
            self._add_delta(delta)
        reason = choice.get("finish_reason")
        if isinstance(reason, str) and reason not in ("", "null"):  # "null": DashScope's not yet
            self.finish_reason = reason

    def _add_delta(self, delta: dict[str, Any]) -> None:
        if isinstance(delta.get("role"), str) and delta["role"]:
            self._role = delta["role"]
        for name in _TEXTS:
            if delta.get(name) is not None:
                self._pieces.setdefault(name, []).append(delta[name])
        audio = delta.get("audio")
        if isinstance(audio, dict) and isinstance(audio.get("transcript"), str):
            self._transcript.append(audio["transcript"])

    def as_whole(self, index: int) -> dict[str, Any]:
        message: dict[str, Any] = {"role": self._role, "content": None}
        message |= {name: _joined(pieces) for name, pieces in self._pieces.items()}
        if self._transcript:
            message["audio"] = {"transcript": "".join(self._transcript)}
        return {"index": index, "message": message, "finish_reason": self.finish_reason}


def _joined(pieces: list[Any]) -> Any:
    """Texts as one; with lists of parts among them, a list of parts; what is neither as it came."""
    if all(isinstance(piece, str) for piece in pieces):
        return "".join(pieces)
    parts: list[Any] = []
    for piece in pieces:
        if isinstance(piece, list):
            parts += piece
        elif isinstance(piece, str):
            parts.append({"type": "text", "text": piece})
        else:
            return piece
    return parts


def _chunks(event: Event) -> tuple[list[dict[str, Any]], bool]:
    """The JSON of an event, and whether the stream's end is marked in it.

    It is one object, or one a line where a server leaves out the empty lines between events.
    """
    is_last = False
    try:
        found = [parsed_json(event.data)]
    except ValueError:
        lines = [line for line in event.data.split("\n") if line.strip()]
        is_last = bool(lines) and lines[-1].strip() == _END
        if event.kind == "error":
            return [{"error": {"message": event.data}}], False
        if event.kind != "message":
            return [], False
        if len(lines) < 2:
            raise ValueError("an event of the stream is no JSON") from None
        found = [parsed_json(line) for line in lines[: len(lines) - is_last]]
    if not all(isinstance(chunk, dict) for chunk in found):
        raise ValueError("an event of the stream is no JSON object")
    return found, is_last


def _is_error(kind: str, chunk: dict[str, Any]) -> bool:
    """OpenAI, vLLM: "error"; older vLLM, SGLang: an object "error"; DashScope: its event's name."""
    if kind == "error" or chunk.get("object") == "error" or chunk.get("error"):
        return True
    return "choices" not in chunk and "code" in chunk and "message" in chunk
