"""A run of the study of mixtures from its sets to its record and report."""

from pathlib import Path

import pytest

from data_pipelines.sources.source import Target
from data_pipelines.sources.synthetic import SyntheticSource
from eval.studies.mixture.cell import is_done, train_cell
from eval.studies.mixture.records import load_cells, refuse_other_study
from eval.studies.mixture.report import write_report
from eval.studies.mixture.sets import StudyFolders, make_sets, make_study_tokenizer
from eval.studies.mixture.settings import MixtureStudyConfig, cells_of, mixtures_of


@pytest.mark.timeout(300)
def test_a_mixture_is_trained_measured_and_reported(tmp_path: Path):
    for name, seed in (("a", 0), ("b", 1)):
        source = SyntheticSource(num_samples=120, side=32, seed=seed)
        source.build(Target(out_dir=tmp_path / name))
    config = MixtureStudyConfig(
        sources={name: (str(tmp_path / name),) for name in "ab"},
        tests={"again": str(tmp_path / "study" / "sets" / "a" / "test")},
        samples=64,
        evaluations=2,
        batch_size=16,
        vocab_size=300,
    )
    folders = StudyFolders(tmp_path / "study")
    make_sets(config, folders)
    make_study_tokenizer(config, folders)
    cell = cells_of(mixtures_of("a:3+b:1", ["a", "b"]), 1)[0]
    train_cell(config, folders, cell)
    assert is_done(folders, cell, config)
    refuse_other_study(folders.out, config.digest)
    (record,) = load_cells(folders.out, digest=config.digest)
    assert record.cell == cell
    assert list(record.hits) == ["again", "a", "b"]
    assert record.hits["a"].shape[0] == 2
    assert (record.hits["again"] == record.hits["a"]).all()
    assert record.result["samples_seen"] == 64
    assert sum(record.result["sources_seen"].values()) == 64
    assert record.result["tests"]["a"]["has_classes"] is False
    report = write_report(folders.out, reference="b")
    assert report.summary["mixtures"] == ["a 75 + b 25"]
    assert report.page.is_file()
