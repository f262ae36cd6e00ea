"""Whether a picture supports a text, for every kind of model of the suite.

A model that answers is asked. One that matches gives log-odds, one that embeds a cosine: two cut
points turn such a score into a label. They are fitted on the original hypotheses of half of the
pictures, chosen by a hash of picture and seed, and every figure is of the other half, before and
after alike, so that nothing that is scored was fitted on. This is our own device: the published
figures come from a model trained for entailment, whose predictions can be given as a file.
"""

import hashlib
import json
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64

from data_pipelines.bounded_json import parsed_json
from data_pipelines.text_lines import lines_of
from eval.answers.reading import chosen_option
from eval.contract import (
    Answerer,
    Embedder,
    EmbeddingModel,
    Matcher,
    Model,
    PictureBatch,
    PictureModel,
)
from eval.data.dataset import EvalDataset
from eval.embedding.pair_logits import Pairs, pair_logits
from eval.errors import EvaluationError
from eval.metrics.cut_points import CutPoints, fit_cut_points
from eval.xmai.hypotheses import LABELS, Hypotheses, label_number

Judge = Literal["answers", "matching", "cosine", "file"]

_QUESTION = "does the picture show this: {text}? answer yes, no or maybe."
_ANSWERS = {
    "yes": "entailment", "true": "entailment", "entailment": "entailment",
    "no": "contradiction", "false": "contradiction", "contradiction": "contradiction",
    "maybe": "neutral", "neutral": "neutral", "unknown": "neutral", "unsure": "neutral",
}  # fmt: skip

#: Names how answers are read: labels kept from another reading do not count.
_READING = "chosen option"

_TEXTS_AT_A_TIME = 64


class Judgements(NamedTuple):
    """Labels given before and after, of the rows that are scored.

    Attributes:
        rows: numbers of the scored rows among the hypotheses.
        before, after: numbers of the labels; -1 where an answer is none of them.
        points: the cut points, None where labels are given directly.
    """

    rows: Int64[np.ndarray, " scored"]
    before: Int64[np.ndarray, " scored"]
    after: Int64[np.ndarray, " scored"]
    points: CutPoints | None = None


def chosen_judge(model: Model, asked: str) -> Judge:
    """What decides; "auto" prefers answers to log-odds to cosines.

    Raises:
        EvaluationError: the model cannot do what was asked for.
    """
    able: dict[str, bool] = {
        "answers": isinstance(model, Answerer),
        "matching": isinstance(model, Matcher) and isinstance(model, EmbeddingModel),
        "cosine": isinstance(model, EmbeddingModel),
    }
    for name in ("answers", "matching", "cosine"):
        if able[name] and asked in ("auto", name):
            return name
    raise EvaluationError(
        f"model {model.name} cannot judge by {asked}; leave insertion_entailment.judge at auto"
    )


def by_scores(
    before: Float64[np.ndarray, " rows"],
    after: Float64[np.ndarray, " rows"],
    hypotheses: Hypotheses,
    is_fitted: Bool[np.ndarray, " rows"],
) -> Judgements:
    """Labels by cut points; NaN scores (pictures that cannot be decoded) are left out.

    Raises:
        EvaluationError: a half has no rows.
    """
    is_known = ~np.isnan(before)
    fitted, scored = is_known & is_fitted, is_known & ~is_fitted
    if not fitted.any() or not scored.any():
        raise EvaluationError(
            "entailment by scores needs hypotheses of several pictures, half of them to fit cut "
            "points on; give more data"
        )
    points = fit_cut_points(before[fitted], hypotheses.labels[fitted])
    return Judgements(
        np.flatnonzero(scored),
        points.classify(before[scored]),
        points.classify(after[scored]),
        points,
    )


def fitting_half(
    dataset: EvalDataset, images: Int64[np.ndarray, " rows"], *, seed: int
) -> Bool[np.ndarray, " rows"]:
    """Whether each row's picture is in the half that cut points are fitted on."""
    ids = dataset.images.image_ids.tolist()
    halves = [hashlib.sha256(f"cut {seed}:{i}".encode()).digest()[0] % 2 == 0 for i in ids]
    return np.array(halves, dtype=bool)[images]


def cosine_scores(
    model: EmbeddingModel, embedder: Embedder, dataset: EvalDataset, hypotheses: Hypotheses
) -> tuple[Float64[np.ndarray, " rows"], Float64[np.ndarray, " rows"]]:
    """Cosines of each picture with its text before and after; NaN without a picture."""
    pictures = embedder.images(model, dataset)
    is_seen = np.isin(hypotheses.images, pictures.rows)
    places = np.searchsorted(pictures.rows, hypotheses.images[is_seen])
    images = pictures.embeds[torch.from_numpy(places)].double().cpu()
    found = []
    for texts in (hypotheses.before, hypotheses.after):
        own = [text for text, seen in zip(texts, is_seen.tolist(), strict=True) if seen]
        embeds = embedder.texts(model, own).double().cpu()
        values = np.full(len(is_seen), np.nan)
        values[is_seen] = (images * embeds).sum(dim=-1).numpy()
        found.append(values)
    return found[0], found[1]


