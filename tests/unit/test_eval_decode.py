import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from data_pipelines.errors import ShardError
from eval.data.dataset import EvalDataset
from eval.data.folders import open_dataset
from eval.embedding.decode import CachingDecoder, StreamingDecoder
from tests.support.embedding_model import SmallClip
from tests.support.evaluation_data import captioned, write_tar
from vlsuite.batches.decode import decode_image


def _dataset(folder: Path, count: int, *, broken: tuple[int, ...] = ()) -> EvalDataset:
    samples = captioned([[f"caption {i}"] for i in range(count)])
    for i in broken:
        samples[i]["png"] = samples[i]["png"][: 40 + i]
    return open_dataset(str(write_tar(folder / "a.tar", samples)))


def _rows(dataset: EvalDataset) -> np.ndarray:
    return np.arange(len(dataset), dtype=np.int64)


@pytest.mark.parametrize("workers", [1, 3])
def test_batches_keep_order_and_mark_broken_images(tmp_path: Path, workers: int) -> None:
    dataset = _dataset(tmp_path, 45, broken=(3, 44))
    transform = SmallClip().image_transform
    decoder = StreamingDecoder(batch_size=20, workers=workers)
    batches = list(decoder.batches(dataset.images, transform, _rows(dataset)))
    assert [len(batch.images) for batch in batches] == [20, 20, 5]
    is_good = np.concatenate([batch.is_good for batch in batches])
    assert np.flatnonzero(~is_good).tolist() == [3, 44]
    images = torch.cat([batch.images for batch in batches])
    for i in (0, 19, 20, 43):
        assert torch.equal(images[i], transform(decode_image(dataset.images.read(i))))
    assert not images[3].any()


def test_decodes_only_a_little_ahead(tmp_path: Path) -> None:
    dataset = _dataset(tmp_path, 60)
    seen: list[int] = []
    lock = threading.Lock()

    def transform(image: Image.Image) -> torch.Tensor:
        with lock:
            seen.append(1)
        return torch.zeros(3, 4, 4, dtype=torch.uint8)

    batches = StreamingDecoder(batch_size=4, workers=2).batches(
        dataset.images, transform, _rows(dataset)
    )
    next(batches)
    batches.close()
    assert len(seen) <= 1 + 3 * 4  # the blank picture, and three batches


def test_vanished_shard_is_an_error_and_not_a_broken_image(tmp_path: Path) -> None:
    dataset = _dataset(tmp_path, 3)
    (tmp_path / "a.tar").write_bytes(b"")
    decoder = StreamingDecoder(batch_size=2, workers=1)
    with pytest.raises(ShardError):
        list(decoder.batches(dataset.images, SmallClip().image_transform, _rows(dataset)))


class _Counting:
    """A transform that counts its calls."""

    def __init__(self, side: int) -> None:
        self.side = side
        self.calls = 0

    def __call__(self, image: Image.Image) -> torch.Tensor:
        self.calls += 1
        return torch.from_numpy(np.array(image.resize((self.side, self.side)))).permute(2, 0, 1)


def _pixels(decoder: CachingDecoder, dataset: EvalDataset, transform: _Counting) -> torch.Tensor:
    batches = decoder.batches(dataset.images, transform, _rows(dataset))
    return torch.cat([batch.images for batch in batches])


def test_cache_decodes_once_even_for_a_new_equal_transform(tmp_path: Path) -> None:
    dataset = _dataset(tmp_path, 30, broken=(2,))
    decoder = CachingDecoder(StreamingDecoder(batch_size=8, workers=1), limit_bytes=30 * 3 * 64)
    first, again = _Counting(8), _Counting(8)
    pixels = _pixels(decoder, dataset, first)
    assert decoder.is_filled
    assert torch.equal(_pixels(decoder, dataset, again), pixels)
    assert again.calls < 3 < first.calls


def test_cache_notices_another_transform_and_its_limit(tmp_path: Path) -> None:
    dataset = _dataset(tmp_path, 30)
    decoder = CachingDecoder(StreamingDecoder(batch_size=8, workers=1), limit_bytes=30 * 3 * 64)
    assert _pixels(decoder, dataset, _Counting(8)).shape == (30, 3, 8, 8)
    assert _pixels(decoder, dataset, _Counting(9)).shape == (30, 3, 9, 9)
    assert not decoder.is_filled


def test_cache_of_an_abandoned_pass_is_not_used(tmp_path: Path) -> None:
    dataset = _dataset(tmp_path, 30)
    decoder = CachingDecoder(StreamingDecoder(batch_size=8, workers=1), limit_bytes=10**6)
    next(iter(decoder.batches(dataset.images, _Counting(8), _rows(dataset))))
    assert not decoder.is_filled
    assert len(_pixels(decoder, dataset, _Counting(8))) == 30
