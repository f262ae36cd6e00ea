"""What a model answered, as it is logged: one JSON line a question and setting."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from data_pipelines.field_types import check_fields
from data_pipelines.printable import json_text
from eval.errors import EvaluationError
from eval.respondents.endings import Ending, ending_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Response:
    """One answer, or why there is none.

    Args:
        index: of the question.
        setting: name of the setting.
        text: what the model wrote, untouched; None where it wrote nothing.
        scores: one number an option from models that score instead of writing, else None.
        error: why there is no answer, in one line; None where there is one.
        kind: of the error: "media" (the picture or sound cannot be decoded), "refused" (the
            endpoint will never take this request), "failed" (tries ran out; a later run asks
            again); empty without error.
        input_tokens, output_tokens: as counted by the model's side, None where it does not say.
        ending: why the text ended, see ``endings.Ending``; empty where it is not told.
        reasoning_chars: characters that were thought apart from the text.
        num_choices: answers that came together, of which this is the first.
    """

    index: int
    setting: str
    text: str | None = None
    scores: tuple[float, ...] | None = None
    error: str | None = None
    kind: str = ""
    input_tokens: int | None = None
    output_tokens: int | None = None
    ending: Ending = ""
    reasoning_chars: int = 0
    num_choices: int = 1

    def to_json(self) -> str:
        """One line, keys in a fixed order, without what is empty."""
        kept = {k: v for k, v in asdict(self).items() if v is not None and v != ""}
        if not self.reasoning_chars:
            del kept["reasoning_chars"]
        if self.num_choices == 1:
            del kept["num_choices"]
        if self.text == "":
            kept["text"] = ""
        return json_text(json.dumps(kept, ensure_ascii=False, sort_keys=True))

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], *, where: str) -> "Response":
        """From a parsed line; ``where`` names it in messages.

        Raises:
            EvaluationError: it is no response.
        """
        known = {k: data[k] for k in cls.__dataclass_fields__ if k in data}
        if set(known) != set(data) or not {"index", "setting"} <= set(known):
            raise EvaluationError(f"{where}: not a logged response; expected index, setting, text")
        try:
            if known.get("scores") is not None:
                known["scores"] = tuple(float(score) for score in known["scores"])
            if "ending" in known:
                known["ending"] = ending_of(known["ending"])
            response = cls(**known)
            check_fields(response)
        except (TypeError, ValueError, OverflowError) as error:
            raise EvaluationError(
                f"{where}: not a logged response ({error}); delete that line and ask again"
            ) from error
        return response
