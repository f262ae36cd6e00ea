"""The captions of one shard in other words: a row for each sample, whatever became of it."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
from pyarrow import parquet

from data_pipelines.curation.columns import GOOD
from data_pipelines.curation.parts import note_of, opened_part, write_part
from data_pipelines.curation.rewriting.answers import verdict_of
from data_pipelines.curation.rewriting.styles import Style
from data_pipelines.curation.rewriting.writer import CaptionWriter
from data_pipelines.curation.table import TablePart
from data_pipelines.errors import DataError
from data_pipelines.schema import JsonValue
from data_pipelines.shards.manifest import sha256_of

#: Reason of rows that a run of curation dropped, and of those whose tries ran out.
NOT_CHOSEN, FAILED = "not chosen", "failed"

_COLUMNS = pa.schema(
    [
        pa.field("uid", pa.string(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),
        pa.field("original", pa.string()),
        pa.field("caption", pa.string()),
        pa.field("reason", pa.dictionary(pa.int32(), pa.string())),
        pa.field("input_tokens", pa.int32()),
        pa.field("output_tokens", pa.int32()),
    ]
)


class _Fate(NamedTuple):
    """What became of one caption."""

    caption: str
    reason: str
    input_tokens: int
    output_tokens: int


class PartSummary(NamedTuple):
    """A finished part.

    Attributes:
        shard, content, part: file name of the shard, its content as the table has it, and the name
            of the part.
        sha256: of the part.
        rewritten: rows with a new caption.
        reasons: rows without one, by reason.
        input_tokens, output_tokens: of all answers in it.
    """

    shard: str
    content: str
    part: str
    sha256: str
    rows: int
    rewritten: int
    reasons: Mapping[str, int]
    input_tokens: int
    output_tokens: int

    @property
    def num_failed(self) -> int:
        """Rows whose caption is asked for again the next time."""
        return self.reasons.get(FAILED, 0)


@dataclass(frozen=True, kw_only=True)
class ShardRewriting:
    """The work on one shard.

    Args:
        part: of the table.
        path: of the part to write.
        answers: file of what was answered while it is not written.
        style: in which the captions are said again.
        settings: all that the answers depend on.
        kept: table of the kept rows of a run (``kept.parquet``); None: all rows.
        kept_sha256: of that table.
    """

    part: TablePart
    path: Path
    answers: Path
    style: Style
    settings: Mapping[str, JsonValue]
    kept: Path | None = None
    kept_sha256: str | None = None

    @property
    def finished(self) -> PartSummary | None:
        """What is stored; None where captions are missing, or others were asked for."""
        note = self._note()
        if note is None or note["wanted"] != self._wanted or note["reasons"].get(FAILED):
            return None
        return self._summary(note, sha256_of(self.path))

    @property
    def other_settings(self) -> str | None:
        """In what the stored part differs in its making; None where it does not."""
        note = self._note()
        stored = {} if note is None else note["wanted"]["settings"]
        differing = [name for name in self.settings if stored.get(name) != self.settings[name]]
        if note is None or not differing:
            return None
        name = differing[0]
        return f"{name} {_short(stored.get(name))} instead of {_short(self.settings[name])}"

    @cached_property
    def asked(self) -> tuple[str, ...]:
        """Captions that no answer is stored for, each once, in the order of the rows."""
        wanted = (text for _, text, reason in self._rows() if text is not None and not reason)
        return tuple(one for one in dict.fromkeys(wanted) if one not in self._stored)

    def write(
        self, writer: CaptionWriter, *, advance: Callable[[], object] | None = None
    ) -> PartSummary:
        """Ask for what is missing, and write the part.

        Args:
            writer: is asked.
            advance: called after each answer that was not kept before.
        Raises:
            UserError: nothing more can be asked, or the disk refuses.
        """
        fates = dict(self._stored)
        prompts = [self.style.asked(caption) for caption in self.asked]
        kept = writer.answered(prompts, answers=self.answers)
        for written in writer.write(prompts, answers=self.answers) if prompts else ():
            original = self.asked[written.number]
            caption, reason = verdict_of(written, original)
            fates[original] = _Fate(caption, reason, written.input_tokens, written.output_tokens)
            if advance is not None and written.number not in kept:
                advance()
        missing = [caption for caption in self.asked if caption not in fates]
        if missing:
            raise DataError(
                f"{len(missing)} captions of {self.part.shard} were not answered; run the same "
                "command again"
            )
        rows = list(_with_fates(self._rows(), fates))
        reasons = Counter(row["reason"] for row in rows if row["reason"])
        note = {
            "wanted": self._wanted,
            "reasons": dict(sorted(reasons.items())),
            "rewritten": len(rows) - reasons.total(),
            "input_tokens": sum(row["input_tokens"] or 0 for row in rows),
            "output_tokens": sum(row["output_tokens"] or 0 for row in rows),
        }
        batch = pa.RecordBatch.from_pylist(rows, schema=_COLUMNS)
        written_part = write_part(self.path, _COLUMNS, [batch], note)
        self.answers.unlink(missing_ok=True)
        return self._summary(note, written_part.sha256)

    @property
    def _wanted(self) -> dict[str, JsonValue]:
        return {
            "content": self.part.content,
            "rows": self.part.rows,
            "kept": self.kept_sha256,
            "settings": dict(self.settings),
        }

    def _note(self) -> dict[str, Any] | None:
        note = note_of(self.path)
        return note if note is not None and "wanted" in note else None

    def _summary(self, note: Mapping[str, Any], sha256: str) -> PartSummary:
        return PartSummary(
            shard=self.part.shard,
            content=self.part.content,
            part=self.path.name,
            sha256=sha256,
            rows=self.part.rows,
            rewritten=note["rewritten"],
            reasons=note["reasons"],
            input_tokens=note["input_tokens"],
            output_tokens=note["output_tokens"],
        )

    def _rows(self) -> Iterator[tuple[str, str | None, str]]:
        """Uid, caption and why it is not asked for (empty: it is) of each row."""
        names = ["uid", "caption", "caption_verdict"]
        file, row = opened_part(self.part.path), 0
        for batch in file.iter_batches(columns=names):
            columns = [batch[name].to_pylist() for name in names]
            for uid, caption, verdict in zip(*columns, strict=True):
                reason = "" if verdict == GOOD else verdict
                if self._chosen is not None and row not in self._chosen:
                    reason = NOT_CHOSEN
                yield uid, caption, reason
                row += 1

    @cached_property
    def _chosen(self) -> frozenset[int] | None:
        if self.kept is None:
            return None
        try:
            rows = parquet.read_table(
                self.kept, columns=["row"], filters=[("shard", "=", self.part.shard)]
            )
        except (OSError, pa.ArrowException) as error:
            told = " ".join(str(error).split())[:200]
            raise DataError(
                f"cannot read {self.kept}: {told}; it is kept.parquet of 'vlsuite curate run'"
            ) from error
        return frozenset(rows["row"].to_pylist())

    @cached_property
    def _stored(self) -> dict[str, _Fate]:
        """What an earlier part of the same settings knows, by caption."""
        note = self._note()
        if note is None or note["wanted"]["settings"] != dict(self.settings):
            return {}
        known: dict[str, _Fate] = {}
        for row in opened_part(self.path).read().to_pylist():
            is_answered = row["input_tokens"] is not None and row["reason"] != FAILED
            if is_answered:
                tokens = (row["input_tokens"], row["output_tokens"])
                known[row["original"]] = _Fate(row["caption"] or "", row["reason"] or "", *tokens)
        return known


def _with_fates(
    rows: Iterable[tuple[str, str | None, str]], fates: Mapping[str, _Fate]
) -> Iterator[dict[str, Any]]:
    """The rows of the part; tokens stand at the first row of a caption alone."""
    counted: set[str] = set()
    for number, (uid, original, reason) in enumerate(rows):
        row: dict[str, Any] = {"uid": uid, "row": number, "original": original, "reason": reason}
        row |= {"caption": None, "input_tokens": None, "output_tokens": None}
        if not reason:
            assert original is not None
            fate = fates[original]
            row |= {"caption": fate.caption or None, "reason": fate.reason}
            if original not in counted:
                counted.add(original)
                row |= {"input_tokens": fate.input_tokens, "output_tokens": fate.output_tokens}
        yield {**row, "reason": row["reason"] or None}


def _short(value: object) -> str:
    return str(value)[:40]


def texts_of(path: Path) -> Sequence[str | None]:
    """The new captions of a part, by row."""
    return opened_part(path).read(columns=["caption"])["caption"].to_pylist()
