"""CLIPScore of captions with their own pictures (Hessel et al. 2021, arXiv 2104.08718).

CLIPScore(caption, picture) = 2.5 x max(cosine, 0), the caption after "A photo depicts ". No
reference captions are used.
"""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float64

from eval.contract import Embedder, EmbeddingModel
from eval.data.dataset import EvalDataset
from eval.data.folders import open_dataset
from eval.embedding.decode import StreamingDecoder
from eval.embedding.embedder import RememberingEmbedder, StreamingEmbedder
from eval.errors import EvaluationError
from eval.xmai.records import PerturbedCaption, uids_of

WEIGHT = 2.5
PREFIX = "A photo depicts "

ClipScore = Callable[[Sequence[PerturbedCaption], Sequence[str]], Float64[np.ndarray, " texts"]]


def clip_scorer(spec: str, data: str, *, split: str = "test", device: str = "cpu") -> ClipScore:
    """CLIPScore by a model of ``vlsuite eval`` on the pictures of a data set.

    Raises:
        UserError: see ``open_embedding_model`` and ``open_dataset``; the result raises where a
            caption's picture is missing.
    """
    from eval.opening import open_embedding_model

    model = open_embedding_model(spec, device=device)
    dataset = open_dataset(data, split=split, task="images")
    decoder = StreamingDecoder(batch_size=64, workers=2)
    return score_with(model, RememberingEmbedder(StreamingEmbedder(decoder=decoder)), dataset)


def score_with(model: EmbeddingModel, embedder: Embedder, dataset: EvalDataset) -> ClipScore:
    """CLIPScore by a loaded model; NaN for a picture that cannot be decoded."""
    numbers = {uid: row for row, uid in enumerate(uids_of(dataset))}

    def score(
        captions: Sequence[PerturbedCaption], texts: Sequence[str]
    ) -> Float64[np.ndarray, " texts"]:
        missing = next((c.uid for c in captions if c.uid not in numbers), None)
        if missing is not None:
            raise EvaluationError(
                f"picture {missing} is not in {dataset.title}; give --data the shards that the "
                "captions were made from"
            )
        pictures = embedder.images(model, dataset)
        rows = np.array([numbers[caption.uid] for caption in captions], dtype=np.int64)
        is_seen = np.isin(rows, pictures.rows)
        places = np.searchsorted(pictures.rows, rows[is_seen])
        shown = [PREFIX + t for t, seen in zip(texts, is_seen.tolist(), strict=True) if seen]
        embeds = embedder.texts(model, shown).double().cpu().numpy()
        cosines = (pictures.embeds.double().cpu().numpy()[places] * embeds).sum(axis=1)
        scores = np.full(len(rows), np.nan)
        scores[is_seen] = WEIGHT * np.maximum(cosines, 0)
        return scores

    return score
