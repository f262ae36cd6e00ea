"""One stored record of OmniBench as a question, or what is wrong with it.

The columns are those of the published files: keys with spaces, options without letters and the
answer as the text of one option, whose place in the list is the gold label.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from data_pipelines.errors import BadSampleError
from eval.respondents.question import LETTERS, Media, OmniQuestion

#: Columns of text that every record has.
TEXT_COLUMNS = ("task type", "audio type", "question", "answer", "audio content", "image content")

#: All columns but the media themselves.
COLUMNS = ("index", *TEXT_COLUMNS, "options")


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a record is left out.

    Args:
        kind: short and the same for all like cases.
        where: which record, and what exactly.
    """

    kind: str
    where: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.where}"


def question_of(record: Mapping[str, Any], *, image: Media, audio: Media) -> OmniQuestion:
    """The question of a record.

    Raises:
        BadSampleError: a column is missing or of another type, an option occurs twice, or the
            answer is none of the options.
    """
    index = record.get("index")
    if not isinstance(index, int) or isinstance(index, bool):
        raise BadSampleError("no index", f"'index' is {index!r}, expected a whole number")
    for column in TEXT_COLUMNS:
        if not isinstance(record.get(column), str):
            raise BadSampleError("missing column", f"'{column}' holds no text")
    options = _options(record.get("options"))
    return OmniQuestion(
        index=index,
        task_type=record["task type"],
        audio_type=record["audio type"],
        text=record["question"],
        options=options,
        answer=gold(options, record["answer"]),
        transcript=record["audio content"],
        caption=record["image content"],
        image=image,
        audio=audio,
    )


def gold(options: tuple[str, ...], answer: str) -> int:
    """Place of the answer among the options; space around them does not count.

    Raises:
        BadSampleError: it is none of them.
    """
    stripped = [option.strip() for option in options]
    if answer.strip() not in stripped:
        raise BadSampleError("answer is no option", f"{answer[:80]!r}")
    return stripped.index(answer.strip())


def _options(given: Any) -> tuple[str, ...]:
    if not isinstance(given, list) or not all(isinstance(o, str) and o.strip() for o in given):
        raise BadSampleError("no options", "'options' is no list of texts")
    if not 2 <= len(given) <= len(LETTERS):
        raise BadSampleError("no options", f"{len(given)} options; 2 to {len(LETTERS)} are usable")
    if len({option.strip() for option in given}) < len(given):
        raise BadSampleError("duplicated option", " | ".join(given)[:120])
    return tuple(given)
