"""Person search: R@k, mAP and mINP against loops, scikit-learn, and every random order."""

from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import average_precision_score

from eval.data.folders import open_dataset
from eval.embedding.decode import StreamingDecoder
from eval.embedding.embedder import StreamingEmbedder
from eval.errors import EvaluationError
from eval.matching.identity_retrieval import IdentityRetrieval
from eval.metrics.identity_ranking import (
    chance_of_average_precision,
    chance_of_negative_penalty,
    rank_identities,
)
from eval.running.selection import select
from eval.task_choices import TaskChoices
from tests.support.embedding_model import SmallClip
from tests.support.evaluation_data import captioned, noise_png, write_evaluation_folder

EMBEDDER = StreamingEmbedder(decoder=StreamingDecoder(batch_size=8, workers=1))


def _places(scores: np.ndarray, is_right: np.ndarray) -> list[int]:
    """Places of the right entries, from 1, ties by number."""
    order = sorted(range(len(scores)), key=lambda j: (-scores[j], j))
    return [place for place, j in enumerate(order, start=1) if is_right[j]]


@pytest.mark.parametrize("scores_at_a_time", [1, 10_000])
def test_ranking_equals_the_definition(scores_at_a_time: int) -> None:
    generator = torch.Generator().manual_seed(0)
    queries = F.normalize(torch.randn(30, 6, generator=generator), dim=1)
    gallery = F.normalize(torch.randn(25, 6, generator=generator), dim=1)
    gallery[7] = gallery[3]
    whose = torch.arange(25) % 7
    asked = torch.arange(30) % 7
    found = rank_identities(queries, gallery, asked, whose, scores_at_a_time=scores_at_a_time)
    cosines = (queries.double() @ gallery.double().T).numpy()
    for q in range(30):
        is_right = (whose == asked[q]).numpy()
        places = _places(cosines[q], is_right)
        assert found.first_places[q] == places[0] - 1
        precision = np.mean([j / r for j, r in enumerate(places, start=1)])
        assert found.average_precision[q] == pytest.approx(precision, rel=1e-12)
        assert found.inverse_negative_penalty[q] == pytest.approx(len(places) / places[-1])
        if len(set(cosines[q])) == 25:
            theirs = average_precision_score(is_right, cosines[q])
            assert found.average_precision[q] == pytest.approx(theirs, rel=1e-12)


@pytest.mark.parametrize("num_right", [1, 2, 4, 6])
def test_chance_is_the_mean_over_all_orders(num_right: int) -> None:
    precisions, penalties = [], []
    for order in set(permutations([1] * num_right + [0] * (6 - num_right))):
        places = [i for i, right in enumerate(order, start=1) if right]
        precisions.append(np.mean([j / r for j, r in enumerate(places, start=1)]))
        penalties.append(num_right / places[-1])
    assert chance_of_average_precision(num_right, 6) == pytest.approx(np.mean(precisions))
    assert chance_of_negative_penalty(num_right, 6) == pytest.approx(np.mean(penalties))


def _folder(root: Path, *, identities: list[object], broken: int | None = None) -> str:
    samples = captioned([[f"person {i} walks", f"coat {i % 3}"] for i in range(len(identities))])
    for number, (sample, identity) in enumerate(zip(samples, identities, strict=True)):
        if identity is not None:
            sample["json"] = f'{{"identity": "{identity}"}}'.encode()
        if number == broken:
            sample["png"] = b"broken"
    return str(write_evaluation_folder(root, samples))


def test_task_scores_every_caption_against_every_picture(tmp_path: Path) -> None:
    identities = [i % 5 for i in range(20)]
    dataset = open_dataset(_folder(tmp_path / "d", identities=identities, broken=4))
    task = IdentityRetrieval.build(dataset, TaskChoices(seed=3))
    model = SmallClip(seed=1)
    result = task.run(model, EMBEDDER)

    kept = [i for i in range(20) if i != 4]
    images = model.embed_images(
        torch.stack([model.image_transform(_picture(i)) for i in kept])
    ).double()
    asked = [(identities[i], text) for i in kept for text in (f"person {i} walks", f"coat {i % 3}")]
    values = []
    for identity, text in asked:
        scores = (images @ model.embed_texts([text])[0].double()).numpy()
        places = _places(scores, np.array([identities[i] == identity for i in kept]))
        precision = np.mean([j / r for j, r in enumerate(places, start=1)])
        values.append((places[0] <= 1, precision, len(places) / places[-1]))
    recall, precision, penalty = np.mean(values, axis=0)
    assert result.scores["text_to_image_recall_at_1"].value == pytest.approx(recall)
    assert result.scores["mean_average_precision"].value == pytest.approx(precision)
    assert result.scores["mean_inverse_negative_penalty"].value == pytest.approx(penalty)
    assert result.num_samples == 19
    assert result.num_skipped == 1
    assert result.details["num_identities"] == 5
    for score in result.scores.values():
        assert score.low <= score.value <= score.high
    assert 0 < result.chance["mean_inverse_negative_penalty"] < 1


def _picture(number: int):
    from vlsuite.batches.decode import decode_image

    return decode_image(noise_png(number))


def test_data_without_identities_says_so(tmp_path: Path) -> None:
    path = _folder(tmp_path / "some", identities=[1, None, 2])
    with pytest.raises(EvaluationError, match="without an identity"):
        select([path], tasks=("identity_retrieval",))
    assert any("identity_retrieval" in line for line in select([path], tasks=("all",)).not_possible)
    whole = _folder(tmp_path / "whole", identities=["x", "y", "x"])
    names = {b.name for b in select([whole], tasks=("all",)).benchmarks}
    assert "identity_retrieval" in names
    other = _folder(tmp_path / "other", identities=["x", "y", "z"])
    assert open_dataset(whole).revision != open_dataset(other).revision
