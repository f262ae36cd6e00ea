from pathlib import Path

import numpy as np
import pytest
import torch

from eval.data.folders import open_dataset
from eval.embedding.decode import StreamingDecoder
from eval.embedding.embedder import RememberingEmbedder, StreamingEmbedder
from eval.errors import EvaluationError
from tests.support.embedding_model import SmallClip
from tests.support.evaluation_data import captioned, noise_png, write_tar

EMBEDDER = StreamingEmbedder(decoder=StreamingDecoder(batch_size=4, workers=2))


def test_broken_images_are_excluded_and_counted(tmp_path: Path) -> None:
    samples = captioned([[str(i)] for i in range(10)])
    samples[4]["png"] = b"no picture"
    dataset = open_dataset(str(write_tar(tmp_path / "a.tar", samples)))
    images = EMBEDDER.images(SmallClip(), dataset)
    assert images.num_skipped == 1
    assert images.rows.tolist() == [0, 1, 2, 3, 5, 6, 7, 8, 9]
    assert torch.allclose(images.embeds.norm(dim=-1), torch.ones(9))


def test_equal_pictures_are_embedded_once_and_equal_to_the_last_bit(tmp_path: Path) -> None:
    samples = [{"png": noise_png(i % 3), "txt": b"x"} for i in range(9)]
    dataset = open_dataset(str(write_tar(tmp_path / "a.tar", samples)))
    model = SmallClip()
    images = EMBEDDER.images(model, dataset)
    assert sum(model.image_batch_sizes) == 3
    assert torch.equal(images.embeds[0], images.embeds[6])
    assert not torch.equal(images.embeds[0], images.embeds[1])


def test_no_image_can_be_decoded(tmp_path: Path) -> None:
    dataset = open_dataset(str(write_tar(tmp_path / "a.tar", [{"png": b"-", "txt": b"x"}])))
    with pytest.raises(EvaluationError, match="none of the 1 images"):
        EMBEDDER.images(SmallClip(), dataset)


def test_texts_keep_their_order_and_equal_ones_are_embedded_once() -> None:
    model = SmallClip()
    embeds = EMBEDDER.texts(model, ["cat", "dog", "cat"])
    assert model.num_texts == 2
    assert torch.equal(embeds[0], embeds[2])
    assert torch.allclose(embeds[1], model.embed_texts(["dog"])[0], atol=1e-6)


def test_nan_embeddings_are_refused(tmp_path: Path) -> None:
    class Broken(SmallClip):
        def embed_images(self, images):
            return torch.full((len(images), 16), float("nan"))

    dataset = open_dataset(str(write_tar(tmp_path / "a.tar", captioned([["a"], ["b"]]))))
    with pytest.raises(EvaluationError, match="NaN or infinity for 2 of 2 images"):
        EMBEDDER.images(Broken(), dataset)


def test_remembering_embeds_each_data_set_once(tmp_path: Path) -> None:
    one = open_dataset(str(write_tar(tmp_path / "a.tar", captioned([["a"], ["b"]]))))
    other = open_dataset(str(write_tar(tmp_path / "b.tar", captioned([["a"], ["c"]]))))
    model = SmallClip()
    embedder = RememberingEmbedder(EMBEDDER)
    first = embedder.images(model, one)
    assert embedder.images(model, one) is first
    assert np.array_equal(embedder.images(model, other).rows, [0, 1])
    assert sum(model.image_batch_sizes) == 4
