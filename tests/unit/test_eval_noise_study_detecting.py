"""Detection by probabilities and by cosines, next to scikit-learn."""

import math
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import f1_score, roc_auc_score
from sklearn.mixture import GaussianMixture

from eval.studies.noise.detecting import (
    COSINE,
    PROBABILITY,
    Detection,
    detect,
    detect_at_start,
    mean_detection,
)
from eval.studies.noise.records import CellRecord, load_cells
from tests.support.noise_cells import write_cell

_RNG = np.random.default_rng(0)
_WRONG = np.arange(400) % 2 == 0
_COSINES = np.where(_WRONG, 0.1, 0.5) + 0.1 * _RNG.normal(size=400)
_NOISE = np.clip(np.where(_WRONG, 0.7, 0.3) + 0.25 * _RNG.normal(size=400), 0, 1)


def _record(tmp_path: Path, **fields) -> CellRecord:
    write_cell(tmp_path, "rde", 0.5, 0, t2i=[0], **fields)
    return load_cells(tmp_path)[0]


def test_given_probabilities_are_scored_as_they_are(tmp_path: Path):
    found = detect(_record(tmp_path, wrong=_WRONG, cosines=_COSINES, noise=_NOISE))
    assert found is not None
    assert found.scored_by == PROBABILITY
    assert found.figures["auroc"][0] == pytest.approx(roc_auc_score(_WRONG, _NOISE), abs=1e-6)
    assert found.figures["f1"][0] == pytest.approx(f1_score(_WRONG, _NOISE > 0.5))
    assert found.estimated_rate == pytest.approx(_NOISE.mean(), abs=1e-6)


def test_the_methods_own_rate_is_used(tmp_path: Path):
    found = detect(_record(tmp_path, wrong=_WRONG, noise=_NOISE, noise_share=0.44))
    assert found is not None
    assert found.estimated_rate == 0.44
    assert found.figures["rate_error"][0] == pytest.approx(0.06)


def test_a_division_that_abstained_flags_nothing(tmp_path: Path):
    record = _record(tmp_path, wrong=np.zeros(400, bool), cosines=_COSINES, noise_share=0.0)
    found = detect(record)
    assert found is not None
    assert found.scored_by == PROBABILITY
    assert found.figures["false_flag_rate"][0] == 0
    assert found.estimated_rate == 0


def test_pairs_that_were_never_seen_are_left_out(tmp_path: Path):
    noise = np.where(np.arange(400) < 100, np.nan, _NOISE)
    found = detect(_record(tmp_path, wrong=_WRONG, noise=noise))
    assert found is not None
    known = roc_auc_score(_WRONG[100:], _NOISE[100:])
    assert found.figures["auroc"][0] == pytest.approx(known, abs=1e-6)


@pytest.mark.parametrize("where", ["cosines", "start_cosines"])
def test_cosines_stand_in_for_probabilities(tmp_path: Path, where: str):
    record = _record(tmp_path, wrong=_WRONG, **{where: _COSINES})
    found = detect(record) if where == "cosines" else detect_at_start(record)
    assert found is not None
    assert found.scored_by == COSINE
    assert found.figures["auroc"][0] == pytest.approx(roc_auc_score(_WRONG, -_COSINES), abs=1e-6)
    mixture = GaussianMixture(2, random_state=0).fit(1 - _COSINES[:, None])
    noisy = int(np.argmax(mixture.means_[:, 0]))
    flagged = mixture.predict(1 - _COSINES[:, None]) == noisy
    assert found.figures["f1"][0] == pytest.approx(f1_score(_WRONG, flagged), abs=0.02)


def test_oracles_and_missing_starts_have_none(tmp_path: Path):
    record = _record(tmp_path)
    assert detect(record) is None
    assert detect_at_start(record) is None
    write_cell(tmp_path, "tal", 0.5, 0, t2i=[0], wrong=_WRONG, cosines=_COSINES)
    assert detect_at_start(load_cells(tmp_path)[1]) is None


def test_without_noise_there_are_false_flags_and_no_auroc(tmp_path: Path):
    found = detect(_record(tmp_path, wrong=np.zeros(400, bool), noise=_NOISE))
    assert found is not None
    assert "auroc" not in found.figures
    assert "f1" not in found.figures
    assert found.figures["false_flag_rate"][0] == pytest.approx((_NOISE > 0.5).mean())


def test_means_over_seeds_and_their_outermost_ends():
    runs = [
        Detection(COSINE, {"auroc": (0.8, 0.7, 0.9)}, 0.4),
        Detection(COSINE, {"auroc": (0.9, 0.85, 0.95)}, math.nan),
    ]
    start = Detection(COSINE, {"auroc": (0.75, 0.7, 0.8)}, 0.4)
    means = mean_detection(runs, against=[start, start])
    assert means["auroc"][:4] == pytest.approx((0.85, 0.7, 0.95, 2))
    assert means["auroc_gain"][:4] == pytest.approx((0.1, 0.05, 0.15, 2))
    assert means["estimated_rate"].value == 0.4
    assert math.isnan(means["estimated_rate"].low)
    assert "auroc_gain" not in mean_detection(runs, against=[None, None])
