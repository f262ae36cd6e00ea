"""Two hosts on one machine: the link is cut in mid-run, both notice, the run continues."""

import pytest

from benchmarks.two_hosts import measure, why_not_permitted


def test_a_cut_link_is_noticed_and_the_run_continues(tmp_path):
    reason = why_not_permitted()
    if reason:
        pytest.skip(reason)
    outcome = measure(tmp_path, steps=30, cut_at=10, limit=5.0, seed=0)
    assert outcome.messages == (True, True)
    assert all(code != 0 for code in outcome.codes)
    assert max(outcome.detected_s) < 5.0 + 30.0
    assert outcome.continued_identical
