"""Whether answers are asked for in one piece or as a stream, and learning that from refusals."""

import re
from typing import Any, Literal, NamedTuple

#: "auto" asks in one piece until the endpoint says that it only streams.
StreamChoice = Literal["auto", "on", "off"]

#: What servers say that only stream, to a request that did not ask for it. Messages seen:
#: DashScope "This model only support stream mode, please enable the stream parameter to access the
#: model." and "parameter.enable_thinking must be set to false for non-streaming calls" (also in
#: Chinese), ModelScope "... can not be support when `stream=False`", others "Stream must be set to
#: true", "Requests with max_tokens > 4096 must have stream=true".
_NEEDS_STREAM = re.compile(
    r"\bonly\b.{0,60}\bstream"
    r"|\bnon[- _]?stream|\bstream\W{0,3}(=|:|is|to)\W{0,3}false"
    r"|\u6d41\u5f0f",  # "streaming"
    re.IGNORECASE,
)

#: Words that ask for it too, but for what ``_REFUSES_STREAM`` finds.
_ASKS_FOR_STREAM = re.compile(
    r"\bstream(ing)?\b.{0,40}\b(only|must|required?|needs?|has to|should|mandatory)\b"
    r"|\b(must|should|enable|requires?|needs?|use|set|with|pass)\b.{0,40}\bstream(?!s)",
    re.IGNORECASE,
)

#: What a server says that does not stream at all.
_REFUSES_STREAM = re.compile(
    r"\b(disable|remove|without|turn off)\b.{0,40}\bstream"
    r"|\bstream(ing)?\b.{0,40}"
    r"\b(not (be |yet )?(support|allow|available|implement|enabl)|unsupported"
    r"|must be (set to )?false)"
    r"|\b(does not|doesn't|cannot|can't|can not) (support )?stream",
    re.IGNORECASE,
)


class AskingForm(NamedTuple):
    """How one request asks.

    Attributes:
        is_streamed: for a stream.
        has_options: with ``stream_options``, which some endpoints do not take.
    """

    is_streamed: bool
    has_options: bool = True

    def after(self, refusal: str, *, may_stream: bool) -> "AskingForm":
        """The form that a refusal asks for; this one where it asks for none."""
        if self.is_streamed:
            told = re.search("stream_options|include_usage", refusal)
            return self._replace(has_options=False) if told else self
        asks = _NEEDS_STREAM.search(refusal) or (
            _ASKS_FOR_STREAM.search(refusal) and not _REFUSES_STREAM.search(refusal)
        )
        return AskingForm(True) if may_stream and asks else self


class Asking:
    """The form of all requests of one model, which its refusals change for good.

    Args:
        choice: "on" streams from the start, "off" never does.
        options: ``stream_options`` of streamed requests.
    """

    def __init__(
        self, choice: StreamChoice = "auto", options: dict[str, Any] | None = None
    ) -> None:
        self.form = AskingForm(choice == "on")
        self._may_stream = choice != "off"
        self._options = {"include_usage": True} if options is None else options

    def fields(self, form: AskingForm) -> dict[str, Any]:
        """What a request of this form has besides the question."""
        if not form.is_streamed:
            return {}
        options = {"stream_options": self._options} if form.has_options and self._options else {}
        return {"stream": True, **options}

    def learn(self, form: AskingForm, refusal: str) -> bool:
        """Whether a request refused in this form should be sent again in the one of now."""
        wanted = form.after(refusal, may_stream=self._may_stream)
        if wanted == form:
            return False
        if self.form == form:
            self.form = wanted
        return self.form != form
