"""Retrieval against float64 loops over the definitions of CLIP_benchmark."""

from pathlib import Path

import numpy as np
import pytest

from eval.data.folders import open_dataset
from eval.embedding.decode import StreamingDecoder
from eval.embedding.embedder import StreamingEmbedder
from eval.task_choices import TaskChoices
from eval.zero_shot.retrieval import RECALL_AT, Retrieval
from tests.support.embedding_model import SmallClip
from tests.support.evaluation_data import captioned, noise_png, write_evaluation_folder
from vlsuite.batches.decode import decode_image

EMBEDDER = StreamingEmbedder(decoder=StreamingDecoder(batch_size=7, workers=2))

_WORDS = ("red", "blue", "tall", "round", "wooden", "old", "house", "boat", "cat", "tree", "lamp")


def _captions(count: int, *, per_image: int, seed: int) -> list[list[str]]:
    rng = np.random.default_rng(seed)
    return [[" ".join(rng.choice(_WORDS, 4)) for _ in range(per_image)] for _ in range(count)]


def _rank_by_loop(scores: list[float], wanted: set[int]) -> int:
    """Place of the first wanted entry when sorting by score, ties by number."""
    order = sorted(range(len(scores)), key=lambda j: (-scores[j], j))
    return next(place for place, j in enumerate(order) if j in wanted)


def _recalls_by_loop(
    model: SmallClip, pictures: list[bytes], captions: list[list[str]]
) -> dict[str, float]:
    """Recalls of both directions; cosines in float64 of embeddings made one by one."""
    pixels = [model.image_transform(decode_image(picture)) for picture in pictures]
    images = np.stack([model.embed_images(p[None])[0].double().numpy() for p in pixels])
    flat = [(i, text) for i, own in enumerate(captions) for text in own]
    unique = {text: model.embed_texts([text])[0].double().numpy() for _, text in flat}
    texts = np.stack([unique[text] for _, text in flat])
    # Rounded so that rounding noise does not break the ties of equal captions and pictures.
    cosines = (images @ texts.T).round(6)
    owner = [i for i, _ in flat]
    image_places = [
        _rank_by_loop(cosines[i].tolist(), {c for c, o in enumerate(owner) if o == i})
        for i in range(len(pictures))
    ]
    text_places = [_rank_by_loop(cosines[:, c].tolist(), {o}) for c, o in enumerate(owner)]
    return {
        f"{direction}_recall_at_{k}": float(np.mean([place < k for place in places]))
        for direction, places in (("image_to_text", image_places), ("text_to_image", text_places))
        for k in RECALL_AT
    }


@pytest.mark.parametrize("per_image", [1, 3])
def test_recalls_equal_the_definition(tmp_path: Path, per_image: int) -> None:
    captions = _captions(40, per_image=per_image, seed=per_image)
    samples = captioned(captions)
    folder = write_evaluation_folder(tmp_path / "pairs", samples, num_shards=3)
    model = SmallClip()

    result = Retrieval.build(open_dataset(str(folder)), TaskChoices()).run(model, EMBEDDER)

    expected = _recalls_by_loop(model, [s["png"] for s in samples], captions)
    assert {name: score.value for name, score in result.scores.items()} == pytest.approx(expected)
    assert 0 < result.scores["text_to_image_recall_at_10"].value < 1
    assert "text_to_image_recall_at_1" in result.per_unit
    for name, units in result.per_unit.items():
        values, _ = units.unpack()
        assert values.mean() == pytest.approx(result.scores[name].value, abs=1e-6)


def test_equal_captions_and_equal_pictures_tie_by_number(tmp_path: Path) -> None:
    captions = [[f"a {_WORDS[i % 4]} thing"] for i in range(24)]
    samples = captioned(captions)
    for i, sample in enumerate(samples):
        sample["png"] = noise_png(i % 8)
    folder = write_evaluation_folder(tmp_path / "ties", samples)
    model = SmallClip(seed=1)

    result = Retrieval.build(open_dataset(str(folder)), TaskChoices()).run(model, EMBEDDER)

    expected = _recalls_by_loop(model, [s["png"] for s in samples], captions)
    assert {name: score.value for name, score in result.scores.items()} == pytest.approx(expected)


def test_first_captions_only(tmp_path: Path) -> None:
    captions = _captions(12, per_image=4, seed=5)
    folder = write_evaluation_folder(tmp_path / "five", captioned(captions))
    request = TaskChoices(captions_per_image=2)
    model = SmallClip()

    result = Retrieval.build(open_dataset(str(folder)), request).run(model, EMBEDDER)

    samples = captioned(captions)
    expected = _recalls_by_loop(model, [s["png"] for s in samples], [c[:2] for c in captions])
    assert {name: score.value for name, score in result.scores.items()} == pytest.approx(expected)
    assert result.details["num_captions"] == 24
