"""CLIP and SigLIP folders of transformers against transformers itself; steps of a run."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

from eval.capabilities import EMBEDS, lack_of
from eval.contract import DifferentiableModel
from eval.opening import open_embedding_model, open_model
from tests.support.evaluation_data import captioned, write_evaluation_folder
from tests.support.exported_models import exported_model
from tests.support.tiny_models import (
    CAPTIONS,
    register_architecture,
    tiny_model,
    tiny_run,
    tiny_tokenizer,
)
from vlsuite.api.models import load_model
from vlsuite.batches.tokenizer import train_tokenizer
from vlsuite.cli.main import main
from vlsuite.errors import ConfigError, ModelError
from vlsuite.models.dual_encoder.clip import Clip

TEXTS = [*CAPTIONS, "", "cat " * 40]
TOWER = {"hidden_size": 32, "intermediate_size": 37, "num_hidden_layers": 2}
TOWER |= {"num_attention_heads": 2}


def _pictures() -> list[Image.Image]:
    draws = np.random.default_rng(0)
    sizes = ((40, 33), (33, 40), (24, 24), (9, 61))
    return [
        Image.fromarray(draws.integers(0, 256, (height, width, 3), dtype=np.uint8))
        for width, height in sizes
    ]


def _write(folder: Path, kind: str) -> Path:
    """A folder as transformers writes it: model, pictures' preparation and tokenizer."""
    train_tokenizer(CAPTIONS, vocab_size=120, out_dir=folder, context_length=16)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    text = TOWER | {"vocab_size": len(tokenizer), "max_position_embeddings": 16}
    text |= {"eos_token_id": tokenizer.eos_token_id, "bos_token_id": tokenizer.bos_token_id}
    text |= {"pad_token_id": tokenizer.pad_token_id}
    vision = TOWER | {"image_size": 24, "patch_size": 8}
    torch.manual_seed(0)
    if kind == "clip":
        config = transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=20)
        model = transformers.CLIPModel(config)
        size = {"shortest_edge": 24}
        crop = {"height": 24, "width": 24}
        pictures = transformers.CLIPImageProcessor(size=size, crop_size=crop)
    else:
        config = transformers.SiglipConfig(text_config=text, vision_config=vision)
        model = transformers.SiglipModel(config)
        pictures = transformers.SiglipImageProcessor(size={"height": 24, "width": 24})
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    pictures.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_folder_embeds_as_transformers_does(tmp_path: Path, kind: str) -> None:
    folder = _write(tmp_path / kind, kind)
    ours = open_embedding_model(str(folder))

    module = getattr(transformers, {"clip": "CLIPModel", "siglip": "SiglipModel"}[kind])
    theirs = module.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    pictures = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")
    encoded = tokenizer(
        TEXTS, padding="max_length", truncation=True, max_length=16, return_tensors="pt"
    )
    with torch.no_grad():
        told = theirs(
            input_ids=encoded["input_ids"],
            attention_mask=encoded["attention_mask"],
            pixel_values=pictures(_pictures(), return_tensors="pt")["pixel_values"],
        )

    pixels = torch.stack([ours.image_transform(picture) for picture in _pictures()])
    images, texts = ours.embed_images(pixels), ours.embed_texts(TEXTS)
    torch.testing.assert_close(images, told.image_embeds, atol=1e-5, rtol=0)
    torch.testing.assert_close(texts, told.text_embeds, atol=1e-5, rtol=0)
    logits = ours.logit_scale * images @ texts.T + ours.logit_bias
    torch.testing.assert_close(logits, told.logits_per_image, atol=1e-3, rtol=1e-4)
    assert ours.embed_dim == images.shape[1] == texts.shape[1]
    assert ours.embed_texts([]).shape == (0, ours.embed_dim)
    assert isinstance(ours, DifferentiableModel)
    torch.testing.assert_close(ours.embed_pixels(pixels / 255), images, atol=1e-5, rtol=0)


