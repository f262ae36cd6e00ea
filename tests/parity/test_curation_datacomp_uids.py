"""DataComp's filters keep the very uids that the authors' own code keeps of a made-up pool.

``tests/support/datacomp_pool.json`` holds the pool (captions with unusual white space in several
languages, sizes at the limits, tied scores, vectors) and the uids that their
``baselines/apply_filter.py`` wrote for it; languages are those that its language models found.
"""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from data_pipelines.curation.caption_facts import caption_facts
from data_pipelines.curation.filters.clip_score import ClipScore
from data_pipelines.curation.filters.datacomp_basic import DataCompBasic
from data_pipelines.curation.filters.image_based import ImageBased
from data_pipelines.curation.filters.language import LanguageFilter
from data_pipelines.curation.stages import Stages
from tests.support.curation import add_scores, add_vectors, table_of

_POOL = Path(__file__).parents[1] / "support" / "datacomp_pool.json"


@cache
def _stored():
    stored = json.loads(_POOL.read_text())
    rows = [dict(zip(stored["columns"], row, strict=True)) for row in stored["rows"]]
    return stored, rows


def _pool(folder, language):
    """The pool as a table of two shards, as the reference code read it from two files."""
    stored, pool = _stored()
    rows = [
        {
            "uid": one["uid"],
            "caption": one["text"].strip(),
            **caption_facts(one["text"].strip(), one["text"])._asdict(),
            "original_width": one["original_width"],
            "original_height": one["original_height"],
            "language": one[language],
            "language_score": 0.5,
        }
        for one in pool
    ]
    half = len(rows) // 2
    table = table_of(folder / "table", [rows[:half], rows[half:]])
    for name in ("b32", "l14"):
        add_scores(table, name, [one[f"clip_{name}_similarity_score"] for one in pool])
    add_vectors(table, "clip", np.array([one["vector"] for one in pool], dtype=np.float16))
    for name in ("centroids", "target"):
        np.save(folder / f"{name}.npy", np.array(stored[name], dtype=np.float32))
    return table


def _stages_of(name, folder):
    image_based = ImageBased(reference=folder / "target.npy", centroids=folder / "centroids.npy")
    gate = DataCompBasic(gate="image-based")
    return {
        "basic": [DataCompBasic()],
        "b32_threshold": [ClipScore(score="b32", threshold=0.25)],
        "l14_fraction": [ClipScore(score="l14", fraction=0.3)],
        "laion2b": [ClipScore(score="b32", threshold=0.28), LanguageFilter()],
        "image_based": [gate, image_based],
        "image_based_and_l14": [ClipScore(score="l14", fraction=0.3), gate, image_based],
    }[name]


@pytest.mark.parametrize(
    "name",
    ["basic", "b32_threshold", "l14_fraction", "laion2b", "image_based", "image_based_and_l14"],
)
def test_the_uids_are_those_of_the_reference_code(tmp_path, name):
    table = _pool(tmp_path, "language_cld3" if name == "laion2b" else "language")
    with Stages(table, threads=1) as stages:
        for number, chosen in enumerate(_stages_of(name, tmp_path)):
            stages.run(f"stage {number}", chosen)
        kept = stages.sql("SELECT uid FROM samples ANTI JOIN dropped USING (id)").fetchall()
    expected = _stored()[0]["kept"][name]
    assert len(expected) >= 5
    assert sorted(uid for (uid,) in kept) == expected
