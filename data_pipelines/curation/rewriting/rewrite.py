"""All captions of a table in other words: a column of captions, shard by shard.

The column is a folder: ``SHARD.parquet`` for each shard, with a row for each sample (the caption as
it was, the new one, or the reason why there is none), ``column.captions``, which training reads,
and ``rewrite.json``, written last. Each answer is on disk before it counts; a rewriting that was
stopped goes on where it was and asks nothing twice.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from data_pipelines.bounded_json import read_object
from data_pipelines.captions.column_file import FILE_NAME, ShardTexts, write_column
from data_pipelines.curation.rewriting.reports import Estimate, RewriteReport
from data_pipelines.curation.rewriting.shard import PartSummary, ShardRewriting, texts_of
from data_pipelines.curation.rewriting.styles import Style
from data_pipelines.curation.rewriting.writer import CaptionWriter
from data_pipelines.curation.table import Table
from data_pipelines.errors import ConfigError, DataError
from data_pipelines.schema import JsonValue
from data_pipelines.shards.atomic import make_folder, remove_unfinished, write_file
from data_pipelines.shards.file_lock import open_lock, release, try_lock
from data_pipelines.shards.manifest import sha256_of

#: Folder of the caption columns inside that of the table; what is written last in each.
CAPTIONS, REWRITE_NAME = "captions", "rewrite.json"

_FORMAT = 1
_ANSWERS, _LOCK = "answers", ".lock"


@dataclass(frozen=True, kw_only=True)
class Rewriting:
    """A rewriting of the captions of a table.

    Args:
        table: of a scan.
        writer: the model.
        style: in which the captions are said again.
        name: of the column.
        kept: ``kept.parquet`` of a run: only these rows are said again; None: all.
    Raises:
        ConfigError: the name can be none.
        DataError: the folder holds a column that was made otherwise.
    """

    table: Table
    writer: CaptionWriter
    style: Style
    name: str
    kept: Path | None = None

    def __post_init__(self) -> None:
        if not self.name.replace("-", "_").isidentifier() or self.name in (
            *self.table.columns,
            "own",
        ):
            raise ConfigError(
                f"'{self.name}' cannot name captions: use a word that is no column of the table"
            )

    @property
    def folder(self) -> Path:
        """Of the column."""
        return self.table.folder / CAPTIONS / self.name

    def refuse_others(self, *, overwrite: bool = False) -> None:
        """See that what is stored was made in the same way; what was paid is not thrown away.

        Args:
            overwrite: whether to remove it where it was not.
        Raises:
            DataError: it was made otherwise, or cannot be removed.
        """
        for shard in self.shards():
            told = shard.other_settings
            if told is None:
                continue
            if not overwrite:
                raise DataError(
                    f"{self.folder} holds captions that were made otherwise ({told}); choose "
                    "another --name, or replace them with --overwrite"
                )
            self._remove()
            return

    def shards(self) -> Iterator[ShardRewriting]:
        """The work, in the order of the shards, one in memory at a time."""
        settings: dict[str, JsonValue] = {
            **self.writer.identity,
            "style": self.style.name,
            "prompt": self.style.digest,
        }
        kept_sha256 = None if self.kept is None else _digest_of(self.kept)
        for part in self.table.parts:
            yield ShardRewriting(
                part=part,
                path=self.folder / part.path.name,
                answers=self.folder / _ANSWERS / f"{part.path.stem}.jsonl",
                style=self.style,
                settings=settings,
                kept=self.kept,
                kept_sha256=kept_sha256,
            )

    def estimate(self) -> Estimate:
        """What is left to be done, less the answers that an interrupted command has kept; nothing
        is asked."""
        captions = shards = sent = back = 0
        for shard in self.shards():
            if shard.finished is not None or not shard.asked:
                continue
            shards += 1
            prompts = [self.style.asked(caption) for caption in shard.asked]
            kept = self.writer.answered(prompts, answers=shard.answers)
            left = [number for number in range(len(prompts)) if number not in kept]
            captions += len(left)
            back += sum(self.writer.tokens_of(shard.asked[number]) for number in left)
            sent += sum(self.writer.tokens_of(prompts[number]) for number in left)
        most = captions * self.writer.max_tokens
        costs = self.writer.cost(sent, back), self.writer.cost(sent, most)
        return Estimate(captions, shards, sent, min(back, most), most, *costs)

    def run(self, *, advance: Callable[[], object] | None = None) -> RewriteReport:
        """Ask for what is missing, and write the column.

        Args:
            advance: called after each answer that was not kept before.
        Raises:
            UserError: nothing more can be asked (all that was answered is kept), another command
                is at work on the column, or the disk refuses.
        """
        self.refuse_others()
        make_folder(self.folder / _ANSWERS)
        with _alone(self.folder):
            remove_unfinished(self.folder)
            done, num_written = [], 0
            for shard in self.shards():
                found = shard.finished
                if found is None:
                    (self.folder / REWRITE_NAME).unlink(missing_ok=True)
                    found = shard.write(self.writer, advance=advance)
                    num_written += 1
                done.append(found)
            self._remove_others({one.part for one in done})
            return self._finish(done, num_written)

    def _finish(self, done: Sequence[PartSummary], num_written: int) -> RewriteReport:
        reasons: Counter[str] = Counter()
        for one in done:
            reasons.update(one.reasons)
        report = RewriteReport(
            folder=self.folder,
            rows=sum(one.rows for one in done),
            rewritten=sum(one.rewritten for one in done),
            reasons=dict(sorted(reasons.items())),
            input_tokens=sum(one.input_tokens for one in done),
            output_tokens=sum(one.output_tokens for one in done),
            num_written=num_written,
        )
        parts = {one.part: one.sha256 for one in done}
        if not num_written and self._is_finished(parts):
            return report
        made: dict[str, JsonValue] = {
            **self.writer.identity,
            "style": self.style.name,
            "prompt": self.style.prompt,
        }
        texts = (ShardTexts(o.shard, o.content, texts_of(self.folder / o.part)) for o in done)
        digest = write_column(self.folder / FILE_NAME, texts, name=self.name, provenance=made)
        stored = {
            "format_version": _FORMAT,
            "tool": "vlsuite",
            "name": self.name,
            "digest": digest,
            "made": made,
            **{key: value for key, value in report._asdict().items() if key in _STORED},
            "parts": parts,
        }
        text = json.dumps(stored, indent=1, ensure_ascii=True)
        write_file(self.folder / REWRITE_NAME, f"{text}\n".encode())
        return report

    def _is_finished(self, parts: Mapping[str, str]) -> bool:
        """Whether the column is that of these parts already."""
        try:
            stored = read_object(self.folder / REWRITE_NAME)
        except (OSError, ValueError):
            return False
        return stored.get("parts") == parts and (self.folder / FILE_NAME).is_file()

    def _remove_others(self, parts: set[str]) -> None:
        """Parts of shards that the table does not have any more."""
        for path in self.folder.glob("*.parquet"):
            if path.name not in parts:
                path.unlink()

    def _remove(self) -> None:
        """What is stored, the description first."""
        names = [REWRITE_NAME, FILE_NAME]
        paths = [self.folder / name for name in names]
        paths += [*self.folder.glob("*.parquet"), *(self.folder / _ANSWERS).glob("*.jsonl")]
        try:
            for path in paths:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise DataError(f"cannot remove {self.folder}: {error.strerror}") from error


_STORED = ("rows", "rewritten", "reasons", "input_tokens", "output_tokens")


def _digest_of(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError as error:
        raise DataError(
            f"cannot read {path}: {error.strerror}; it is kept.parquet of 'vlsuite curate run'"
        ) from error


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Only one command asks at a time: two would pay twice."""
    lock = open_lock(folder / _LOCK)
    if not try_lock(lock):
        raise DataError(f"another command is rewriting into {folder}; wait until it ends")
    try:
        yield
    finally:
        release(lock)