def test_fingerprint_tells_models_apart_and_transformers_opens_the_same(tmp_path: Path) -> None:
    folder = _write(tmp_path / "clip", "clip")
    first = open_model(str(folder))
    again = open_model(f"transformers:{folder}")
    assert first.fingerprint == again.fingerprint
    assert lack_of(first, (EMBEDS,)) is None
    told = json.loads((folder / "preprocessor_config.json").read_text())
    told["image_mean"] = [0.5, 0.5, 0.5]
    (folder / "preprocessor_config.json").write_text(json.dumps(told))
    assert open_model(str(folder)).fingerprint != first.fingerprint


def test_our_own_export_is_evaluated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tokenizer = tiny_tokenizer(tmp_path / "tokenizer")
    tiny = tiny_model(register_architecture(tmp_path), tokenizer=tokenizer)
    run = tiny_run(tmp_path / "run", tiny, step=10).path
    out = tmp_path / "hf"
    assert main(["export", str(run), "--format", "huggingface", "--out", str(out)]) == 0
    model = open_embedding_model(str(out))
    pixels = torch.stack([model.image_transform(picture) for picture in _pictures()])
    torch.testing.assert_close(
        model.embed_images(pixels), tiny.clip.embed_images(pixels), atol=1e-5, rtol=0
    )
    torch.testing.assert_close(
        model.embed_texts(TEXTS), tiny.clip.embed_texts(TEXTS), atol=1e-5, rtol=0
    )
    data = write_evaluation_folder(tmp_path / "pairs", captioned([["a cat"], ["two dogs"]]))
    places = ["--data", str(data), "--out", str(tmp_path / "out"), "--no-cache"]
    assert main(["eval", str(out), *places]) == 0
    assert "retrieval" in capsys.readouterr().out.lower()
    assert len(list((tmp_path / "out").glob("*.json"))) == 1


def test_a_folder_of_both_libraries_is_opened_by_open_clip(tmp_path: Path) -> None:
    folder = exported_model(tmp_path / "model")
    (folder / "config.json").write_text(json.dumps({"model_type": "clip"}))
    assert isinstance(open_model(str(folder)), Clip)


def test_step_of_a_run_is_measured_beside_another(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer(tmp_path / "tokenizer")
    tiny = tiny_model(register_architecture(tmp_path), tokenizer=tokenizer)
    later = tiny_model(tiny.config.name, tokenizer=tokenizer, seed=1)
    run = tiny_run(tmp_path / "run", tiny, step=10).path
    tiny_run(tmp_path / "run", later, step=20)
    data = write_evaluation_folder(tmp_path / "pairs", captioned([["a cat"], ["two dogs"]]))
    for step, of in ((10, tiny), (20, later)):
        model = load_model(run, device="cpu", step=step)
        torch.testing.assert_close(
            model.embed_texts(TEXTS), of.clip.embed_texts(TEXTS), atol=1e-6, rtol=0
        )
        words = ["eval", str(run), "--step", str(step), "--data", str(data), "--no-cache"]
        assert main(words) == 0
    written = sorted((run / "results").glob("*.json"))
    told = [json.loads(path.read_text()) for path in written]
    assert [one["model"] for one in told] == [f"{run}@10", f"{run}@20"]
    assert [one["influences"]["training_length"] for one in told] == ["step 10", "step 20"]


def test_mistakes_are_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = _write(tmp_path / "siglip", "siglip")
    with pytest.raises(ConfigError, match="is none"):
        load_model(folder, device="cpu", step=3)
    assert main(["eval", f"transformers:{folder}", "--data", "x", "--set", "model.style=lmms"]) == 2
    assert main(["export", str(folder), "--out", str(tmp_path / "new")]) == 2
    assert "is evaluated" in capsys.readouterr().err
    config = json.loads((folder / "config.json").read_text())
    config["vision_config"]["num_hidden_layers"] = 3
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="not those of its config"):
        open_model(str(folder))
    config["model_type"] = "bert"
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="'bert'"):
        open_model(str(folder))
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "siglip"}))
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(ModelError, match=r"transformers cannot load|not those of its"):
        open_model(str(folder))
