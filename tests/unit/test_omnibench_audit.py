"""The published figures: which can be true, by arithmetic written out again."""

import json
from fractions import Fraction

import pytest

from eval.omnibench.audit import audit, audit_lines, counts_behind, is_share
from eval.omnibench.leaderboard import published
from tests.support.shards import SHARED_DATA, needs_shared_data


def test_a_percentage_is_a_share_where_some_count_rounds_to_it():
    for n in (15, 25, 32, 106):
        rounded = {round(100 * k / n, 2) for k in range(n + 1)}
        for hundredths in range(0, 10_001, 61):
            near = any(abs(Fraction(100 * k, n) - Fraction(hundredths, 100)) <= Fraction(1, 200)
                       for k in range(n + 1))  # fmt: skip
            assert is_share(hundredths / 100, n) == near
        assert all(is_share(value, n) for value in rounded)


def test_the_five_rows_the_three_keys_and_the_two_contradictions():
    found = audit()
    assert (len(found.rows), len(found.full), len(found.bad)) == (54, 44, 5)
    assert {(a.row.model, a.row.setting) for a in found.bad} == {
        ("GPT-4V-Preview", "image_transcript"),
        ("GPT-4V-0409", "image_transcript"),
        ("GPT4-o-mini", "image_transcript"),
        ("GPT4-o (0806)", "image_transcript"),
        ("Reka-core-20240501", "image_audio"),
    }
    assert [a.row.model for a in found.mis_keyed] == [
        "InternVL-2 8B", "InternVL-2 40B", "Cambrian 13B",
    ]  # fmt: skip
    assert [(c.model, c.in_readme, c.in_json) for c in found.contradictions] == [
        ("Gemini-1.5-Pro", 47.56, 42.91),
        ("Reka-core-20240501", 36.1, 30.39),
    ]


def test_the_denominator_behind_a_figure():
    assert counts_behind(41.18, at_most=25) == [(7, 17)]  # text and symbols has 25 questions


def test_sizes_add_up():
    sizes = published().sizes
    assert [sum(axis.values()) for axis in sizes.values()] == [1142, 1142]
    assert published().num_questions == 1142


def test_the_audit_in_words_names_them_all():
    text = "\n".join(audit_lines(audit()))
    for told in ("39 of 44", "GPT-4V-Preview", "Cambrian 13B", "47.56 against 42.91"):
        assert told in text


@needs_shared_data
def test_stored_figures_and_findings_equal_those_gathered_elsewhere():
    gathered = json.loads((SHARED_DATA / "omnibench_leaderboard.json").read_text())
    rows = {(a.row.model, a.row.setting): a for a in audit().rows}
    for model in gathered["leaderboardData"]:
        size = "" if model["size"] == "-" else f" {model['size']}"
        for setting, cells in model["settings"].items():
            assert rows[f"{model['name']}{size}", setting].row.cells == cells
    for bad in gathered["cells_failing_arithmetic"]:
        audited = rows[bad["model"], bad["setting"]]
        assert list(audited.impossible) == bad["not_k_over_n"]
        assert audited.means["audio_type"] == pytest.approx(bad["weighted_by_audio"], abs=0.006)
        assert audited.means["task_type"] == pytest.approx(bad["weighted_by_task"], abs=0.006)
