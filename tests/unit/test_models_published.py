"""What a weights file is used with: open_clip's published tags say it, or the user does."""

import json
import logging
import zipfile
from pathlib import Path

import open_clip
import pytest

from vlsuite.errors import ConfigError, ModelError
from vlsuite.models.dual_encoder.config import OpenClipConfig
from vlsuite.models.dual_encoder.published import (
    PREPARATION,
    carried_by_weights,
    check_folder_preparation,
)
from vlsuite.models.dual_encoder.specification import config_of

INCEPTION = {"mean": [0.5] * 3, "std": [0.5] * 3}


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"weights")
    return str(path)


def carried(name: str, file: str, like: str | None = None, *, quick_gelu: bool = False) -> dict:
    return carried_by_weights(name, file, like=like, quick_gelu=quick_gelu, ours=False)


@pytest.mark.parametrize(
    ("name", "tag"),
    [
        ("MobileCLIP-S1", "datacompdr"),
        ("ViT-B-16-SigLIP", "webli"),
        ("ViT-B-16-SigLIP2", "webli"),
        ("PE-Core-B-16", "meta"),
        ("ViT-L-14-CLIPA", "datacomp1b"),
        ("ViT-B-32", "laion2b_s34b_b79k"),
    ],
)
def test_a_file_is_prepared_as_all_tags_of_its_architecture_agree(name, tag, file):
    published = open_clip.get_pretrained_cfg(name, tag)
    assert carried(name, file) == {key: published[key] for key in PREPARATION}


@pytest.mark.parametrize("name", ["ViT-L-14", "ViT-H-14", "ViT-S-32", "ViT-M-16"])
def test_where_tags_differ_or_are_missing_it_is_asked_for(name, file):
    with pytest.raises(ModelError, match="pretrained_like") as refused:
        carried(name, file)
    assert "\n" not in str(refused.value)


def test_a_tag_named_beside_the_file_decides(file):
    assert carried("ViT-L-14", file, "laion2b_s32b_b82k")["mean"] == (0.5, 0.5, 0.5)
    assert carried("ViT-L-14", file, "laion400m_e32")["mean"][0] == pytest.approx(0.48145466)


def test_a_json_file_says_it_where_nothing_is_published(file, tmp_path):
    said = INCEPTION | {"interpolation": "bilinear", "resize_mode": "squash"}
    path = tmp_path / "said.json"
    path.write_text(json.dumps({"preprocess_cfg": said}))
    assert carried("ViT-S-32", file, str(path)) == said
    path.write_text(json.dumps(said | {"mean": [0.5]}))
    with pytest.raises(ModelError, match="three numbers"):
        carried("ViT-S-32", file, str(path))


def test_quick_gelu_that_no_published_weights_have_is_refused(file, tmp_path):
    with pytest.raises(ModelError, match="ViT-L-14-336-quickgelu"):
        carried("ViT-L-14-336", file)
    with pytest.raises(ModelError, match="ViT-B-32-quickgelu"):
        carried("ViT-B-32", file, "openai")
    assert carried("ViT-B-32-quickgelu", file, "openai", quick_gelu=True)
    said = INCEPTION | {"interpolation": "bicubic", "resize_mode": "shortest", "quick_gelu": False}
    path = tmp_path / "said.json"
    path.write_text(json.dumps(said))
    assert carried("ViT-L-14-336", file, str(path))["mean"] == [0.5] * 3


def test_where_published_weights_are_of_both_kinds_the_choice_is_said(file, caplog):
    with caplog.at_level(logging.WARNING):
        carried("ViT-B-32", file)
    assert "plain GELU" in caplog.text


def test_openai_archives_are_known_by_their_form(tmp_path):
    path = tmp_path / "ViT-B-32.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/code/__torch__.py", "")
    with pytest.raises(ModelError, match="ViT-B-32-quickgelu"):
        carried("ViT-B-32", str(path))


def test_the_name_of_a_model_carries_the_tag(file):
    config = config_of(f"ViT-L-14:{file}@laion400m_e32")
    assert (config.pretrained, config.pretrained_like) == (file, "laion400m_e32")
    assert config_of(f"ViT-L-14:{file}").pretrained_like is None
    assert config_of("ViT-L-14:openai").pretrained_like is None


def test_a_tag_has_values_of_its_own():
    with pytest.raises(ConfigError, match=r"model\.pretrained"):
        OpenClipConfig(name="ViT-L-14", pretrained_like="openai")
    with pytest.raises(ModelError, match="published tag"):
        carried("ViT-L-14", "openai", "laion400m_e32")


def test_training_from_a_file_takes_its_values_into_the_model(tmp_path):
    name = "ViT-B-16-SigLIP"
    preprocess = OpenClipConfig(name=name, pretrained=str(tmp_path / "gone.safetensors"))._carried(
        {"quick_gelu": False}
    )
    assert preprocess["resize_mode"] == "squash"


def test_a_folder_that_does_not_say_it_is_refused(tmp_path):
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": {}}))
    with pytest.raises(ModelError, match="preprocess_cfg without mean and std"):
        check_folder_preparation(f"local-dir:{tmp_path}")
