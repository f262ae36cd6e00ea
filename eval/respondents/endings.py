"""Why an answer ended, in one vocabulary for all servers and for models run here."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

#: "stop": the model was done; "length": cut at the token limit; "content_filter": withheld or
#: stopped by a filter; "refusal": the model declined; "tool_calls": it called a tool instead;
#: "other": the server used another word; "": not told (models that score, earlier logs).
Ending = Literal["stop", "length", "content_filter", "refusal", "tool_calls", "other", ""]

ENDINGS: tuple[Ending, ...] = (
    "stop", "length", "content_filter", "refusal", "tool_calls", "other", "",
)  # fmt: skip

#: Words of OpenAI, vLLM, llama.cpp, TGI, Anthropic, Gemini, Mistral, DashScope and others.
_WORDS: dict[Ending, tuple[str, ...]] = {
    "stop": (
        "stop", "eos", "eos_token", "end_turn", "stop_sequence", "stop_string", "complete",
        "completed", "finish", "finished", "finish_reason_stop",
    ),
    "length": (
        "length", "limit", "max_tokens", "max_output_tokens", "max_new_tokens", "max_length",
        "model_length", "token_limit", "incomplete", "truncated", "finish_reason_max_tokens",
    ),
    "content_filter": (
        "content_filter", "content_filtered", "contentfilter", "safety", "blocked", "blocklist",
        "prohibited_content", "recitation", "spii", "sensitive", "image_safety", "guardrail",
        "guardrail_intervened", "data_inspection_failed",
    ),
    "refusal": ("refusal", "refused"),
    "tool_calls": ("tool_calls", "tool_call", "tool_use", "function_call"),
}  # fmt: skip

_KNOWN: dict[str, Ending] = {word: ending for ending, words in _WORDS.items() for word in words}

#: Kinds of content parts that hold no answer but the way to one.
_THOUGHT = (
    "reasoning",
    "reasoning_text",
    "reasoning_content",
    "thinking",
    "thought",
    "summary_text",
)
_SAID = ("text", "output_text")


class Said(NamedTuple):
    """What a message holds.

    Attributes:
        text: the answer's parts, joined; of a declined question, what is said instead.
        reasoning_chars: length of what was thought apart from it, characters.
        is_refusal: whether the model declined in the field for that.
    """

    text: str
    reasoning_chars: int
    is_refusal: bool


def ending_of(word: Any) -> Ending:
    """The ending that a server's word stands for; "" where it says nothing."""
    if word is None or word == "":
        return ""
    return _KNOWN.get(str(word).strip().lower(), "other")


def chosen_choice(choices: Sequence[Any]) -> dict[str, Any]:
    """The choice with the lowest index, whatever its place; the first where none is numbered.

    Raises:
        ValueError: none of them is an object.
    """
    objects = [choice for choice in choices if isinstance(choice, dict)]
    if not objects:
        raise ValueError("no choice is an object")

    return min(enumerate(objects), key=lambda found: (index_of(found[1], found[0]), found[0]))[1]


def index_of(choice: dict[str, Any], place: int) -> int:
    """The number of a choice; its place where the server gives none."""
    index = choice.get("index")
    return index if isinstance(index, int) and not isinstance(index, bool) else place


def said_in(message: dict[str, Any]) -> Said:
    """Text and thought of a message of any server.

    Raises:
        ValueError: its content is no text.
    """
    content, refusal = message.get("content"), message.get("refusal")
    thought = sum(_length(message.get(name)) for name in ("reasoning_content", "reasoning"))
    is_refusal = bool(refusal) and not content
    if is_refusal:
        content = refusal
    if isinstance(content, list):
        pieces = [piece for piece in content if isinstance(piece, dict)]
        thought += sum(_length(_text_of(p)) for p in pieces if p.get("type") in _THOUGHT)
        declined = [p for p in pieces if p.get("type") == "refusal"]
        is_refusal = is_refusal or bool(declined)
        told = [p for p in pieces if p.get("type", "text") in _SAID]
        texts = [_text_of(piece) for piece in told]
        texts = texts or [str(piece.get("refusal") or "") for piece in declined]
        content = "".join(texts + [piece for piece in content if isinstance(piece, str)])
    if content is None:
        content = ""
    if not isinstance(content, str):
        raise ValueError("the content of the message is no text")
    # half of a surrogate pair is JSON but no UTF-8
    return Said(content.encode("utf-8", "replace").decode("utf-8"), thought, is_refusal)


def _text_of(piece: dict[str, Any]) -> str:
    """Of a part; some servers nest parts of thought once more."""
    for name in ("text", "reasoning", "thinking", "summary"):
        value = piece.get(name)
        if isinstance(value, str):
            return value
        if isinstance(value, list):
            return "".join(_text_of(own) for own in value if isinstance(own, dict))
    return ""


def _length(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, list):
        return sum(_length(_text_of(piece)) for piece in value if isinstance(piece, dict))
    return 0
