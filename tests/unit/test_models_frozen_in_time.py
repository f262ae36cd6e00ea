"""The video tower: what it is made of, what time changes, and what it must not change."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from tests.support.tiny_models import register_architecture
from tests.support.video_models import (
    KINDS,
    SIDE,
    clips,
    image_tower,
    spread,
    tiny_tower,
    tiny_video_model,
)
from tests.support.warm_processes import exit_codes, start
from vlsuite.batches.curriculum import FrameCurriculum
from vlsuite.errors import ConfigError, ModelError
from vlsuite.layers.clip_layout import ClipLayout
from vlsuite.models.frozen_in_time.from_image_tower import video_tower
from vlsuite.models.frozen_in_time.tower import MeanPooledTower, VideoTower


def fresh_tower(kind: str, **changes) -> VideoTower:
    settings = {"max_frames": 8, "time_init": "identity", "log_frames_bias": True} | changes
    image = spread(image_tower(kind))
    return video_tower(image, name=kind, size=(SIDE, SIDE), **settings).eval()


@pytest.mark.parametrize("kind", KINDS)
class TestEveryKindOfViT:
    def test_one_frame_is_the_image_tower(self, kind):
        """Another copy of the image tower, untouched, gives the same features."""
        image = spread(image_tower(kind))
        state = {name: value.clone() for name, value in image.state_dict().items()}
        twin = image_tower(kind)
        twin.load_state_dict(state)
        tower = video_tower(
            image, name=kind, size=(SIDE, SIDE), max_frames=4, time_init="identity",
            log_frames_bias=False,
        )  # fmt: skip
        frames = clips(3, 1)[:, 0]
        with torch.no_grad():
            found, wanted = tower.eval()(frames), twin.eval()(frames)
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)

    def test_a_batch_of_different_lengths_equals_each_clip_alone(self, kind):
        tower = tiny_tower(kind)
        lengths = [1, 4, 2, 1, 4]
        each = [clips(1, length, seed=i)[0] for i, length in enumerate(lengths)]
        with torch.no_grad():
            together = tower(torch.cat(each), lengths)
            alone = torch.cat([tower(clip, [len(clip)]) for clip in each])
        torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5)

    def test_order_matters_once_time_is_trained(self, kind):
        tower = tiny_tower(kind)
        clip = clips(1, 4)[0]
        with torch.no_grad():
            forth, back = tower(clip, [4]), tower(clip.flip(0), [4])
        assert (forth - back).abs().max() > 1e-3


class TestStart:
    def test_attention_over_time_adds_nothing_at_step_0(self):
        tower = fresh_tower("class token")
        clip = clips(2, 4).flatten(0, 1)
        with torch.no_grad():
            whole = tower(clip, [4, 4])
            for block in tower.blocks:
                block.time = _Silent()
            without = tower(clip, [4, 4])
        torch.testing.assert_close(whole, without, rtol=0, atol=1e-6)

    def test_queries_and_keys_have_gradients_by_step_2_in_every_block(self):
        assert all(size > 0 for size in _query_key_gradients("identity"))

    def test_the_published_start_never_learns_to_attend(self):
        """Its queries and keys stay zero: the fault that the default mends."""
        assert all(size == 0 for size in _query_key_gradients("published"))


class _Silent(torch.nn.Module):
    def forward(self, tokens, layout):
        return torch.zeros_like(tokens)


def _query_key_gradients(time_init: str) -> list[float]:
    """Largest gradient of queries and of keys in the second step, block by block."""
    tower = fresh_tower("class token", time_init=time_init).train()
    optimizer = torch.optim.AdamW(tower.parameters(), lr=1e-3)
    target = torch.randn(2, 16, generator=torch.Generator().manual_seed(2))
    for _ in range(2):
        optimizer.zero_grad()
        F.mse_loss(tower(clips(2, 4).flatten(0, 1), [4, 4]), target).backward()
        found = []
        for block in tower.blocks:
            queries, keys, _ = block.time.qkv.weight.grad.chunk(3)
            found += [float(queries.abs().max()), float(keys.abs().max())]
        optimizer.step()
    return found


class TestLength:
    @pytest.mark.parametrize("kind", KINDS)
    def test_a_longer_tower_leaves_short_clips_bit_identical(self, kind):
        short, long = tiny_tower(kind, max_frames=4), tiny_tower(kind, max_frames=16)
        state = short.state_dict()
        times = torch.zeros(16, 32)
        times[:4] = state["times"]
        long.load_state_dict(state | {"times": times})
        clip = clips(2, 4).flatten(0, 1)
        with torch.no_grad():
            assert torch.equal(short(clip, [4, 4]), long(clip, [4, 4]))

    @pytest.mark.parametrize(("bias", "limit"), [(True, 1e-5), (False, None)])
    def test_a_clip_that_stands_still(self, bias, limit):
        """With log F one embedding for any length; without it, as published, it moves."""
        tower = fresh_tower("class token", log_frames_bias=bias)
        frame = clips(1, 1)[0]
        with torch.no_grad():
            one, eight = tower(frame, [1]), tower(frame.repeat(8, 1, 1, 1), [8])
        difference = float((one - eight).abs().max())
        assert difference <= limit if limit else difference > 1e-3

    def test_too_long_is_one_line(self):
        with pytest.raises(ConfigError, match=r"9 frames.*takes 8.*model\.max_frames"):
            tiny_tower()(clips(1, 9)[0], [9])

    def test_the_longest_of_the_curriculum_counts(self):
        assert tiny_video_model(frames=("1x100", "6")).encoder.visual.max_frames == 6
        with pytest.raises(ConfigError, match="max_frames=4 is less than the 6"):
            tiny_video_model(frames=("1x100", "6"), max_frames=4)


class TestRefusals:
    def test_no_vision_transformer(self, tmp_path):
        vision = {"image_size": SIDE, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None}
        name = register_architecture(tmp_path, "tiny-resnet-for-clips", vision_cfg=vision)
        with pytest.raises(ModelError, match=r"ModifiedResNet.*over_time=mean"):
            _build(name)

    def test_pooling_by_attention_of_open_clip(self):
        from open_clip.transformer import LayerNorm, VisionTransformer

        image = VisionTransformer(
            image_size=SIDE, patch_size=8, width=32, layers=1, heads=2, mlp_ratio=2.0,
            output_dim=16, norm_layer=LayerNorm, attentional_pool=True, attn_pooler_heads=2,
        )  # fmt: skip
        with pytest.raises(ModelError, match="pools by attention"):
            video_tower(
                image, name="odd", size=(SIDE, SIDE), max_frames=2, time_init="identity",
                log_frames_bias=True,
            )  # fmt: skip


def _build(name: str) -> None:
    from vlsuite.models.dual_encoder.config import OpenClipConfig
    from vlsuite.models.frozen_in_time.config import FrozenInTimeConfig

    FrozenInTimeConfig(image_text=OpenClipConfig(name=name)).build()


class TestMeanPooling:
    def test_is_the_mean_of_unit_norm_features(self):
        image = spread(image_tower("class token")).eval()
        clip = clips(2, 3).flatten(0, 1)
        with torch.no_grad():
            features = F.normalize(image(clip), dim=-1)
            found = MeanPooledTower(image)(clip, [1, 5])
        torch.testing.assert_close(found[0], features[0])
        torch.testing.assert_close(found[1], features[1:].mean(dim=0))

    def test_any_tower_will_do(self):
        model = tiny_video_model(over_time="mean")
        assert isinstance(model.encoder.visual, MeanPooledTower)
        assert not any(model.is_new(name) for name in model.encoder.state_dict())


def wrong_clips(told: Path) -> None:
    built = tiny_video_model()
    model = built.evaluated("tiny", scalars={"logit_scale": 10.0}, device=torch.device("cpu"))
    lines = []
    for shape, kind in (
        ((1, 2, 3), torch.float32),
        ((2, 3), torch.uint8),
        ((1, 2, 1), torch.uint8),
    ):
        given = torch.ones(*shape, SIDE, SIDE, dtype=kind)
        try:
            model.embed_clips(given)
        except ConfigError as error:
            lines.append(str(error))
        assert (given == 1).all()
    told.write_text("\n".join(lines))


def test_clips_of_another_type_or_shape_are_one_line(tmp_path):
    """In a process of its own, where annotations are not checked."""
    told, log = tmp_path / "told", tmp_path / "log"
    assert exit_codes([start(wrong_clips, told, log=log)]) == [0], log.read_text()[-2000:]
    other_type, *other_shapes = told.read_text().splitlines()
    assert "torch.float32; give uint8 from 0 to 255" in other_type
    assert len(other_shapes) == 2
    assert all("[clips, frames, 3, 32, 32]" in line for line in other_shapes)


class TestCurriculum:
    def test_stages_by_samples_drawn(self):
        stages = FrameCurriculum.parsed(("1x100", "4x50", "8"))
        assert [stages.at(p) for p in (0, 99, 100, 149, 150, 10**9)] == [1, 1, 4, 4, 8, 8]
        assert stages.last == 8

    @pytest.mark.parametrize("text", ["", "0", "4x", "1,4", "4x10", "-1", "1x5,4x5", "x", "4 x 5"])
    def test_other_forms_are_one_line(self, text):
        with pytest.raises(ConfigError, match=r"model\.frames="):
            FrameCurriculum.parsed(tuple(text.split(",")))


class TestLayout:
    def test_places(self):
        layout = ClipLayout([2, 1, 2], torch.device("cpu"))
        assert layout.clip_of_frame.tolist() == [0, 0, 1, 2, 2]
        assert layout.place_in_clip.tolist() == [0, 1, 0, 0, 1]
        rows = torch.arange(5.0)[:, None]
        assert layout.mean_over_frames(rows).flatten().tolist() == [0.5, 2.0, 3.5]

    def test_a_clip_without_frames(self):
        with pytest.raises(ValueError, match="needs one at least"):
            ClipLayout([1, 0], torch.device("cpu"))
