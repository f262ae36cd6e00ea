"""The depth corruption task: cells equal corrupt_3d by hand; pictures without depth are counted."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms.functional import to_pil_image

from eval.corruptions.depth import corrupt_3d
from eval.data.folders import open_dataset
from eval.embedding.decode import StreamingDecoder
from eval.embedding.embedder import StreamingEmbedder
from eval.errors import EvaluationError
from eval.robustness.corruptions import CorruptionOptions
from eval.robustness.corruptions_3d import DepthCorruptions
from eval.running.selection import benchmarks_for
from eval.task_choices import TaskChoices
from tests.support.embedding_model import SmallClip
from tests.support.evaluation_data import noise_png, write_evaluation_folder

EMBEDDER = StreamingEmbedder(decoder=StreamingDecoder(batch_size=4, workers=2))
NAMES = ("cat", "dog", "boat")
REQUEST = TaskChoices(options=(CorruptionOptions(severities=(3,)),), templates=("a {c}",))


def _depth(side: int) -> np.ndarray:
    rows, columns = np.mgrid[0:side, 0:side]
    return (1 + rows / side + 0.5 * np.sin(columns / 9)).astype(np.float32)


def _npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def _folder(root: Path, *, with_depth: range) -> Path:
    samples = []
    for i in range(4):
        sample = {"png": noise_png(i, side=256), "cls": str(i % 3).encode()}
        if i in with_depth:
            sample["depth.npy"] = _npy(_depth(256))
        samples.append(sample)
    return write_evaluation_folder(root / "d", samples, class_names=NAMES)


def test_cells_equal_corruptions_by_hand(tmp_path: Path) -> None:
    dataset = open_dataset(str(_folder(tmp_path, with_depth=range(3))))
    task = DepthCorruptions.build(dataset, REQUEST)
    model = SmallClip()
    result = task.run(model, EMBEDDER)
    prototypes = EMBEDDER.class_embeds(model, NAMES, ("a {c}",)).double()
    for kind in ("fog_3d", "color_quant", "near_focus"):
        hits = []
        for i in range(4 if kind == "color_quant" else 3):
            picture = Image.open(io.BytesIO(dataset.images.read(i))).crop((16, 16, 240, 240))
            pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)
            depth = None
            if kind != "color_quant":
                depth = torch.from_numpy(_depth(256)[16:240, 16:240].copy())
            corrupted = corrupt_3d(
                pixels, depth, kind, 3, image_id=int(dataset.images.image_ids[i]), seed=0
            )
            shown = model.image_transform(to_pil_image(corrupted))
            embed = model.embed_images(shown[None])[0].double()
            hits.append(int((prototypes @ embed).argmax()) == i % 3)
        assert result.scores[f"top1_{kind}"].value == pytest.approx(np.mean(hits))
        assert result.scores[f"top1_{kind}"].n == len(hits)


def test_without_depth_the_task_is_refused_in_one_line(tmp_path: Path) -> None:
    folder = _folder(tmp_path, with_depth=range(0))
    with pytest.raises(EvaluationError, match="has no depth"):
        benchmarks_for([str(folder)], tasks=("corruptions_3d",), choices=REQUEST)


def test_a_depth_map_of_another_size_leaves_the_picture_out(tmp_path: Path) -> None:
    samples = [
        {"png": noise_png(i, side=256), "cls": b"0", "depth.npy": _npy(_depth(256 if i else 99))}
        for i in range(3)
    ]
    folder = write_evaluation_folder(tmp_path / "d", samples, class_names=NAMES)
    task = DepthCorruptions.build(open_dataset(str(folder)), REQUEST)
    result = task.run(SmallClip(), EMBEDDER)
    assert result.scores["top1_fog_3d"].n == 2
    assert result.scores["top1_clean"].n == 3
