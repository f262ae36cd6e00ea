"""Vectors stand beside the table: one for each row, of this model and these shards."""

import json

import numpy as np
import pytest
import torch

from data_pipelines.curation.scan import scan
from data_pipelines.curation.scan_settings import ScanSettings
from data_pipelines.curation.table import open_table
from data_pipelines.errors import DataError
from tests.support.curation import files_of, mixed_shards
from vlsuite.cli.main import main
from vlsuite.models.embed_shards import embed_shards


class _Turning:
    """Captions are embedded at an angle that follows from the number that they end in."""

    def __init__(self, fingerprint="turning"):
        self.fingerprint = fingerprint

    @staticmethod
    def image_transform(image):
        return torch.full((1,), image.width, dtype=torch.uint8)

    def embed_images(self, images):
        return self._vectors(images[:, 0].float())

    def embed_texts(self, texts):
        return self._vectors(torch.tensor([float(text.split()[-1]) for text in texts]))

    @staticmethod
    def _vectors(numbers):
        angles = numbers / 10
        return torch.stack([angles.cos(), angles.sin()], dim=1)


@pytest.fixture
def shards(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    mixed_shards(tmp_path / "shards")
    scan(tmp_path / "shards", settings=ScanSettings())
    return tmp_path / "shards"


def _embed(shards, model=None, **options):
    return embed_shards(
        model or _Turning(), [str(shards)], open_table(shards), batch_size=2, **options
    )


def test_each_row_has_its_vector_and_broken_pictures_have_none(shards):
    done = _embed(shards, name="clip")
    assert done == (18, 6, 2, 3)
    table = open_table(shards)
    assert table.vectors == ("clip",)
    column = table.vector_column("clip")
    found = column.at(column.all_ids())
    for number, vector in enumerate(found):
        if number % 3 == 2:
            assert np.isnan(vector).all()
        else:
            angle = (16 + number % 5) / 10
            assert vector == pytest.approx([np.cos(angle), np.sin(angle)], abs=1e-3)
    plain = np.load(table.folder / "vectors" / "clip" / "00001.npy")
    assert (plain.dtype, plain.shape) == (np.float16, (6, 2))
    some = np.array([(2 << 32) + 1, 0, (2 << 32) + 3, 1])
    assert np.array_equal(column.at(some), found[[13, 0, 15, 1]])


def test_captions_are_embedded_too(shards):
    assert _embed(shards, name="words", of="caption").num_without == 0
    column = open_table(shards).vector_column("words")
    angles = np.arange(18) / 10
    expected = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    assert column.at(column.all_ids()) == pytest.approx(expected, abs=1e-3)
    assert column.of == "caption"


def test_embedding_goes_on_and_notices_another_model_or_a_cut_file(shards):
    _embed(shards, name="clip")
    folder = open_table(shards).folder
    whole = files_of(folder)
    vectors = folder / "vectors" / "clip"
    (vectors / "vectors.json").unlink()
    (vectors / "00001.json").unlink()
    (vectors / "00002.npy").write_bytes(b"cut")
    with pytest.raises(DataError, match="no vectors 'clip'"):
        open_table(shards).vector_column("clip")
    assert _embed(shards, name="clip").num_read == 2
    assert files_of(folder) == whole
    assert _embed(shards, _Turning("other"), name="clip").num_read == 3
    assert json.loads((vectors / "vectors.json").read_text())["model"] == "other"


def test_the_command_embeds_by_a_named_model(shards, monkeypatch, capsys):
    monkeypatch.setattr(
        "vlsuite.models.scorers.dual_encoder.open_model", lambda name, device: _Turning(name)
    )
    assert main(["curate", "embed", str(shards), "--model", "RN50:openai", "--name", "own"]) == 0
    assert "18 samples (3 shards read now), 6 without a vector" in capsys.readouterr().out
    assert open_table(shards).vector_column("own").model == "RN50:openai"
    monkeypatch.setattr(
        "vlsuite.models.scorers.dual_encoder.open_model", lambda name, device: object()
    )
    assert main(["curate", "embed", str(shards), "--model", "RN50:openai"]) == 2
    assert "name a dual encoder" in capsys.readouterr().err


def test_vectors_of_other_shards_are_refused(shards):
    _embed(shards, name="clip")
    mixed_shards(shards, samples=7)
    with pytest.raises(DataError, match="scan the shards again"):
        _embed(shards, name="new")
    scan(shards, settings=ScanSettings())
    (open_table(shards).folder / "vectors" / "clip" / "vectors.json").write_text("{}")
    with pytest.raises(DataError, match="other content than the table's"):
        open_table(shards).vector_column("clip")
    folder = open_table(shards).folder / "vectors" / "fresh"
    _embed(shards, name="fresh")
    cut = folder / "00001.npy"
    cut.write_bytes(b"x" * cut.stat().st_size)
    column = open_table(shards).vector_column("fresh")
    with pytest.raises(DataError, match="curate embed' again"):
        column.at(column.all_ids())
    with pytest.raises(DataError, match="cannot name vectors"):
        _embed(shards, name="../x")
