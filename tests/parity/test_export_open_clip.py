"""An exported model gives the embeddings it had, in plain open_clip and in plain transformers.

References: open_clip.create_model("local-dir:...") with open_clip.get_tokenizer, and
transformers' CLIPModel with CLIPProcessor, both fed with pictures and captions rather than
tensors. Tolerance 1e-5 on unit vectors: fp32 sums in another order differ by about 1e-7 here, and
a wrong activation, mask, pixel or token by 1e-3 and more (see the last test).
"""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.support.tiny_models import TinyModel, register_architecture, tiny_model, tiny_tokenizer
from vlsuite.errors import ModelError
from vlsuite.models.dual_encoder.export_forms import (
    FORMS,
    TOLERANCE,
    difference,
    random_captions,
    random_pictures,
)
from vlsuite.models.opening import open_model


def export(tiny: TinyModel, form: str, folder: Path) -> Path:
    FORMS[form].write(
        folder,
        tiny.built,
        tiny.built.encoder.state_dict(),
        logit_scale=tiny.clip.logit_scale,
        logit_bias=tiny.logit_bias,
    )
    return folder


def assert_same(tiny: TinyModel, form: str, folder: Path) -> None:
    found = difference(tiny.clip, FORMS[form].reload(folder))
    assert found.is_small, found


@pytest.fixture
def tokenizer(tmp_path):
    return tiny_tokenizer(tmp_path / "tokenizer")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("own_tokenizer", [True, False])
def test_tiny_vit(tmp_path, tokenizer, form, own_tokenizer):
    name = register_architecture(tmp_path)
    tiny = tiny_model(name, tokenizer=tokenizer if own_tokenizer else None)
    assert_same(tiny, form, export(tiny, form, tmp_path / "out"))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("variant", "changes"),
    [
        ("quick-gelu", {"quick_gelu": True}),
        ("custom-text", {"custom_text": True}),
        ("late-norm", {"vision_cfg": {"final_ln_after_pool": True}}),
        ("eps", {"vision_cfg": {"norm_kwargs": {"eps": 1e-3}}}),
        ("mlp-ratio", {"text_cfg": {"mlp_ratio": 2.0, "heads": 4}}),
    ],
)
def test_options_that_both_libraries_have(tmp_path, tokenizer, form, variant, changes):
    name = register_architecture(tmp_path, f"tiny-{variant}", **changes)
    tiny = tiny_model(name, tokenizer=tokenizer)
    assert_same(tiny, form, export(tiny, form, tmp_path / "out"))


@pytest.mark.parametrize("custom_text", [True, False])
def test_siglip_style_keeps_its_bias_in_open_clip(tmp_path, tokenizer, custom_text):
    name = register_architecture(tmp_path, f"tiny-siglip-{custom_text}", custom_text=custom_text)
    tiny = tiny_model(name, tokenizer=tokenizer, logit_bias=-9.5)
    folder = export(tiny, "open_clip", tmp_path / "out")
    assert_same(tiny, "open_clip", folder)
    assert FORMS["open_clip"].reload(folder).logit_bias == pytest.approx(-9.5)


@pytest.mark.parametrize("custom_text", [True, False])
def test_state_dict_has_the_names_of_its_class(tmp_path, tokenizer, custom_text):
    name = register_architecture(tmp_path, f"tiny-layout-{custom_text}", custom_text=custom_text)
    folder = export(tiny_model(name, tokenizer=tokenizer), "open_clip", tmp_path / "out")
    names = load_file(folder / "open_clip_model.safetensors").keys()
    assert ("text.token_embedding.weight" in names) == custom_text
    assert ("token_embedding.weight" in names) == (not custom_text)
    assert {"visual.proj", "logit_scale"} <= names


@pytest.mark.parametrize("form", FORMS)
def test_patch_dropout_is_not_exported(tmp_path, tokenizer, form):
    tiny = tiny_model(register_architecture(tmp_path), tokenizer=tokenizer, patch_dropout=0.5)
    folder = export(tiny, form, tmp_path / "out")
    assert_same(tiny, form, folder)
    assert "patch_dropout" not in "".join(path.read_text() for path in folder.glob("*config.json"))


def test_a_tower_that_transformers_lacks_still_exports_to_open_clip(tmp_path, tokenizer):
    changes = {"vision_cfg": {"pool_type": "avg"}, "text_cfg": {"no_causal_mask": True}}
    tiny = tiny_model(register_architecture(tmp_path, "tiny-avg", **changes), tokenizer=tokenizer)
    assert_same(tiny, "open_clip", export(tiny, "open_clip", tmp_path / "out"))
    with pytest.raises(ModelError, match="pool_type='avg'"):
        export(tiny, "huggingface", tmp_path / "other")


def test_our_own_loader_reads_the_open_clip_form(tmp_path, tokenizer):
    name = register_architecture(tmp_path)
    tiny = tiny_model(name, tokenizer=tokenizer, logit_scale=31.0, logit_bias=-4.0)
    loaded = open_model(str(export(tiny, "open_clip", tmp_path / "out")))
    assert loaded.logit_scale == pytest.approx(31.0)
    assert loaded.logit_bias == pytest.approx(-4.0)
    captions = random_captions(seed=1)
    torch.testing.assert_close(
        loaded.embed_texts(captions), tiny.clip.embed_texts(captions), rtol=0, atol=TOLERANCE
    )


def test_an_export_can_be_exported_again(tmp_path, tokenizer):
    """Weights, tokenizer and description survive the way out, in and out."""
    first = export(
        tiny_model(register_architecture(tmp_path), tokenizer=tokenizer),
        "open_clip",
        tmp_path / "first",
    )
    again = tiny_model(f"local-dir:{first}")
    for form in FORMS:
        assert_same(again, form, export(again, form, tmp_path / form))


def test_a_tokenizer_named_by_the_architecture_goes_along(tmp_path, tokenizer):
    text_cfg = {"hf_tokenizer_name": tokenizer, "vocab_size": 120}
    tiny = tiny_model(register_architecture(tmp_path, "tiny-named", text_cfg=text_cfg))
    assert_same(tiny, "open_clip", export(tiny, "open_clip", tmp_path / "out"))


@pytest.mark.parametrize("form", FORMS)
def test_the_check_sees_a_wrong_activation(tmp_path, tokenizer, form):
    plain = tiny_model(register_architecture(tmp_path), tokenizer=tokenizer)
    other = tiny_model(
        register_architecture(tmp_path, "tiny-other", quick_gelu=True), tokenizer=tokenizer
    )
    found = difference(plain.clip, FORMS[form].reload(export(other, form, tmp_path / "out")))
    assert found.images > 100 * TOLERANCE
    assert found.texts > 10 * TOLERANCE
    assert not found.is_small


def test_the_check_uses_inputs_that_tell_models_apart(tmp_path, tokenizer):
    tiny = tiny_model(register_architecture(tmp_path), tokenizer=tokenizer)
    texts = tiny.clip.embed_texts(random_captions(seed=0))
    images = torch.stack([tiny.clip.image_transform(p) for p in random_pictures(16, seed=0)])
    for embeds in (texts, tiny.clip.embed_images(images)):
        distances = torch.cdist(embeds, embeds) + torch.eye(len(embeds))
        assert distances.min() > 1e-3
