"""The learning rate of each method is the one that noisy validation pairs prefer."""

import json
from pathlib import Path

import numpy as np
import pytest

from data_pipelines.noise.truth import read_truth
from data_pipelines.sources.source import Target
from data_pipelines.sources.synthetic import SyntheticSource
from eval.errors import EvaluationError
from eval.studies.noise.grid import StudyConfig, Trial, cells_for_goals
from eval.studies.noise.sets import make_noisy_validation, make_sets
from eval.studies.noise.tables import tables
from eval.studies.noise.training import StudyFolders
from eval.studies.noise.tuning import (
    is_tried,
    next_trials,
    read_tuning,
    validation_figures,
    write_tuning,
)
from eval.zero_shot.retrieval import CosinePlaces

CONFIG = StudyConfig(shards=("pairs",), lr_grid=(1e-4, 3e-4, 1e-3), tune_rates=(0.5,))


def write_trial(
    out: Path,
    method: str,
    lr: float,
    mrr: float,
    *,
    rate: float = 0.5,
    config: StudyConfig = CONFIG,
):
    folder = StudyFolders(out).trial(Trial(method, lr, rate))
    folder.mkdir(parents=True, exist_ok=True)
    found = {"mrr": mrr, "r1": mrr / 2, "pairs": 100, "steps": 7, "seconds": 1.0}
    known = {"method": method, "lr": lr, "rate": rate, "digest": config.trial_digest}
    (folder / "trial.json").write_text(json.dumps(known | found))


def test_the_best_rate_is_chosen_and_the_whole_grid_is_kept(tmp_path: Path):
    for lr, mrr in ((1e-4, 0.2), (3e-4, 0.3), (1e-3, 0.1)):
        write_trial(tmp_path, "rde", lr, mrr)
    for lr, mrr in ((1e-4, 0.3), (3e-4, 0.3), (1e-3, 0.1)):
        write_trial(tmp_path, "infonce", lr, mrr)
    found = write_tuning(CONFIG, StudyFolders(tmp_path))
    assert read_tuning(tmp_path) == found
    assert found["methods"]["rde"]["lr"] == 3e-4
    assert not found["methods"]["rde"]["at_edge"]
    assert found["methods"]["infonce"]["lr"] == 1e-4, "the lower one of equals"
    assert found["methods"]["infonce"]["at_edge"]
    figures = [one["figure"] for one in found["methods"]["rde"]["validation"]]
    assert figures == pytest.approx([0.2, 0.3, 0.1])
    assert (found["rates"], found["seed"]) == ([0.5], 1000)


def test_one_rate_serves_all_shares_of_wrong_captions(tmp_path: Path):
    """Geometric means: 0.2 and 0.08 against 0.18 and 0.1, whose plain means are equal."""
    config = StudyConfig(shards=("pairs",), lr_grid=(1e-4, 3e-4))
    for lr, of_clean, of_noisy in ((1e-4, 0.2, 0.08), (3e-4, 0.18, 0.1)):
        write_trial(tmp_path, "rde", lr, of_clean, rate=0.0, config=config)
        write_trial(tmp_path, "rde", lr, of_noisy, rate=0.5, config=config)
        write_trial(tmp_path, "oracle", lr, of_noisy, rate=0.5, config=config)
    folders = StudyFolders(tmp_path)
    assert next_trials(config, folders, ["rde", "oracle"]) == []
    chosen = write_tuning(config, folders)["methods"]
    assert chosen["rde"]["lr"] == 3e-4
    assert [one["rate"] for one in chosen["rde"]["validation"][0]["trials"]] == [0.0, 0.5]
    assert [one["rate"] for one in chosen["oracle"]["validation"][0]["trials"]] == [0.5]


def test_trials_of_other_settings_do_not_count(tmp_path: Path):
    other = StudyConfig(shards=("pairs",), lr_grid=(1e-4,), epochs=2.0, tune_rates=(0.5,))
    write_trial(tmp_path, "rde", 1e-4, 0.9, config=other)
    folders = StudyFolders(tmp_path)
    assert not is_tried(folders, Trial("rde", 1e-4, 0.5), CONFIG)
    assert is_tried(folders, Trial("rde", 1e-4, 0.5), other)
    assert write_tuning(CONFIG, folders)["methods"] == {}


def test_a_given_rate_needs_no_trial(tmp_path: Path):
    given = StudyConfig(shards=("pairs",), lr=5e-4)
    assert next_trials(given, StudyFolders(tmp_path), ["rde"]) == []
    assert read_tuning(Path("nowhere")) is None


