"""Regions that a teacher embedded: cut out, kept, read back, refused."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from data_pipelines.settings import apply_overrides
from tests.support.detection_shards import write_squares
from tests.support.detectors import SIDE, squares, tiny_config, tiny_detector
from tests.support.exported_models import exported_model
from vlsuite.batches.data_config import DataConfig
from vlsuite.errors import BadSampleError, DataError, ModelError
from vlsuite.models.dual_encoder.config import OpenClipConfig
from vlsuite.models.vild import crops
from vlsuite.models.vild.crops import CropSettings, crops_of
from vlsuite.models.vild.embedding_regions import embed_training_regions
from vlsuite.models.vild.model import Vild
from vlsuite.models.vild.region_cache import RegionCache, quantised, restored

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> Path:
    return write_squares(tmp_path_factory.mktemp("squares"), 12)


def localizer() -> Vild:
    return tiny_detector("supervised").evaluated("boxes", scalars={}, device=CPU)


def embed(out: Path, shards: Path, *, keep: int = 6, **changes):
    config = tiny_config("vild", vocabulary=str(shards), **changes)
    data = DataConfig(train=(str(shards),))
    return embed_training_regions(out, config, data, localizer(), keep=keep)


class TestCrops:
    def test_squash_is_the_box_whatever_its_shape(self):
        picture, boxes, _ = squares(0)
        made = crops_of(
            picture, torch.from_numpy(boxes), CropSettings(), size=(8, 8), interpolation="bilinear"
        )
        assert made.shape == (2, 2, 3, 8, 8)
        left, top, right, bottom = boxes[0].astype(int)
        inside = picture[top:bottom, left:right].reshape(-1, 3).mean(0)
        middle = made[0, 0].float().flatten(1).mean(1).numpy()
        assert np.abs(inside - middle).max() < 2

    def test_the_wider_crop_is_clipped_to_the_picture(self):
        picture = np.zeros((20, 30, 3), np.uint8)
        picture[:, 15:] = 255
        boxes = torch.tensor([[0.0, 0.0, 30.0, 20.0], [29.5, 19.5, 30.0, 20.0]])
        made = crops_of(picture, boxes, CropSettings(), size=(4, 4), interpolation="bilinear")
        assert torch.equal(made[0, 0], made[1, 0])
        assert (made[:, 1] == 255).all()

    def test_pad_keeps_the_shape(self):
        picture = np.full((40, 40, 3), 255, np.uint8)
        box = torch.tensor([[0.0, 0.0, 40.0, 10.0]])
        settings = CropSettings(form="pad", scales=(1.0,))
        made = crops_of(picture, box, settings, size=(16, 16), interpolation="bilinear")[0, 0]
        assert (made[:, 6:10] == 255).all()
        assert (made[:, :6] == 114).all()
        assert (made[:, 10:] == 114).all()

    def test_teacher_vectors_are_sums_of_both_scales(self):
        teacher = tiny_config("vild").build_teacher()
        assert teacher is not None
        picture, boxes, _ = squares(1)
        found = teacher.embed_regions(picture, torch.from_numpy(boxes))
        parts = []
        for scale in (1.0, 1.5):
            teacher.crops = CropSettings(scales=(scale,))
            parts.append(teacher.embed_regions(picture, torch.from_numpy(boxes)))
        torch.testing.assert_close(found, F.normalize(parts[0] + parts[1], dim=1))


class TestCache:
    def test_int8_keeps_the_angle(self):
        embeds = F.normalize(
            torch.randn(500, 512, generator=torch.Generator().manual_seed(0)), dim=1
        )
        kept = quantised(embeds)
        assert kept.values.dtype == torch.int8
        cosines = (restored(kept) * embeds).sum(dim=1)
        assert cosines.min() > 0.9998

    def test_a_picture_of_300_regions_takes_160_kb(self, tmp_path):
        from vlsuite.models.vild.write_region_cache import _ShardFile

        file = _ShardFile("00000.safetensors")
        for number in range(4):
            file.add(f"{number:032x}", torch.rand(300, 4), torch.randn(300, 512))
        file.write(tmp_path, "int8")
        assert (tmp_path / "00000.safetensors").stat().st_size / 4 <= 160_000

    def test_round_trip(self, shards, tmp_path):
        done = embed(tmp_path / "regions", shards)
        assert done.num_pictures == 12
        cache = RegionCache.open(tmp_path / "regions")
        assert len(cache) == 12
        teacher = tiny_config("vild").build_teacher()
        assert teacher is not None
        from data_pipelines.schema import make_uid
        from tests.support.detectors import square_members

        picture, _, _ = squares(3)
        uid = make_uid("squares", "3", square_members(3)[1])
        found = cache.regions(uid)
        wanted = localizer().propose(picture, keep=6, nms=0.9)
        assert torch.equal(found.boxes, wanted)
        embeds = teacher.embed_regions(picture, wanted)
        assert ((found.embeds * embeds).sum(dim=1) > 0.999).all()
        with pytest.raises(BadSampleError, match="no regions of picture nobody"):
            cache.regions("nobody")

    def test_it_goes_on_after_the_last_whole_shard(self, shards, tmp_path):
        out = tmp_path / "regions"
        embed(out, shards)
        whole = {path.name: path.read_bytes() for path in out.iterdir()}
        last = max(out.glob("*.safetensors"))
        last.unlink()
        about = json.loads((out / "regions.json").read_text())
        (out / "regions.json").write_text(json.dumps(about | {"finished": False}))
        with pytest.raises(ModelError, match="not finished"):
            RegionCache.open(out)
        done = embed(out, shards)
        assert (done.num_shards_kept, done.num_pictures) == (1, 4)
        assert {path.name: path.read_bytes() for path in out.iterdir()} == whole

    @pytest.mark.parametrize("what", ["teacher", "crops", "crop code", "resizing code"])
    def test_another_source_is_refused_in_one_line(self, shards, tmp_path, what, monkeypatch):
        out = tmp_path / "regions"
        embed(out, shards)
        changes: dict = {"regions": str(out), "vocabulary": str(shards)}
        if what == "teacher":
            other = exported_model(tmp_path / "other", seed=1)
            changes["teacher"] = OpenClipConfig(name=f"local-dir:{other}")
        elif what == "crops":
            changes["crops"] = CropSettings(form="pad")
        else:
            copy = tmp_path / "crops.py"
            changed = crops if what == "crop code" else crops.resizing
            copy.write_bytes(Path(changed.__file__).read_bytes() + b"\n")
            monkeypatch.setattr(changed, "__file__", str(copy))
        with pytest.raises(ModelError, match=r"regions.*was made with") as error:
            tiny_config("vild", **changes).build()
        assert "\n" not in str(error.value)
        del changes["regions"], changes["vocabulary"]
        with pytest.raises(DataError, match="another teacher, crop or proposals"):
            embed(out, shards, **changes)

    def test_other_proposals_are_refused(self, shards, tmp_path):
        out = tmp_path / "regions"
        embed(out, shards)
        with pytest.raises(DataError, match="another teacher, crop or proposals"):
            embed(out, shards, keep=5)
        built = tiny_config("vild", regions=str(out), vocabulary=str(shards)).build()
        began = json.loads(json.dumps(dict(built.resolved())))
        began["regions"]["proposals"] = "0" * 64
        with pytest.raises(ModelError, match="made with proposals"):
            built.take_resolved(began)


class TestReader:
    def read(self, shards: Path, regions: Path | None, *, mode: str = "vild"):
        from vlsuite.batches.pair_shards import PairShards
        from vlsuite.batches.stream import Place, TrainStream

        config = tiny_config(
            mode, vocabulary=str(shards), regions=str(regions) if regions else None
        )
        data = DataConfig(train=(str(shards),), num_workers=0)
        place = Place(rank=0, world_size=1, global_batch_size=4, micro_batch_size=4)
        stream = TrainStream(
            data,
            PairShards.open(data),
            place=place,
            reader=config.build().reader(data),
            seed=0,
            pin_memory=False,
        )
        return next(stream.from_position(0))[0]

    def test_regions_lie_in_the_view_and_novel_boxes_are_left_out(self, shards, tmp_path):
        embed(tmp_path / "regions", shards)
        batch = self.read(shards, tmp_path / "regions")
        assert batch.images.shape == (4, 3, SIDE, SIDE)
        assert sum(batch.num_regions) == len(batch.regions) == len(batch.region_embeds)
        assert sum(batch.num_regions) > 0
        assert batch.labels.max() < 3
        row = 0
        for size, count in zip(batch.sizes, batch.num_boxes, strict=True):
            boxes = batch.boxes[row : row + count]
            assert (boxes >= 0).all()
            assert (boxes <= torch.tensor([size[1], size[0]] * 2)).all()
            row += count

    def test_boxes_are_where_the_squares_are(self, shards):
        batch = self.read(shards, None, mode="text")
        row = 0
        for image, count in zip(batch.images, batch.num_boxes, strict=True):
            for box, label in zip(batch.boxes[row : row + count], batch.labels[row:], strict=False):
                x, y = int(box[[0, 2]].mean()), int(box[[1, 3]].mean())
                assert int(image[:, y, x].argmax()) == int(label)
            row += count

    def test_a_mode_that_needs_regions_says_so(self, shards):
        from vlsuite.errors import ConfigError

        with pytest.raises(ConfigError, match=r"model\.mode=vild.*region-embeddings"):
            self.read(shards, None)


def test_sizes_are_drawn_by_the_step():
    from vlsuite.models.vild.reader import SizeRule

    rule = SizeRule((64, 96, 128), 16)
    sizes = [rule.at(position) for position in range(16 * 20)]
    assert {len(set(sizes[first : first + 16])) for first in range(0, len(sizes), 16)} == {1}
    assert set(sizes) == {64, 96, 128}


def test_settings_are_plain():
    from vlsuite.recipes import registry

    small = registry.get("vild_small")()
    changed = apply_overrides(small, ["model.network.classifier.unlabelled=zero"])
    assert changed.model.network.classifier.unlabelled == "zero"
    assert dataclasses.is_dataclass(registry.get("vild")().model)
