"""The store of embeddings: what is computed, when, and that it is the same to the last bit."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from jaxtyping import UInt8
from torch import Tensor

from eval.contract import Need
from eval.data.dataset import EvalDataset
from eval.data.folders import open_dataset
from eval.data.views import PLAIN, CropFrame, Frame, ModelFrame
from eval.embedding import store as embedding_store
from eval.embedding.decode import StreamingDecoder
from eval.embedding.embedder import StreamingEmbedder
from eval.embedding.store import StoredEmbedder
from eval.errors import EvaluationError
from tests.support.embedding_model import SmallClip
from tests.support.evaluation_data import captioned, noise_png, write_tar

STREAMING = StreamingEmbedder(decoder=StreamingDecoder(batch_size=4, workers=2))


@dataclass(frozen=True)
class Darker:
    """Divides every pixel."""

    by: int
    frame: Frame = ModelFrame()
    needs_transform: bool = False

    @property
    def key(self) -> str:
        return f"darker {self.by}"

    def apply(
        self, frames: UInt8[Tensor, "batch 3 height width"], image_ids: Sequence[int]
    ) -> UInt8[Tensor, "batch 3 height width"]:
        return frames // self.by


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding_store, "ROWS_IN_PART", 8)


def _dataset(folder: Path, count: int = 30) -> EvalDataset:
    samples = captioned([[str(i)] for i in range(count)])
    samples[5]["png"] = b"no picture"
    samples[20]["png"] = samples[3]["png"]
    return open_dataset(str(write_tar(folder / "a.tar", samples)))


def _store(root: Path, batch_size: int = 4) -> StoredEmbedder:
    return StoredEmbedder(STREAMING, root, batch_size=batch_size)


def test_stored_equals_streamed(tmp_path: Path) -> None:
    dataset = _dataset(tmp_path)
    streamed = STREAMING.images(SmallClip(), dataset)
    stored = _store(tmp_path / "store").images(SmallClip(), dataset)
    assert stored.rows.tolist() == streamed.rows.tolist()
    assert stored.num_skipped == streamed.num_skipped == 1
    # batches differ at the ends of parts, and with them the order of fp32 sums
    torch.testing.assert_close(stored.embeds, streamed.embeds, atol=1e-6, rtol=0)
    assert torch.equal(stored.embeds[2 + 17], stored.embeds[3])


def test_nothing_is_embedded_twice(tmp_path: Path) -> None:
    dataset, model = _dataset(tmp_path), SmallClip()
    first = _store(tmp_path / "store").images(model, dataset)
    seen = sum(model.image_batch_sizes)
    again = _store(tmp_path / "store").images(model, dataset)
    assert sum(model.image_batch_sizes) == seen == 29
    assert torch.equal(first.embeds, again.embeds)


def test_other_weights_do_not_find_them(tmp_path: Path) -> None:
    dataset = _dataset(tmp_path)
    first = _store(tmp_path / "store").images(SmallClip(), dataset)
    other = _store(tmp_path / "store").images(SmallClip(seed=1), dataset)
    assert not torch.allclose(first.embeds, other.embeds, atol=1e-3)


def test_all_views_share_one_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = []
    monkeypatch.setattr(
        "eval.data.raw_image.decode_image", lambda data: decoded.append(1) or _decode(data)
    )
    from vlsuite.batches.decode import decode_image as _decode

    dataset, model = _dataset(tmp_path), SmallClip()
    store = _store(tmp_path / "store")
    views = (PLAIN, Darker(2), Darker(3))
    store.prepare(model, [Need(dataset, views)])
    assert len(decoded) == 29  # equal pictures once
    halves = store.images(model, dataset, Darker(2))
    assert len(decoded) == 29
    pictures = next(STREAMING.pictures(model, dataset, np.arange(4)))
    expected = model.embed_images(pictures.images // 2)
    torch.testing.assert_close(halves.embeds[:4], expected, atol=1e-6, rtol=0)


def test_interrupted_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    class Dies(SmallClip):
        def embed_images(self, images):
            if len(self.image_batch_sizes) == 5:
                raise KeyboardInterrupt
            return super().embed_images(images)

    dataset = _dataset(tmp_path)
    whole = _store(tmp_path / "whole").images(SmallClip(), dataset)
    with pytest.raises(KeyboardInterrupt):
        _store(tmp_path / "store").images(Dies(), dataset)
    model = SmallClip()
    resumed = _store(tmp_path / "store").images(model, dataset)
    assert sum(model.image_batch_sizes) == 29 - 16
    assert torch.equal(resumed.embeds, whole.embeds)


def test_a_damaged_part_is_computed_again(tmp_path: Path) -> None:
    class Dies(SmallClip):
        def embed_images(self, images):
            if len(self.image_batch_sizes) == 5:
                raise KeyboardInterrupt
            return super().embed_images(images)

    dataset = _dataset(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        _store(tmp_path / "store").images(Dies(), dataset)
    part = sorted((tmp_path / "store").rglob("part-*"))[0]
    part.write_bytes(part.read_bytes()[:50])
    resumed = _store(tmp_path / "store").images(SmallClip(), dataset)
    assert torch.equal(
        resumed.embeds, _store(tmp_path / "whole").images(SmallClip(), dataset).embeds
    )


def test_a_damaged_array_is_refused(tmp_path: Path) -> None:
    dataset = _dataset(tmp_path)
    _store(tmp_path / "store").images(SmallClip(), dataset)
    array = next((tmp_path / "store").rglob("embeds.f32"))
    array.write_bytes(array.read_bytes()[:-4])
    with pytest.raises(EvaluationError, match="damaged"):
        _store(tmp_path / "store").images(SmallClip(), dataset)


def test_nan_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    class Broken(SmallClip):
        def embed_images(self, images):
            return torch.full((len(images), 16), float("nan"))

    with pytest.raises(EvaluationError, match="NaN or infinity"):
        _store(tmp_path / "store").images(Broken(), _dataset(tmp_path))
    assert not list((tmp_path / "store").rglob("*.f32"))


def test_classes_are_kept(tmp_path: Path) -> None:
    model = SmallClip()
    first = _store(tmp_path).class_embeds(model, ("cat", "dog"), ("a {c}", "the {c}"))
    assert model.num_texts == 4
    again = _store(tmp_path).class_embeds(model, ("cat", "dog"), ("a {c}", "the {c}"))
    assert model.num_texts == 4
    assert torch.equal(first, again)
    _store(tmp_path).class_embeds(model, ("cat", "dog"), ("a {c}",))
    assert model.num_texts == 6


def test_a_crop_passes_the_models_transform(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Crop:
        key = "crop"
        frame: Frame = CropFrame(20, 18)
        needs_transform = True

        def apply(self, frames, image_ids):
            assert frames.shape[1:] == (3, 18, 18)
            return frames

    samples = [{"png": noise_png(i, side=24), "txt": b"x"} for i in range(3)]
    dataset = open_dataset(str(write_tar(tmp_path / "a.tar", samples)))
    assert _store(tmp_path / "store").images(SmallClip(), dataset, Crop()).embeds.shape == (3, 16)


def test_two_commands_share_a_store_in_turn(tmp_path: Path) -> None:
    class Slow(SmallClip):
        def embed_images(self, images):
            time.sleep(0.02)
            return super().embed_images(images)

    dataset, models = _dataset(tmp_path), (Slow(), Slow())
    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(_store(tmp_path / "store").images, model, dataset) for model in models]
        first, second = (job.result() for job in jobs)
    assert torch.equal(first.embeds, second.embeds)
    assert sorted(sum(model.image_batch_sizes) for model in models) == [0, 29]
