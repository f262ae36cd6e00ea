"""Matching among the best candidates against full matrices and sorting, ties included."""

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch

from eval.data.folders import open_dataset
from eval.embedding import pair_logits
from eval.embedding.decode import StreamingDecoder
from eval.embedding.embedder import StreamingEmbedder
from eval.embedding.store import StoredEmbedder
from eval.errors import EvaluationError
from eval.matching.rerank import RerankOptions, RetrievalRerank
from eval.metrics.reranking import reranked_places
from eval.task_choices import TaskChoices
from eval.zero_shot.retrieval import Retrieval
from tests.support.embedding_model import SmallClip
from tests.support.evaluation_data import captioned, noise_png, write_evaluation_folder
from tests.support.reading_model import SmallReader
from vlsuite.batches.decode import decode_image

EMBEDDER = StreamingEmbedder(decoder=StreamingDecoder(batch_size=7, workers=2))
NUM_IMAGES = 30
BROKEN = 11
CAPTIONS = [[f"text {i}", f"word {i % 9}", f"other {i}"][: 1 + i % 3] for i in range(NUM_IMAGES)]


def _folder(root: Path) -> str:
    samples = captioned(CAPTIONS)
    samples[BROKEN]["png"] = b"broken"
    return str(write_evaluation_folder(root, samples))


def _place(cosines: np.ndarray, logits: np.ndarray, wanted: set[int], count: int) -> int:
    """Place of the first wanted entry: the best ``count`` anew by ``logits``, others behind."""
    by_cosine = sorted(range(len(cosines)), key=lambda j: (-cosines[j], j))
    best = sorted(by_cosine[:count], key=lambda j: (-logits[j], j))
    return next(i for i, j in enumerate([*best, *by_cosine[count:]]) if j in wanted)


@pytest.mark.parametrize(
    ("count", "similarity"), [(1, "logit"), (4, "logit"), (1000, "logit"), (1000, "cosine")]
)
def test_recalls_equal_the_definition(
    tmp_path: Path, count: int, similarity: Literal["logit", "cosine"]
) -> None:
    model = SmallReader(seed=2)
    dataset = open_dataset(_folder(tmp_path / "d"))
    options = RerankOptions(candidates=count, similarity=similarity)
    request = TaskChoices(options=(options,), seed=1)
    result = RetrievalRerank.build(dataset, request).run(model, EMBEDDER)
    assert model.num_encoded == NUM_IMAGES - 1

    kept = [i for i in range(NUM_IMAGES) if i != BROKEN]
    pixels = torch.stack([model.image_transform(decode_image(noise_png(i))) for i in kept])
    texts = [(row, text) for row, i in enumerate(kept) for text in CAPTIONS[i]]
    text_embeds = torch.cat([model.embed_texts([text]) for _, text in texts])
    # Rounded so that rounding noise does not break the ties of equal captions.
    cosines = (model.embed_images(pixels).double() @ text_embeds.double().T).numpy().round(6)
    logits = np.stack(
        [
            model.match_tokens(tokens.expand(len(texts), -1, -1), [t for _, t in texts]).numpy()
            for tokens in model.image_tokens(pixels).unsqueeze(1)
        ]
    ).round(4)
    logits = logits + cosines * (model.logit_scale if similarity == "logit" else 1.0)
    owner = [row for row, _ in texts]
    to_text = [
        _place(cosines[i], logits[i], {c for c, o in enumerate(owner) if o == i}, count)
        for i in range(len(kept))
    ]
    to_image = [_place(cosines[:, c], logits[:, c], {o}, count) for c, o in enumerate(owner)]
    before = Retrieval.build(dataset, request).run(model, EMBEDDER).scores
    for name, places in (("image_to_text", to_text), ("text_to_image", to_image)):
        for k in (1, 5, 10):
            recall = f"{name}_recall_at_{k}"
            expected = np.mean([place < k for place in places])
            assert result.scores[recall].value == pytest.approx(expected)
            assert result.scores[f"{recall}_by_cosine"] == before[recall]
            gain = result.scores[f"{recall}_gain"]
            assert gain.value == pytest.approx(expected - before[recall].value)
            assert gain.low <= gain.value <= gain.high
            assert gain.unit == "points"
    if count == 1:
        assert result.scores["image_to_text_recall_at_1_gain"].value == 0.0
    assert result.num_skipped == 1


def test_places_by_sorting() -> None:
    candidates = np.array([[4, 2, 9], [1, 0, 5], [3, 8, 6]])
    scores = np.array([[0.5, 0.5, 0.9], [0.1, 0.2, 0.3], [1.0, 2.0, 3.0]])
    is_right = np.array([[True, False, False], [True, True, False], [False, False, False]])
    places = reranked_places(candidates, scores, is_right, np.array([0, 0, 17]))
    assert places.tolist() == [2, 1, 17]


def test_a_finished_group_is_not_matched_again(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(pair_logits, "_IMAGES_AT_A_TIME", 8)
    monkeypatch.setattr(pair_logits, "_PAIRS_AT_A_TIME", 5)
    task = RetrievalRerank.build(
        open_dataset(_folder(tmp_path / "d")),
        TaskChoices(options=(RerankOptions(candidates=6),)),
    )
    embedder = StoredEmbedder(EMBEDDER, tmp_path / "cache", batch_size=7)
    first, again = SmallReader(seed=2), SmallReader(seed=2)
    result = task.run(first, embedder)
    assert result.scores == task.run(again, embedder).scores
    assert (first.num_encoded, again.num_encoded) == (NUM_IMAGES - 1, 0)
    monkeypatch.undo()
    assert result.scores == task.run(SmallReader(seed=2), EMBEDDER).scores


def test_models_that_only_embed_or_give_nan_are_refused(tmp_path: Path) -> None:
    task = RetrievalRerank.build(open_dataset(_folder(tmp_path / "d")), TaskChoices())
    with pytest.raises(EvaluationError, match="only embeds"):
        task.run(SmallClip(), EMBEDDER)
    model = SmallReader()
    model.form[0] = torch.nan
    with pytest.raises(EvaluationError, match="NaN or infinity"):
        task.run(model, EMBEDDER)


def test_no_candidates_are_refused(tmp_path: Path) -> None:
    request = TaskChoices(options=(RerankOptions(candidates=0),))
    with pytest.raises(EvaluationError, match="candidates"):
        RetrievalRerank.build(open_dataset(_folder(tmp_path / "d")), request)
