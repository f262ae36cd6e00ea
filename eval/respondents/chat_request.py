"""One question as the bytes of a chat request, and the answer out of what comes back."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from data_pipelines.bounded_json import parsed_json
from data_pipelines.printable import masked
from data_pipelines.shards.stored_sample import printable
from eval.respondents.cost import count_of, text_tokens
from eval.respondents.endings import Ending, chosen_choice, ending_of, said_in
from eval.respondents.endpoint_config import EndpointConfig
from eval.respondents.media_parts import (
    audio_part,
    encode_audio,
    encode_image,
    image_part,
    is_decodable_audio,
)
from eval.respondents.prompt import AudioPart, ImagePart, Part, TextPart, parts
from eval.respondents.question import Prompted


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A request ready to be sent.

    Args:
        key: SHA-256 over address and body, which holds model, parameters, texts and media.
        body: JSON, without the fields that ask for a stream: the answer is the same and once paid.
        tokens: estimate of what is sent.
    """

    key: str
    body: bytes
    tokens: int

    def asking(self, fields: Mapping[str, Any]) -> bytes:
        """The body with further fields."""
        if not fields:
            return self.body
        return self.body[:-1] + b", " + json.dumps(fields).encode()[1:]


class Answer(NamedTuple):
    """What a model wrote, and what the endpoint counted; None where it does not say.

    Attributes:
        ending: why it ended; see ``endings.Ending``.
        reasoning_chars: length of what was thought apart from the text.
        num_choices: answers that came together; the one with the lowest index is read.
    """

    text: str
    input_tokens: int | None
    output_tokens: int | None
    ending: Ending = ""
    reasoning_chars: int = 0
    num_choices: int = 1


def chat_request(question: Prompted, config: EndpointConfig) -> ChatRequest:
    """The request for one question.

    Raises:
        DataError: a medium cannot be read or decoded.
    """
    content, tokens = [], 0
    for part in parts(question, config.style):
        converted, cost = _converted(part, config)
        content.append(converted)
        tokens += cost
    messages: list[dict[str, Any]] = [{"role": "user", "content": content}]
    if config.system is not None:
        messages.insert(0, {"role": "system", "content": config.system})
        tokens += text_tokens(config.system)
    body = json.dumps({**config.parameters(), "messages": messages}, sort_keys=True).encode()
    key = hashlib.sha256(config.chat_url.encode() + b"\0" + body).hexdigest()
    return ChatRequest(key, body, tokens)


def _converted(part: Part, config: EndpointConfig) -> tuple[dict[str, Any], int]:
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.text}, text_tokens(part.text)
    if isinstance(part, ImagePart):
        image = encode_image(part.media.read(), max_side=config.max_side)
        return image_part(image), image.tokens
    sound = encode_audio(part.media.read())
    return audio_part(sound, config.audio_form), sound.tokens


def broken_media(question: Prompted, config: EndpointConfig) -> str | None:
    """Why a refused question could not be answered: the name of a sound that is no sound.

    Pictures were decoded before the request was sent.
    """
    for part in parts(question, config.style):
        if isinstance(part, AudioPart) and not is_decodable_audio(part.media.read()):
            return part.media.name
    return None


def read_answer(body: bytes) -> Answer:
    """The choice of a chat completion with the lowest index; its text may be empty.

    Raises:
        ValueError: it is no chat completion; says why in one line.
    """
    try:
        data = parsed_json(body)
    except (ValueError, RecursionError) as error:
        raise ValueError("no JSON") from error
    if not isinstance(data, dict):
        raise ValueError("no JSON object")
    choices = data.get("choices")
    if not isinstance(choices, list) or not choices:
        raise ValueError(f"no choices{_told(data)}")
    choice = chosen_choice(choices)
    message = choice.get("message")
    if not isinstance(message, dict):
        raise ValueError("no message in the first choice")
    said = said_in(message)
    ending = ending_of(choice.get("finish_reason"))
    counted = data.get("usage")
    usage = counted if isinstance(counted, dict) else {}
    return Answer(
        said.text,
        count_of(usage.get("prompt_tokens")),
        count_of(usage.get("completion_tokens")),
        "refusal" if said.is_refusal else ending,
        said.reasoning_chars,
        len(choices),
    )


def error_text(body: bytes) -> str:
    """What an endpoint says about an error, in one line."""
    try:
        found = _told(parsed_json(body)).removeprefix(": ")
    except ValueError:
        found = ""
    return found or clean(body.decode("utf-8", "replace"))


def clean(text: str) -> str:
    """One line that terminals and files can hold; not yet cut, a key may have to be hidden."""
    return masked(printable(" ".join(text.encode("utf-8", "replace").decode("utf-8").split())))


def _told(data: Any) -> str:
    if not isinstance(data, dict):
        return ""
    error = data.get("error", data.get("detail", data.get("message")))
    if isinstance(error, dict):
        error = error.get("message", error)
    return f": {clean(str(error))}" if error else ""
