"""STORM's tower: its parts, what is kept of a clip, and what must not change a result."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from open_clip.transformer import ResidualAttentionBlock
from torch import nn

from tests.support.video_models import KINDS, SIDE, clips, image_tower, spread
from tests.support.words import CONTEXT_LENGTH, word_tokenizer_folder
from vlsuite.engine.steps.dropout import seed_dropout
from vlsuite.errors import ConfigError, ModelError
from vlsuite.layers.mamba.config import MambaConfig
from vlsuite.layers.mamba.temporal import TemporalMamba
from vlsuite.models.dual_encoder.config import OpenClipConfig
from vlsuite.models.storm.config import StormConfig
from vlsuite.models.storm.frame_encoder import frame_encoder
from vlsuite.models.storm.head import Reader
from vlsuite.models.storm.model import Storm
from vlsuite.models.storm.reduction import Reduction
from vlsuite.models.storm.tower import StormTower
from vlsuite.models.storm.trainable import TrainableStorm

#: Four patches a side.
WIDTH, CELLS = 32, 4


def tiny_tower(kind: str = "class token", **changes: Any) -> StormTower:
    """With weights that all make a difference."""
    settings: dict[str, Any] = {
        "downsample": 2, "layers": 2, "from_image": True, "frames_at_once": 100,
        "tokens_at_once": 10_000, "grad_checkpointing": False, "head_layers": 1,
    } | changes  # fmt: skip
    torch.manual_seed(0)
    frames = frame_encoder(
        spread(image_tower(kind)), name=kind, size=(SIDE, SIDE), image_layer=-1,
        downsample=settings["downsample"], width=WIDTH, frames_at_once=settings["frames_at_once"],
        grad_checkpointing=settings["grad_checkpointing"],
    )  # fmt: skip
    mixer = MambaConfig(head_width=16, state=8)
    tower = StormTower(
        frames,
        [TemporalMamba(WIDTH, mixer) for _ in range(settings["layers"])],
        reduction=Reduction(),
        reader=Reader(
            WIDTH, layers=settings["head_layers"], heads=2, embed_dim=16, starts_at_zero=True
        ),
        from_image=settings["from_image"],
        tokens_at_once=settings["tokens_at_once"],
        grad_checkpointing=settings["grad_checkpointing"],
    )
    torch.manual_seed(1)
    spread(tower.mixers)
    spread(tower.reader)
    return tower.eval()


def tiny_model(**changes: Any) -> TrainableStorm:
    """Both towers, with random weights."""
    torch.manual_seed(0)
    words = {"tokenizer": str(word_tokenizer_folder()), "context_length": CONTEXT_LENGTH}
    image_text = OpenClipConfig(name="vlsuite-micro-32", **words)
    built = StormConfig(image_text=image_text, **({"width": WIDTH} | changes)).build()
    assert isinstance(built, TrainableStorm)
    return built


def evaluated(built: TrainableStorm) -> Storm:
    built.module.eval()
    model = built.evaluated("tiny", scalars={"logit_scale": 10.0}, device=torch.device("cpu"))
    assert isinstance(model, Storm)
    return model


@pytest.mark.parametrize("kind", KINDS)
class TestEveryKindOfViT:
    def test_a_batch_of_different_lengths_equals_each_clip_alone(self, kind):
        tower = tiny_tower(kind)
        lengths = [1, 4, 2, 1, 4]
        each = [clips(1, length, seed=i)[0] for i, length in enumerate(lengths)]
        for reduction in (None, Reduction(temporal_pool=3, spatial_pool=2, sample_every=2)):
            with torch.no_grad():
                together = tower(torch.cat(each), lengths, reduction)
                alone = torch.cat([tower(clip, [len(clip)], reduction) for clip in each])
            torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5)

    def test_starts_as_the_mean_of_the_image_tower(self, kind):
        tower = tiny_tower(kind)
        torch.nn.init.zeros_(tower.reader.project.weight)
        torch.nn.init.zeros_(tower.reader.project.bias)
        frames = clips(1, 5)[0]
        with torch.no_grad():
            images = F.normalize(tower.frames.image(frames), dim=-1)
            found = tower(frames, [2, 3])
        wanted = torch.stack([images[:2].mean(dim=0), images[2:].mean(dim=0)])
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)

    def test_order_matters(self, kind):
        tower = tiny_tower(kind)
        clip = clips(1, 4)[0]
        with torch.no_grad():
            forth, back = tower(clip, [4]), tower(clip.flip(0), [4])
        assert (forth - back).abs().max() > 1e-3


class TestPartByPart:
    def test_frames_in_chunks_and_tokens_in_pieces_equal_the_whole(self):
        whole, parts = tiny_tower(), tiny_tower(frames_at_once=5, tokens_at_once=14)
        frames = clips(1, 23)[0]
        with torch.no_grad():
            found, wanted = parts(frames, [20, 3]), whole(frames, [20, 3])
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)

    def test_gradients_computed_again_are_the_same(self):
        found = []
        for again in (False, True):
            tower = tiny_tower(frames_at_once=3, tokens_at_once=9, grad_checkpointing=again).train()
            tower(clips(1, 8)[0], [5, 3]).square().sum().backward()
            found.append({name: p.grad for name, p in tower.named_parameters()})
        for name, wanted in found[0].items():
            assert wanted is not None, name
            torch.testing.assert_close(found[1][name], wanted, rtol=1e-4, atol=1e-5, msg=name)

    def test_an_image_is_a_clip_of_one_frame(self):
        model = evaluated(tiny_model())
        images = torch.randint(0, 256, (3, 3, SIDE, SIDE), dtype=torch.uint8)
        found = model.embed_clips(images[:, None])
        torch.testing.assert_close(found, model.embed_images(images), rtol=1e-6, atol=1e-6)

    def test_long_clips_go_through_one_by_one(self):
        model = evaluated(tiny_model(image_frames_at_once=64))
        several = torch.randint(0, 256, (2, 200, 3, SIDE, SIDE), dtype=torch.uint8)
        alone = torch.cat([model.embed_clips(clip[None]) for clip in several])
        torch.testing.assert_close(model.embed_clips(several), alone)


class TestReductionOfModels:
    def test_tokens_that_the_reader_sees_are_those_told(self):
        tower = tiny_tower()
        seen: list[int] = []
        tower.reader.register_forward_pre_hook(
            lambda _, given: seen.append(given[0].tokens.shape[1])
        )
        for num_frames in (1, 7, 8):
            for reduction in (Reduction(), Reduction(temporal_pool=3, sample_every=2)):
                with torch.no_grad():
                    tower(clips(1, num_frames)[0], [num_frames], reduction)
                assert seen[-1] == tower.tokens_of(num_frames, reduction)

    def test_a_view_with_fewer_tokens_is_another_model_of_the_same_weights(self):
        built = tiny_model()
        spread(built.encoder.visual.reader)
        model = evaluated(built)
        view = model.reduced(sample_every=2).reduced(temporal_pool=2)
        assert view.reduction == Reduction(temporal_pool=2, sample_every=2)
        assert (model.tokens_of(16), view.tokens_of(16)) == (64, 16)
        prints = {model.fingerprint, view.fingerprint, model.reduced(spatial_pool=2).fingerprint}
        assert len(prints) == 3
        clip = torch.randint(0, 256, (1, 16, 3, SIDE, SIDE), dtype=torch.uint8)
        assert not torch.allclose(model.embed_clips(clip), view.embed_clips(clip))
        torch.testing.assert_close(model.embed_texts(["red"]), view.embed_texts(["red"]))
        back = view.reduced(sample_every=1, temporal_pool=1)
        assert back.fingerprint == model.fingerprint
        torch.testing.assert_close(model.embed_clips(clip), back.embed_clips(clip))

    def test_trained_with_a_reduction_is_that_reduction_by_default(self):
        model = evaluated(tiny_model(reduction=Reduction(temporal_pool=4)))
        assert model.reduction == Reduction(temporal_pool=4)
        assert model.tokens_of(64) == 16 * 4


class TestSettings:
    def test_what_is_new_learns_alone_where_the_image_tower_is_locked(self):
        words = {"tokenizer": str(word_tokenizer_folder()), "context_length": CONTEXT_LENGTH}
        locked = OpenClipConfig(name="vlsuite-micro-32", lock_image=True, lock_text=True, **words)
        built = StormConfig(image_text=locked, width=WIDTH).build()
        learning = {n for n, p in built.encoder.named_parameters() if p.requires_grad}
        assert learning == {n for n, _ in built.encoder.named_parameters() if built.is_new(n)}
        spread(built.encoder.visual.reader)
        built.encoder.visual(clips(1, 4)[0], [4]).sum().backward()
        grads = {n for n, p in built.encoder.named_parameters() if p.grad is not None}
        assert grads == learning

    def test_without_mamba(self):
        built = tiny_model(layers=0)
        assert not any("mixers" in name for name in built.encoder.state_dict())
        assert evaluated(built).tokens_of(8) == 32

    def test_the_reader_alone(self):
        """What the image tower needs only for its own features then learns nothing."""
        built = tiny_model(from_image=False)
        built.encoder.visual(clips(1, 4)[0], [4]).sum().backward()
        for name, parameter in built.encoder.visual.named_parameters():
            assert parameter.requires_grad == (parameter.grad is not None), name

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"downsample": 3}, r"downsample=3 does not divide the 4 x 4 patches"),
            ({"layers": -1}, r"model\.layers=-1"),
            ({"head_heads": 5}, r"head_heads=5 does not divide"),
            ({"head_heads": 0}, r"head_heads=0 must be at least 1"),
            ({"image_layer": 2}, r"image_layer=2 counts from the end"),
            ({"frames": ("4x",)}, r"model\.frames="),
        ],
    )
    def test_what_cannot_be_is_one_line(self, changes, message):
        with pytest.raises(ConfigError, match=message) as error:
            tiny_model(**changes)
        assert "\n" not in str(error.value)

    @pytest.mark.parametrize("is_checkpointed", [False, True])
    def test_dropout_masks_depend_on_the_seed_alone(self, is_checkpointed):
        """With a graph or without one, as a step in several micro-batches embeds clips twice."""
        tower = tiny_tower(frames_at_once=2, grad_checkpointing=is_checkpointed)
        for block in list(tower.modules()):
            if isinstance(block, ResidualAttentionBlock):
                block.mlp.add_module("dropout", nn.Dropout(0.5))
        tower.train()
        frames = torch.cat([clips(1, 3)[0], clips(1, 2, seed=1)[0]])

        def embedded(number: int) -> torch.Tensor:
            seed_dropout(5, number)
            return tower(frames, [3, 2])

        with torch.no_grad():
            first, other = embedded(1), embedded(2)
        again = embedded(1)
        assert torch.equal(first, again)
        assert not torch.equal(first, other)
        gradients = []
        for found in (again, embedded(1)):
            tower.zero_grad()
            (found * torch.arange(16)).sum().backward()
            gradients.append(tower.frames.project.weight.grad.clone())
        assert torch.equal(*gradients)

    def test_a_tower_that_learns_has_no_batch_norm(self):
        words = {"tokenizer": str(word_tokenizer_folder()), "context_length": CONTEXT_LENGTH}
        for is_locked in (True, False):
            image_text = OpenClipConfig(name="vlsuite-micro-32", lock_image=is_locked, **words)
            config = StormConfig(image_text=image_text, width=WIDTH)
            base = image_text.build()
            base.encoder.visual.add_module("norm", nn.BatchNorm1d(2))
            if is_locked:
                config.encoder_of(base)
            else:
                with pytest.raises(ConfigError, match=r"batch norm.*lock_image=true"):
                    config.encoder_of(base)

    def test_no_reduction_below_one(self):
        with pytest.raises(ConfigError, match=r"model\.reduction\.temporal_pool=0"):
            Reduction(temporal_pool=0)

    def test_a_tower_without_patches(self):
        with pytest.raises(ModelError, match="gives no tokens of patches"):
            tiny_model(image_layer=-9)