def matching_scores(
    model: EmbeddingModel, embedder: Embedder, dataset: EvalDataset, hypotheses: Hypotheses
) -> tuple[Float64[np.ndarray, " rows"], Float64[np.ndarray, " rows"]]:
    """Log-odds of each picture with its text before and after; NaN without a picture."""
    decoded = embedder.images(model, dataset).rows
    is_seen = np.isin(hypotheses.images, decoded)
    seen = np.flatnonzero(is_seen)
    texts = list(dict.fromkeys([*hypotheses.before, *hypotheses.after]))
    number = {text: place for place, text in enumerate(texts)}
    places = np.searchsorted(decoded, hypotheses.images[seen])
    sides = [
        np.array([number[side[row]] for row in seen.tolist()], dtype=np.int64)
        for side in (hypotheses.before, hypotheses.after)
    ]
    codes = np.unique(np.concatenate([places * len(texts) + own for own in sides]))
    pairs = Pairs(codes // len(texts), codes % len(texts), len(texts))
    logits = pair_logits(model, embedder, dataset, decoded, texts, pairs).astype(np.float64)
    found = []
    for own in sides:
        values = np.full(len(is_seen), np.nan)
        values[seen] = logits[pairs.places(places, own)]
        found.append(values)
    return found[0], found[1]


def answered(
    model: PictureModel,
    embedder: Embedder,
    dataset: EvalDataset,
    hypotheses: Hypotheses,
    *,
    max_tokens: int,
) -> Judgements:
    """Ask about every picture and text; answers are remembered, equal questions asked once."""
    assert isinstance(model, Answerer)
    asked = [
        (image, text)
        for side in (hypotheses.before, hypotheses.after)
        for image, text in zip(hypotheses.images.tolist(), side, strict=True)
    ]
    distinct = sorted(set(asked))
    asked_how = [distinct, max_tokens, _QUESTION, _READING]
    digest = hashlib.sha256(json.dumps(asked_how).encode()).hexdigest()
    kept = embedder.remembered(
        model,
        f"insertion entailment {dataset.revision} {digest}",
        lambda: _ask(model, embedder, dataset, distinct, max_tokens),
    )
    label = dict(zip(distinct, kept.tolist(), strict=True))
    given = np.array([label[pair] for pair in asked], dtype=np.int64)
    before, after = given[: len(hypotheses.before)], given[len(hypotheses.before) :]
    rows = np.flatnonzero(before != _UNSEEN)
    return Judgements(rows, before[rows], after[rows])


_NO_LABEL, _UNSEEN = -1, -2


def label_of_answer(answer: str) -> int:
    """Number of the label that an answer chooses (yes, no, maybe...); -1 for none or several."""
    words = list(_ANSWERS)
    chosen = chosen_option(answer, words, has_letters=False)
    return _NO_LABEL if chosen is None else LABELS.index(_ANSWERS[words[chosen]])


def read_predictions(path: str, num_rows: int) -> Judgements:
    """Labels from JSON lines with row (from 0), before and after.

    Raises:
        EvaluationError: unreadable, a row twice or out of range, or an unknown label.
    """
    found: dict[int, tuple[int, int]] = {}
    try:
        lines = lines_of(Path(path).read_text(encoding="utf-8-sig"))
        records = [parsed_json(line) for line in lines if line.strip()]
        for number, record in enumerate(records, start=1):
            row, where = int(record["row"]), f"{path}, line {number}"
            if row in found or not 0 <= row < num_rows:
                raise EvaluationError(
                    f"{where}: row {row} is given twice, or is not between 0 and {num_rows - 1}"
                )
            found[row] = (
                label_number(record["before"], where),
                label_number(record["after"], where),
            )
    except (OSError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise EvaluationError(
            f"cannot read predictions {path} ({error!r}); each line needs row, before and after"
        ) from error
    if not found:
        raise EvaluationError(f"{path} has no predictions")
    rows = sorted(found)
    pairs = np.array([found[row] for row in rows], dtype=np.int64)
    return Judgements(np.array(rows, dtype=np.int64), pairs[:, 0], pairs[:, 1])


def _ask(
    model: PictureModel,
    embedder: Embedder,
    dataset: EvalDataset,
    asked: list[tuple[int, str]],
    max_tokens: int,
) -> Int64[np.ndarray, " asked"]:
    assert isinstance(model, Answerer)
    owners = np.array([image for image, _ in asked], dtype=np.int64)
    labels = np.full(len(asked), _UNSEEN, dtype=np.int64)
    for batch in embedder.pictures(model, dataset, np.unique(owners)):
        own = np.flatnonzero(np.isin(owners, batch.rows))
        for start in range(0, len(own), _TEXTS_AT_A_TIME):
            part = own[start : start + _TEXTS_AT_A_TIME]
            questions = [_QUESTION.format(text=asked[i][1].rstrip(" .")) for i in part.tolist()]
            answers = model.answer(
                _shown(batch, owners[part]).to(model.device), questions, max_tokens=max_tokens
            )
            labels[part] = [label_of_answer(answer) for answer in answers]
    return labels


def _shown(batch: PictureBatch, rows: Int64[np.ndarray, " asked"]) -> torch.Tensor:
    return batch.images[torch.from_numpy(np.searchsorted(batch.rows, rows))]
