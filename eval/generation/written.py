"""What a model writes about the pictures of a data set, shared among processes and kept."""

import json
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int64

from eval.contract import Embedder, Instructed, PictureBatch, PictureModel
from eval.data.dataset import EvalDataset
from eval.embedding.embedder import refuse_all_broken
from eval.errors import EvaluationError, UnansweredError
from eval.process_group import from_all, gather_rows, my_rows, ranks
from eval.progress import Progress
from eval.results import Settings

_IMAGES_AT_A_TIME = 64

#: Texts for a batch of pictures on the model's device, one each.
Write = Callable[[PictureBatch], list[str]]


class Written(NamedTuple):
    """The texts, the same on every process.

    Attributes:
        rows: numbers of the pictures that could be decoded, ascending.
        texts: one each, white space at the ends removed.
        num_skipped: pictures that could not be decoded.
    """

    rows: Int64[np.ndarray, " images"]
    texts: list[str]
    num_skipped: int


def write_all(
    model: PictureModel,
    embedder: Embedder,
    dataset: EvalDataset,
    write: Write,
    *,
    key: Mapping[str, object],
    what: str,
) -> Written:
    """A text for every picture; finished groups are remembered, so that a killed run goes on.

    Args:
        write: called without gradients, batch by batch.
        key: what the texts depend on besides model and data.
        what: for the progress line ("captioning").
    Raises:
        EvaluationError: no picture can be decoded, or the model gives another number of texts.
        UnansweredError: a model that is asked left pictures without a text, on any process.
    """
    if isinstance(model, Instructed):
        key = {**key, "wording": model.wording}
    num_groups = -(-len(dataset) // _IMAGES_AT_A_TIME)
    mine = my_rows(num_groups)
    progress = None
    if not ranks().rank:
        progress = Progress(what, total=len(np.unique(mine)), unit="groups of images")
    found: dict[str, str] = {}
    failure: str | None = None
    for group in np.unique(mine).tolist():
        first = group * _IMAGES_AT_A_TIME
        rows = np.arange(first, min(first + _IMAGES_AT_A_TIME, len(dataset)), dtype=np.int64)
        try:
            kept = embedder.remembered(
                model,
                _key(key, what, dataset, group),
                lambda rows=rows: _packed(_written(model, embedder, dataset, write, rows)),
            )
        except UnansweredError as error:
            failure = str(error)
            break
        found |= json.loads(kept.tobytes())
        if progress:
            progress.add(1)
    if progress:
        progress.close()
    for told in from_all(failure):
        if told is not None:
            raise UnansweredError(told)
    texts = _from_all(found, model)
    is_good = np.isin(np.arange(len(dataset)), list(texts))
    refuse_all_broken(is_good, dataset)
    rows = np.flatnonzero(is_good).astype(np.int64)
    return Written(rows, [texts[row] for row in rows.tolist()], int((~is_good).sum()))


def _key(key: Mapping[str, object], what: str, dataset: EvalDataset, group: int) -> str:
    settings: Settings = json.loads(json.dumps(dict(key)))
    return f"{what} {json.dumps([settings, dataset.revision, group], sort_keys=True)}"


def _written(
    model: PictureModel,
    embedder: Embedder,
    dataset: EvalDataset,
    write: Write,
    rows: Int64[np.ndarray, " rows"],
) -> dict[str, str]:
    texts: dict[str, str] = {}
    for batch in embedder.pictures(model, dataset, rows):
        with torch.no_grad():
            own = write(batch._replace(images=batch.images.to(model.device)))
        if len(own) != len(batch.rows):
            raise EvaluationError(
                f"model {model.name} gives {len(own)} texts for {len(batch.rows)} pictures; "
                "it must give one each"
            )
        texts |= {str(row): text.strip() for row, text in zip(batch.rows, own, strict=True)}
    return texts


def _packed(texts: dict[str, str]) -> np.ndarray:
    return np.frombuffer(json.dumps(texts).encode(), dtype=np.uint8).copy()


def _from_all(found: dict[str, str], model: PictureModel) -> dict[int, str]:
    """Texts of all processes by row; bytes of JSON travel, filled up to the longest."""
    own, world_size = torch.from_numpy(_packed(found)), ranks().world_size
    length = torch.tensor([len(own)])
    longest = int(gather_rows(length, world_size, device=model.device).max())
    filled = torch.nn.functional.pad(own, (0, longest - len(own)), value=ord(" "))[None]
    shares = gather_rows(filled, world_size, device=model.device).numpy()
    joined = {k: text for share in shares for k, text in json.loads(share.tobytes()).items()}
    return {int(row): text for row, text in joined.items()}
