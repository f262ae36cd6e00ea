"""Matching logits of chosen pairs of pictures and texts: each picture is encoded once."""

import hashlib
import json
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, Int64

from eval.contract import Embedder, EmbeddingModel, Matcher
from eval.data.dataset import EvalDataset
from eval.errors import EvaluationError
from eval.process_group import gather_rows, my_rows, ranks
from eval.progress import Progress

_IMAGES_AT_A_TIME = 64
_PAIRS_AT_A_TIME = 256


class Pairs(NamedTuple):
    """Pairs to be matched, each once, by image and then by text.

    Attributes:
        images: numbers of the pictures among those asked for, ascending.
        texts: numbers of the texts.
        num_texts: in all.
    """

    images: Int64[np.ndarray, " pairs"]
    texts: Int64[np.ndarray, " pairs"]
    num_texts: int

    def places(
        self, images: Int64[np.ndarray, "*any"], texts: Int64[np.ndarray, "*any"]
    ) -> Int64[np.ndarray, "*any"]:
        """Where these pairs, which are all among them, lie."""
        codes = self.images * self.num_texts + self.texts
        return np.searchsorted(codes, images * self.num_texts + texts).astype(np.int64)


def union_of(
    captions_of_images: Int64[np.ndarray, "images k"],
    images_of_captions: Int64[np.ndarray, "captions j"],
) -> Pairs:
    """Every pair that is a candidate in either direction."""
    num_images, num_texts = len(captions_of_images), len(images_of_captions)
    from_images = np.arange(num_images)[:, None] * num_texts + captions_of_images
    from_texts = images_of_captions * num_texts + np.arange(num_texts)[:, None]
    codes = np.unique(np.concatenate([from_images.ravel(), from_texts.ravel()]))
    return Pairs(codes // num_texts, codes % num_texts, num_texts)


class _Matching(NamedTuple):
    """What is matched with what by whom."""

    model: EmbeddingModel
    matcher: Matcher
    embedder: Embedder
    dataset: EvalDataset
    rows: Int64[np.ndarray, " images"]
    texts: list[str]
    pairs: Pairs


def pair_logits(
    model: EmbeddingModel,
    embedder: Embedder,
    dataset: EvalDataset,
    rows: Int64[np.ndarray, " images"],
    texts: list[str],
    pairs: Pairs,
) -> Float32[np.ndarray, " pairs"]:
    """The model's log-odds of each pair; finished groups of images are remembered.

    Args:
        rows: numbers in the data set of the pictures that the pairs count, all of which can be
            decoded.
    Raises:
        EvaluationError: the model does not match pairs, or gives NaN or infinity.
    """
    if not isinstance(model, Matcher):
        raise EvaluationError(f"model {model.name} does not match pictures with texts")
    job = _Matching(model, model, embedder, dataset, rows, texts, pairs)
    firsts = np.arange(0, len(rows), _IMAGES_AT_A_TIME)
    ends = np.searchsorted(pairs.images, [*firsts[1:], len(rows)])
    starts = np.searchsorted(pairs.images, firsts)
    mine = my_rows(len(firsts))
    progress = None
    if not ranks().rank:
        count = sum(int(ends[g] - starts[g]) for g in np.unique(mine))
        progress = Progress(f"matching {dataset.title}", total=count, unit="pairs")
    longest = int((ends - starts).max())
    found: dict[int, np.ndarray] = {}
    for group in np.unique(mine).tolist():
        span = slice(int(starts[group]), int(ends[group]))
        own = embedder.remembered(
            model, _key(job, span), lambda span=span: _group_logits(job, span)
        )
        found[group] = np.pad(own, (0, longest - len(own)))
        if progress:
            progress.add(span.stop - span.start)
    if progress:
        progress.close()
    shares = torch.from_numpy(np.stack([found[group] for group in mine.tolist()]))
    joined = gather_rows(shares, len(firsts), device=model.device).numpy()
    lengths = (ends - starts).tolist()
    logits = np.concatenate([part[:n] for part, n in zip(joined, lengths, strict=True)])
    if not np.isfinite(logits).all():
        raise EvaluationError(
            f"model {model.name} gives NaN or infinity for {int((~np.isfinite(logits)).sum())} of "
            f"{len(logits)} pairs; check its weights, or evaluate in fp32"
        )
    return logits


def _key(job: _Matching, span: slice) -> str:
    """What the logits of a group depend on besides the model."""
    images, texts = job.pairs.images[span], job.pairs.texts[span]
    digest = hashlib.sha256(job.rows[images].tobytes() + texts.tobytes())
    digest.update(json.dumps([job.texts[i] for i in texts.tolist()]).encode())
    return f"matching {job.dataset.revision} {digest.hexdigest()}"


def _group_logits(job: _Matching, span: slice) -> Float32[np.ndarray, " pairs"]:
    images, texts = job.pairs.images[span], job.pairs.texts[span]
    rows = job.rows[images]
    logits = np.full(len(images), np.nan, dtype=np.float32)
    for batch in job.embedder.pictures(job.model, job.dataset, np.unique(rows)):
        own = np.flatnonzero(np.isin(rows, batch.rows))
        in_batch = torch.from_numpy(np.searchsorted(batch.rows, rows[own]))
        with torch.no_grad():
            tokens = job.matcher.image_tokens(batch.images.to(job.model.device))
            for start in range(0, len(own), _PAIRS_AT_A_TIME):
                part = slice(start, start + _PAIRS_AT_A_TIME)
                chosen = [job.texts[i] for i in texts[own[part]].tolist()]
                found = job.matcher.match_tokens(tokens[in_batch[part].to(tokens.device)], chosen)
                logits[own[part]] = found.float().cpu().numpy()
    return logits
