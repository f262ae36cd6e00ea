"""Models of transformers are loaded without bars, everywhere; settings of others stay."""

import re
from pathlib import Path

import pytest
import transformers
from transformers.utils import logging

import vlsuite
from vlsuite.models.quiet_loading import quiet_loading


@pytest.fixture
def folder(tmp_path, capsys):
    config = transformers.BertConfig(
        vocab_size=8, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8
    )
    transformers.BertModel(config).save_pretrained(tmp_path)
    capsys.readouterr()
    return tmp_path


@pytest.mark.parametrize("is_shown", [True, False])
def test_no_bar_is_shown_and_the_setting_comes_back(folder, capsys, is_shown):
    before = logging.is_progress_bar_enabled()
    (logging.enable_progress_bar if is_shown else logging.disable_progress_bar)()
    try:
        with quiet_loading():
            transformers.BertModel.from_pretrained(folder)
        assert capsys.readouterr().err == ""
        assert logging.is_progress_bar_enabled() is is_shown
    finally:
        (logging.enable_progress_bar if before else logging.disable_progress_bar)()


def test_everything_that_loads_weights_does_so():
    loads = re.compile(
        r"^( +)(?:model|module, told|second)\b[^=\n]*= *"
        r"[^\n]*(?:\.from_pretrained\(|(?<!\w)model\(spec)",
        re.MULTILINE,
    )
    found = 0
    root = Path(vlsuite.__file__).parents[1]
    for package in ("vlsuite", "eval", "data_pipelines"):
        for path in (root / package).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            for match in loads.finditer(text):
                above = text[: match.start()].rstrip().splitlines()
                block = [line for line in above[-4:] if "quiet_loading():" in line]
                assert block, f"{path}: {match[0].strip()}"
                found += 1
    assert found >= 7
