"""A chat endpoint that says captions in other words (``data_pipelines.curation.rewriting``)."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from data_pipelines.curation.rewriting.writer import Trouble, Written
from data_pipelines.schema import JsonValue
from eval.answers.cleaning import without_thoughts
from eval.respondents.answer_journal import AnswerJournal, kept_answers
from eval.respondents.chat_client import ChatClient
from eval.respondents.chat_request import chat_request
from eval.respondents.cost import Account, text_tokens
from eval.respondents.endings import Ending
from eval.respondents.question import Prompted
from eval.respondents.response import Response

_SETTING = "caption"

_TROUBLES: Mapping[Ending, Trouble] = {
    "content_filter": "filtered",
    "refusal": "declined",
    "length": "cut",
}


class EndpointWriter:
    """Satisfies ``CaptionWriter``.

    Args:
        client: of the endpoint; answers are kept in the file of each work, not in its cache.
    """

    def __init__(self, client: ChatClient) -> None:
        self._client = client

    @property
    def identity(self) -> dict[str, JsonValue]:
        """Model and parameters; the address does not count, servers move."""
        config = self._client.config
        return {**config.parameters(), "system": config.system}

    @property
    def max_tokens(self) -> int:
        """See ``CaptionWriter``."""
        return self._client.config.max_tokens

    @property
    def account(self) -> Account:
        """What has been asked so far."""
        return self._client.account

    def tokens_of(self, text: str) -> int:
        """See ``CaptionWriter``."""
        return text_tokens(text)

    def cost(self, input_tokens: int, output_tokens: int) -> float:
        """See ``CaptionWriter``."""
        return self._client.price.of(input_tokens, output_tokens)

    def answered(self, prompts: Sequence[str], *, answers: Path) -> frozenset[int]:
        """See ``CaptionWriter``.

        Raises:
            DataError: the answers cannot be read.
        """
        kept = kept_answers(answers)
        if not kept:
            return frozenset()
        requests = (chat_request(one, self._client.config) for one in _questions(prompts))
        return frozenset(
            number
            for number, request in enumerate(requests)
            if isinstance(kept.get(request.key, {}).get("text"), str)
        )

    def write(self, prompts: Sequence[str], *, answers: Path) -> Iterator[Written]:
        """See ``CaptionWriter``.

        Raises:
            EvaluationError: see ``ChatClient.respond``.
            DataError: the answers cannot be kept.
        """
        questions = _questions(prompts)
        journal = AnswerJournal(answers)
        is_known = bool(self.account.answered or len(journal))
        try:
            for response in self._client.respond(questions, cache=journal, is_known=is_known):
                yield _written(response)
        finally:
            journal.close()


def _questions(prompts: Sequence[str]) -> list[Prompted]:
    return [
        Prompted(index=number, setting=_SETTING, text=text) for number, text in enumerate(prompts)
    ]


def _written(response: Response) -> Written:
    if response.kind or response.error is not None:
        trouble: Trouble = "refused" if response.kind == "refused" else "failed"
        return Written(response.index, "", trouble)
    text = without_thoughts(response.text or "")
    return Written(
        response.index,
        text,
        _TROUBLES.get(response.ending, ""),
        response.input_tokens or 0,
        response.output_tokens or 0,
    )
