"""A run with two embeddings: its exported folder, `vlsuite export`, and plain open_clip."""

import json

import pytest
import torch
import torch.nn.functional as F

from tests.support.runs import make_shards, run_to_end, small_config
from vlsuite.cli.main import main
from vlsuite.models.dual_encoder.export_forms import (
    random_captions,
    random_pictures,
    reload_open_clip,
)
from vlsuite.models.opening import open_model

EMBED_DIM, WIDTH = 64, 40


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of four steps, and its model as the run holds it."""
    folder = tmp_path_factory.mktemp("selecting")
    shards = make_shards(folder)
    config = small_config(
        shards, "objective=rde", "objective.tau=0.05", f"model.token_selection.width={WIDTH}"
    )
    state, _ = run_to_end(config, folder / "run")
    state.engine.eval()
    return folder / "run", state.evaluated("trained")


def embedded(model) -> tuple[torch.Tensor, torch.Tensor]:
    pixels = torch.stack([model.image_transform(p) for p in random_pictures(32, seed=0)])
    with torch.no_grad():
        return model.embed_images(pixels), model.embed_texts(random_captions(seed=0))


def test_exported_folder_gives_identical_embeddings(trained):
    run, model = trained
    loaded = open_model(str(run))
    assert loaded.embed_dim == EMBED_DIM + WIDTH
    assert loaded.logit_scale == pytest.approx(20.0, rel=1e-6)
    for found, expected in zip(embedded(loaded), embedded(model), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


def test_plain_open_clip_loads_the_global_embedding(trained):
    run, model = trained
    plain = reload_open_clip(run / "export")
    pictures, captions = random_pictures(32, seed=0), random_captions(seed=0)
    found = (plain.embed_images(pictures), plain.embed_texts(captions))
    for side, whole in zip(found, embedded(model), strict=True):
        wanted = F.normalize(whole[:, :EMBED_DIM], dim=1)
        torch.testing.assert_close(side, wanted, atol=1e-5, rtol=0)


def test_export_command_gives_the_same_model(trained, tmp_path, capsys):
    run, model = trained
    assert main(["export", str(run), "--out", str(tmp_path / "out")]) == 0, capsys.readouterr().err
    for found, expected in zip(
        embedded(open_model(str(tmp_path / "out"))), embedded(model), strict=True
    ):
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)
    exported = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"token_selection.json", "token_selection.safetensors"} <= exported


def test_transformers_form_is_refused_in_one_line(trained, tmp_path, capsys):
    run, _ = trained
    arguments = ["export", str(run), "--format", "huggingface", "--out", str(tmp_path / "out")]
    assert main(arguments) == 2
    message = capsys.readouterr().err.strip()
    assert "model.token_selection" in message
    assert len(message.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_spoilt_second_embedding_is_refused_in_one_line(trained, tmp_path):
    from shutil import copytree

    from vlsuite.errors import ModelError

    run, _ = trained
    for name, data in {
        "token_selection.json": b"{",
        "token_selection.safetensors": b"\0" * 100,
    }.items():
        copytree(run / "export", tmp_path / name)
        (tmp_path / name / name).write_bytes(data)
        with pytest.raises(ModelError, match="export the model again") as caught:
            open_model(str(tmp_path / name))
        assert "\n" not in str(caught.value)
    copytree(run / "export", tmp_path / "other")
    described = json.loads((tmp_path / "other" / "token_selection.json").read_text())
    described["width"] = WIDTH + 1
    (tmp_path / "other" / "token_selection.json").write_text(json.dumps(described))
    with pytest.raises(ModelError, match="export the model again"):
        open_model(str(tmp_path / "other"))
