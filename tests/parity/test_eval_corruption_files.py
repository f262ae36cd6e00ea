"""ImageNet-C on disk against plain loops over the folders."""

from pathlib import Path

import numpy as np
import pytest
from torchvision.transforms.functional import to_pil_image

from eval.data.dataset import EvalDataset
from eval.data.folders import open_dataset
from eval.data.imagenet_layouts import CLASS_NAMES
from eval.data.raw_image import RawImage
from eval.data.views import CropFrame
from eval.embedding.decode import StreamingDecoder
from eval.embedding.embedder import StreamingEmbedder
from eval.embedding.store import StoredEmbedder
from eval.metrics.alexnet_error import ALEXNET_CLEAN_ERROR, ALEXNET_ERROR
from eval.robustness.corruption_files import CorruptionFiles
from eval.task_choices import Companions, TaskChoices
from tests.support.embedding_model import SmallClip
from tests.support.evaluation_data import noise_png
from tests.support.picture_folders import write_pictures

EMBEDDER = StreamingEmbedder(decoder=StreamingDecoder(batch_size=32, workers=2))
TEMPLATES = ("a photo of a {c}.",)
WORDNET_IDS = ("n01440764", "n01443537", "n01484850")
NAMES = CLASS_NAMES[:3]


def _imagenet_c(root: Path, corruptions=tuple(ALEXNET_ERROR)) -> Path:
    files = [
        f"{name}/{severity}/{WORDNET_IDS[number % 3]}/val_{number}.JPEG"
        for name in corruptions
        for severity in range(1, 6)
        for number in range(4)
    ]
    return write_pictures(root, files)


def _hits_of(model: SmallClip, root: Path) -> dict[tuple[str, int, str], bool]:
    prototypes = EMBEDDER.class_embeds(model, NAMES, TEMPLATES).double().numpy()
    hits = {}
    for path in sorted(root.glob("*/*/*/*.JPEG")):
        name, severity, wordnet_id, file = path.relative_to(root).parts
        picture = RawImage({"jpeg": path.read_bytes()}, 0)
        embed = model.embed_images(model.image_transform(picture.rgb)[None])[0].double().numpy()
        right = int(np.argmax(prototypes @ embed)) == WORDNET_IDS.index(wordnet_id)
        hits[name, int(severity), file] = right
    return hits


def _base(root: Path) -> EvalDataset:
    files = [f"{WORDNET_IDS[number % 3]}/val_{number}.png" for number in range(9)]
    return open_dataset(
        str(write_pictures(root, {name: noise_png(900 + i) for i, name in enumerate(files)}))
    )


def test_errors_equal_a_loop_over_the_folders(tmp_path: Path) -> None:
    root = _imagenet_c(tmp_path / "imagenet-c")
    base = _base(tmp_path / "imagenet")
    model = SmallClip(seed=6)
    request = TaskChoices(templates=TEMPLATES, companions=Companions(bases=(base,)))
    task = CorruptionFiles.build(open_dataset(str(root)), request)

    result = task.run(model, EMBEDDER)

    hits = _hits_of(model, root)
    errors = {
        name: [
            1 - np.mean([hits[name, severity, f"val_{number}.JPEG"] for number in range(4)])
            for severity in range(1, 6)
        ]
        for name in ALEXNET_ERROR
    }
    mce = np.mean([sum(own) / (5 * ALEXNET_ERROR[name] / 100) for name, own in errors.items()])
    assert result.scores["mean_corruption_error"].value == pytest.approx(mce)
    fog = sum(errors["fog"]) / (5 * 0.819324)
    assert result.scores["corruption_error_fog"].value == pytest.approx(fog)
    assert result.scores["top1_fog"].value == pytest.approx(1 - np.mean(errors["fog"]))
    assert result.details["accuracy"]["snow"]["3"] == pytest.approx(1 - errors["snow"][2])  # type: ignore[index]
    assert result.details["source"] == "files"
    assert "never to be mixed" in result.origin.interval

    prototypes = EMBEDDER.class_embeds(model, NAMES, TEMPLATES).double().numpy()
    clean = []
    for row in range(len(base)):
        frame = CropFrame()(RawImage(base.images.members(row), 0), model.image_transform)
        shown = model.image_transform(to_pil_image(frame))[None]
        embed = model.embed_images(shown)[0].double().numpy()
        assert base.labels is not None
        clean.append(int(np.argmax(prototypes @ embed)) != int(base.labels[row]))
    relative = np.mean(
        [
            sum(e - np.mean(clean) for e in own)
            / (5 * (ALEXNET_ERROR[name] - ALEXNET_CLEAN_ERROR) / 100)
            for name, own in errors.items()
        ]
    )
    assert result.scores["relative_mean_corruption_error"].value == pytest.approx(relative)
    stored = StoredEmbedder(EMBEDDER, tmp_path / "store", batch_size=32)
    assert task.run(model, stored).scores == result.scores


def test_missing_cells_give_no_mce(tmp_path: Path) -> None:
    root = _imagenet_c(tmp_path / "imagenet-c", ("fog", "speckle_noise"))
    task = CorruptionFiles.build(open_dataset(str(root)), TaskChoices(templates=TEMPLATES))
    result = task.run(SmallClip(), EMBEDDER)
    assert set(result.scores) == {"top1_fog", "top1_speckle_noise"}
    assert len(result.details["cells_missing_for_mce"]) == 70  # type: ignore[arg-type]


def test_pictures_broken_in_one_cell_leave_all_cells_of_mce(tmp_path: Path) -> None:
    root = _imagenet_c(tmp_path / "imagenet-c")
    (root / "fog" / "2" / WORDNET_IDS[1] / "val_1.JPEG").write_bytes(b"broken")
    task = CorruptionFiles.build(open_dataset(str(root)), TaskChoices(templates=TEMPLATES))
    result = task.run(SmallClip(), EMBEDDER)
    assert result.num_skipped == 1
    assert result.scores["mean_corruption_error"].n == 3


def test_other_data_is_refused(tmp_path: Path) -> None:
    dataset = open_dataset(str(write_pictures(tmp_path / "x", ["cat/a.png"])))
    lack = CorruptionFiles.missing(dataset, TaskChoices())
    assert lack is not None
    assert "is no ImageNet-C folder" in lack
