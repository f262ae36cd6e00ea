"""Exports name no folder of one machine: paths in their cards are cut."""

import pytest

from tests.support.detectors import tiny_config, tiny_detector
from vlsuite.export.new_file import write_card
from vlsuite.export.shown_paths import short_paths
from vlsuite.models.vild.folder import write_vild_folder


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/home/me/sets/emoji", ".../sets/emoji"),
        ("by 'local-dir:/home/me/runs/teacher'", "by 'local-dir:.../runs/teacher'"),
        ("ViT-B-32:/home/me/weights.pt", "ViT-B-32:.../weights.pt"),
        ("(`/home/me/a/b`)", "(`.../a/b`)"),
        ("see https://example.org/home/me/a or hf-hub:org/repo", None),
        ("3 x height / width and runs/first", None),
        (".../sets/emoji", None),
    ],
)
def test_absolute_paths_are_cut_and_addresses_stay(text, shown):
    assert short_paths(text) == (shown or text)


def test_every_card_goes_through_it(tmp_path):
    write_card(tmp_path / "README.md", "from /home/me/sets/emoji\n")
    assert (tmp_path / "README.md").read_text() == "from .../sets/emoji\n"


def test_the_export_of_a_detector_has_no_absolute_path(tmp_path):
    place = tiny_config().teacher.name.removeprefix("local-dir:")
    built = tiny_detector("vild")
    write_vild_folder(tmp_path, built, dict(built.network.state_dict()), name="tiny")
    card = (tmp_path / "README.md").read_text()
    assert "taught by 'local-dir:.../teacher'" in card
    texts = [path for path in tmp_path.rglob("*") if path.suffix in (".json", ".md", ".txt")]
    assert len(texts) > 3
    assert not [path for path in texts if place.rpartition("/")[0] in path.read_text()]