@pytest.mark.parametrize(
    ("grid", "best", "order"),
    [
        ((1e-5, 3e-5, 1e-4, 3e-4, 1e-3), 3e-5, [[1e-4], [3e-5, 3e-4], [1e-5]]),
        ((3e-5, 1e-4, 3e-4, 1e-3), 1e-4, [[1e-4, 3e-4], [3e-5]]),
        ((3e-5, 1e-4, 3e-4, 1e-3), 1e-3, [[1e-4, 3e-4], [1e-3]]),
    ],
)
def test_the_grid_is_searched_outwards_from_its_middle(tmp_path: Path, grid, best, order):
    config = StudyConfig(shards=("pairs",), lr_grid=grid, tune_rates=(0.5,))
    found = []
    while trials := next_trials(config, StudyFolders(tmp_path), ["rde", "rde"]):
        found.append([trial.lr for trial in trials])
        for trial in trials:
            mrr = 1 / (1 + abs(np.log(trial.lr / best)))
            write_trial(tmp_path, "rde", trial.lr, mrr, config=config)
    assert found == order
    chosen = write_tuning(config, StudyFolders(tmp_path))["methods"]["rde"]
    assert chosen["lr"] == best
    assert chosen["at_edge"] == (best == 1e-3)


def test_settings_that_choose_nothing_are_refused():
    for settings in ({"lr_grid": ()}, {"validation_share": 0.0}, {"lr_grid": (-1e-4,)}):
        with pytest.raises(EvaluationError, match="rate"):
            StudyConfig(shards=("pairs",), **settings)
    with pytest.raises(EvaluationError, match="tune_rates"):
        StudyConfig(shards=("pairs",), tune_rates=(1.0,))


def test_figures_are_means_of_both_directions():
    places = CosinePlaces(np.array([0, 1, 3, 9]), np.array([0, 0, 1, 4]))
    found = validation_figures(places)
    assert found["mrr"] == pytest.approx(
        ((1 + 1 / 2 + 1 / 4 + 1 / 10) / 4 + (1 + 1 + 1 / 2 + 1 / 5) / 4) / 2
    )
    assert found["r1"] == pytest.approx((0.25 + 0.5) / 2)
    assert found["pairs"] == 4


def test_validation_pairs_are_apart_and_as_noisy_as_asked(tmp_path: Path):
    shards = tmp_path / "shards"
    SyntheticSource(num_samples=320, side=16).build(Target(out_dir=shards))
    config = StudyConfig(shards=(str(shards),), test_share=0.15, validation_share=0.15)
    out = tmp_path / "sets"
    out.mkdir()
    sets = make_sets(config, out)
    noisy = make_noisy_validation(sets, rate=0.5, seed=1)
    splits = json.loads((out / "splits.json").read_text())["splits"]
    count = splits["validation"]["pairs"]
    assert sets.count(noisy) == count > 30
    assert read_truth(noisy).is_mismatched.mean() == pytest.approx(0.5, abs=0.03)
    uids = [set(_uids(part)) for part in (sets.train, sets.pretrain, sets.validation)]
    assert not uids[0] & uids[2]
    assert not uids[1] & uids[2]


def _uids(folder: Path):
    from data_pipelines.shards.find import find_shards
    from data_pipelines.shards.index import ShardIndex
    from data_pipelines.shards.pairs import uid_of

    for path in find_shards([str(folder)]):
        index = ShardIndex.open(path)
        for i in range(len(index)):
            yield uid_of(index.key(i), index.read(i))


def test_the_goals_have_three_seeds_where_they_are_judged():
    cells = cells_for_goals(3)
    for method in ("rde", "rde_global", "nitc_weights"):
        for rate in (0.0, 0.5, 0.8):
            assert len([c for c in cells if (c.method, c.rate) == (method, rate)]) == 3
    assert len(cells) == len(set(cells))


def test_the_report_shows_the_grid():
    tuning = {
        "rates": [0.5], "seed": 9, "grid": [1e-4, 1e-3], "chosen_by": "a figure",
        "methods": {
            "rde": {"lr": 1e-3, "at_edge": True, "validation": [{"lr": 1e-3, "figure": 0.25}]}
        },
    }  # fmt: skip
    summary = {
        "rates": [], "methods": [], "results": {}, "num_test": 1, "best": "", "intervals": "",
        "detection_intervals": "", "zero_shot_detection": {}, "tuning": tuning,
    }  # fmt: skip
    table = tables(summary)[-1]
    assert table.header == ("method", "chosen", "0.0001", "0.001")
    assert table.rows == [("RDE", "0.001 (edge)", "-", "0.2500")]
