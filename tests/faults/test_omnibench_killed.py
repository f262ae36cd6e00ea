"""A command that is killed while it asks a failing endpoint ends as if nothing had happened."""

from pathlib import Path

from benchmarks.omnibench_faults import measure
from vlsuite.cli.main import main


def run_here(command: list[str]) -> None:
    assert main(command) == 0


def test_faults_and_a_kill_change_no_byte_of_the_report(tmp_path: Path) -> None:
    concurrency = 8
    outcome = measure(
        tmp_path,
        questions=8,
        settings="image_audio,caption,transcript",
        kills=1,
        seed=0,
        finish=run_here,
    )
    assert outcome.needed == 24
    assert len(outcome.faults) >= 4
    assert 0 < outcome.stored_at[0] < outcome.needed
    assert outcome.report_identical
    assert outcome.files == 4  # a result for each setting, and the page
    assert outcome.answers_identical
    assert outcome.asked_though_stored == 0
    under_way = outcome.sent - outcome.needed - sum(outcome.faults.values())
    assert 0 <= outcome.answered_twice <= under_way <= concurrency
