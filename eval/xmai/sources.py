"""Captioned pictures to perturb: any evaluation data set, or a table in upstream's layout."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from data_pipelines.bounded_files import media_bytes
from data_pipelines.bounded_json import parsed_json
from data_pipelines.errors import UserError
from eval.data.dataset import EvalDataset
from eval.data.folders import open_dataset
from eval.errors import EvaluationError
from eval.xmai.chunks import CaptionRow, CaptionSource, Chunk
from eval.xmai.detections import Detection, Detections
from eval.xmai.records import uids_of

#: What is perturbed: the captions, or the statements under "hypotheses" of each json member.
Texts = Literal["captions", "hypotheses"]


class _Text(NamedTuple):
    text: str
    label: str | None


@dataclass(frozen=True, slots=True)
class DatasetSource:
    """The captions of an evaluation data set.

    Args:
        dataset: with pictures.
        uids: one a picture.
        texts: of each picture.
        detections: by uid; pictures without any get no insertion that needs one.
    """

    dataset: EvalDataset
    uids: tuple[str, ...]
    texts: tuple[tuple[_Text, ...], ...]
    detections: Detections

    @property
    def description(self) -> dict[str, Any]:
        """See ``CaptionSource``."""
        return {
            "name": self.dataset.name,
            "split": self.dataset.split,
            "revision": self.dataset.revision,
        }

    def __len__(self) -> int:
        return len(self.uids)

    def chunk(self, start: int, stop: int, *, with_pictures: bool) -> Chunk:
        """See ``CaptionSource``; members of a picture that cannot be read count as no picture."""
        span = range(start, min(stop, len(self)))
        pictures = [self._picture(i) if with_pictures else b"" for i in span]
        rows = [
            CaptionRow(uid, n, one.text, one.label, i - start, self.detections.get(uid, ()))
            for i in span
            for uid in (self.uids[i],)
            for n, one in enumerate(self.texts[i])
        ]
        return Chunk(tuple(rows), tuple(pictures))

    def _picture(self, i: int) -> bytes:
        try:
            return self.dataset.images.read(i)
        except UserError:
            return b""


@dataclass(frozen=True, slots=True)
class TableRow:
    """A row of a table: a picture of its own.

    Args:
        uid: names the row.
        text: what is perturbed.
        file: of the picture; None where the table has none.
        data: the picture itself, where the table holds it.
        detections: what the table says was seen.
    """

    uid: str
    text: str
    file: Path | None
    data: bytes
    detections: tuple[Detection, ...]


@dataclass(frozen=True, slots=True)
class TableSource:
    """Rows of a table, in order.

    Args:
        rows: see ``TableRow``.
        description: see ``CaptionSource``.
    """

    rows: tuple[TableRow, ...]
    description: dict[str, Any]

    def __len__(self) -> int:
        return len(self.rows)

    def chunk(self, start: int, stop: int, *, with_pictures: bool) -> Chunk:
        """See ``CaptionSource``."""
        own = self.rows[start:stop]
        rows = [
            CaptionRow(row.uid, 0, row.text, None, i, row.detections) for i, row in enumerate(own)
        ]
        return Chunk(tuple(rows), tuple(_bytes(row) if with_pictures else b"" for row in own))


def open_source(path: str, *, split: str, texts: Texts, detections: Detections) -> CaptionSource:
    """Open what is to be perturbed.

    Args:
        path: see ``eval.data.folders.open_dataset``.
        split: of a CLIP_benchmark folder.
        texts: see ``Texts``.
        detections: by uid; see ``eval.xmai.records.uids_of``.
    Raises:
        EvaluationError: nothing there, or no such texts.
        ShardError: a shard is missing or no tar.
    """
    task = "retrieval" if texts == "captions" else "images"
    dataset = open_dataset(path, split=split, task=task)
    found = _captions(dataset) if texts == "captions" else _hypotheses(dataset)
    return DatasetSource(dataset, tuple(uids_of(dataset)), found, detections)


def _captions(dataset: EvalDataset) -> tuple[tuple[_Text, ...], ...]:
    assert dataset.captions is not None, "asked for retrieval"
    return tuple(tuple(_Text(text, None) for text in own) for own in dataset.captions)


def _hypotheses(dataset: EvalDataset) -> tuple[tuple[_Text, ...], ...]:
    found = tuple(_hypotheses_of(dataset, i) for i in range(len(dataset)))
    if not any(found):
        raise EvaluationError(
            f"{dataset.title} has no hypotheses; each picture needs a "
            f"{dataset.layout.each('json')} "
            'with {"hypotheses": [{"text": ..., "label": ...}]}'
        )
    return found


def _hypotheses_of(dataset: EvalDataset, i: int) -> tuple[_Text, ...]:
    member = dataset.images.members(i).get("json", b"{}")
    try:
        entries: Sequence[dict[str, Any]] = parsed_json(member).get("hypotheses", [])
        return tuple(_Text(str(entry["text"]), entry.get("label")) for entry in entries)
    except (ValueError, AttributeError, TypeError, KeyError) as error:
        raise EvaluationError(
            f"{dataset.title}: the hypotheses of {dataset.key(i) or i} cannot be read ({error}); "
            'write [{"text": ..., "label": ...}]'
        ) from error


def _bytes(row: TableRow) -> bytes:
    if row.file is None:
        return row.data
    try:
        return media_bytes(row.file)
    except OSError:
        return b""
