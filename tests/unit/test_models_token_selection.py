"""RDE's second embedding, step by step against loops and PyTorch's own attention."""

import dataclasses
import math

import pytest
import torch
import torch.nn.functional as F
from open_clip.transformer import TextTransformer

from tests.support.tiny_models import CAPTIONS, register_architecture, tiny_tokenizer
from vlsuite.errors import ConfigError, ModelError
from vlsuite.models.dual_encoder.built import BuiltModel
from vlsuite.models.dual_encoder.config import OpenClipConfig
from vlsuite.models.dual_encoder.token_selection import SelectionHead, _run, global_attention
from vlsuite.models.dual_encoder.token_selection_config import TokenSelectionConfig

WIDTH = 20


def built_with(folder, *, share: float = 0.5, norm="layer", seed: int = 0, **changes) -> BuiltModel:
    """A tiny model with two embeddings, all weights random."""
    name = register_architecture(folder, "tiny-selecting", **changes)
    torch.manual_seed(seed)
    built = config_of(name, folder, share=share, norm=norm).build()
    with torch.no_grad():
        for parameter in built.encoder.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    built.encoder.eval()
    return built


def config_of(name: str, folder, **settings) -> OpenClipConfig:
    return OpenClipConfig(
        name=name,
        tokenizer=tiny_tokenizer(folder / "tokenizer"),
        token_selection=TokenSelectionConfig(width=WIDTH, **settings),
    )


def token_ids(built: BuiltModel, captions=CAPTIONS) -> torch.Tensor:
    return built.tokenizer(list(captions))


def pictures(count: int = 4) -> torch.Tensor:
    return torch.randn(count, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def head_by_loop(head: SelectionHead, tokens: list[torch.Tensor]) -> torch.Tensor:
    """Channel by channel maximum of MLP(x) + FC(x) over unit tokens."""
    rows = []
    for token in tokens:
        x = token / token.norm()
        hidden = head.norm(x @ head.hidden.weight.T + head.hidden.bias)
        refined = hidden.clamp(min=0) @ head.out.weight.T + head.out.bias
        rows.append(refined + x @ head.direct.weight.T + head.direct.bias)
    return torch.stack([max(row[c] for row in rows) for c in range(len(rows[0]))])


def normalised(pooled: torch.Tensor, selected: torch.Tensor) -> torch.Tensor:
    return torch.cat([pooled / pooled.norm(), selected / selected.norm()]) / math.sqrt(2)


@torch.no_grad()
def test_attention_is_the_mean_of_pytorchs_heads(tmp_path):
    built = built_with(tmp_path)
    text = built.encoder.text.base
    assert isinstance(text, TextTransformer)
    ids = token_ids(built)
    x, mask = text._embeds(ids)
    x, last = _run(text.transformer, x, mask)
    _, weights = last.attn(
        last.ln_1(x), last.ln_1(x), last.ln_1(x), attn_mask=mask, need_weights=True
    )
    ends = ids.argmax(dim=1)
    visible = torch.arange(ids.shape[1])[None, :] <= ends[:, None]
    found = global_attention(last, x, ends, visible)
    torch.testing.assert_close(found, weights[torch.arange(len(ids)), ends], atol=1e-6, rtol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_image_embedding_equals_a_loop(tmp_path, share):
    built = built_with(tmp_path, share=share)
    tower = built.encoder.visual
    images = pictures()
    found = built.encoder(images, None).image_embeds
    base = tower.base
    x, last = _run(base.transformer, base._embeds(images), None)
    _, weights = last.attn(last.ln_1(x), last.ln_1(x), last.ln_1(x), need_weights=True)
    states = base.ln_post(last(x)) @ base.proj
    count = max(1, int(share * 4))
    for row in range(len(images)):
        order = sorted(range(1, 5), key=lambda t: -weights[row, 0, t].item())
        kept = [states[row, t] for t in order[:count]]
        expected = normalised(states[row, 0], head_by_loop(tower.selection, kept))
        torch.testing.assert_close(found[row], expected, atol=2e-6, rtol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("share", [0.1, 0.3, 1.0])
def test_text_embedding_equals_a_loop(tmp_path, share):
    built = built_with(tmp_path, share=share)
    tower, base = built.encoder.text, built.encoder.text.base
    ids = token_ids(built, [*CAPTIONS, "", "cat"])
    found = built.encoder(None, ids).text_embeds
    x, mask = base._embeds(ids)
    x, last = _run(base.transformer, x, mask)
    normed = last.ln_1(x)
    _, weights = last.attn(normed, normed, normed, attn_mask=mask, need_weights=True)
    states = base.ln_final(last(x, attn_mask=mask)) @ base.text_projection
    count = max(1, int(share * (16 - 2)))
    for row in range(len(ids)):
        end = ids[row].argmax().item()
        words = list(range(1, end)) or [end]
        words.sort(key=lambda t: -weights[row, end, t].item())
        kept = [states[row, t] for t in words[:count]]
        expected = normalised(states[row, end], head_by_loop(tower.selection, kept))
        torch.testing.assert_close(found[row], expected, atol=2e-6, rtol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("share", [0.3, 1.0])
def test_trimmed_text_gives_the_same_embedding(tmp_path, share):
    built = built_with(tmp_path, share=share)
    end = built.encoder.end_of_text
    assert end is not None
    ids = token_ids(built, ["a cat", "two dogs", ""])
    short = end.cut(ids, multiple=1)
    assert short.shape[1] < ids.shape[1]
    whole = built.encoder(None, ids).text_embeds
    torch.testing.assert_close(built.encoder(None, short).text_embeds, whole, atol=1e-6, rtol=0)


@torch.no_grad()
def test_global_part_is_the_plain_models_embedding(tmp_path):
    built = built_with(tmp_path)
    images, ids = pictures(), token_ids(built)
    parts = [side.split(built.embed_parts, dim=1) for side in built.encoder(images, ids)]
    plain_images = F.normalize(built.encoder.visual.base(images), dim=1)
    plain_texts = F.normalize(built.encoder.text.base(ids), dim=1)
    for (part, _), plain in zip(parts, (plain_images, plain_texts), strict=True):
        torch.testing.assert_close(F.normalize(part, dim=1), plain, atol=1e-6, rtol=1e-5)


@torch.no_grad()
def test_inner_product_is_the_mean_of_both_cosines(tmp_path):
    built = built_with(tmp_path)
    images, texts = built.encoder(pictures(), token_ids(built))
    mean = torch.zeros(4, 4)
    for image, text in zip(
        images.split(built.embed_parts, 1), texts.split(built.embed_parts, 1), strict=True
    ):
        mean += F.normalize(image, dim=1) @ F.normalize(text, dim=1).T / 2
    torch.testing.assert_close(images @ texts.T, mean, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("norm", ["layer", "batch", "affine"])
def test_gradients_reach_both_heads_and_both_towers(tmp_path, norm):
    built = built_with(tmp_path, norm=norm)
    built.encoder.train()
    images, texts = built.encoder(pictures(), token_ids(built))
    (images @ texts.T).diagonal().sum().backward()
    for name, parameter in built.encoder.named_parameters():
        assert parameter.grad is not None, name
        if not name.endswith("hidden.bias") or norm != "batch":  # batch norm takes offsets out
            assert parameter.grad.abs().sum() > 0, name


def test_affine_norm_is_batch_norm_at_its_first_statistics(tmp_path):
    """What the authors' code trained with: batch norm never left eval mode."""
    affine = SelectionHead(6, 4, norm="affine")
    batch = SelectionHead(6, 4, norm="batch").eval()
    missing = batch.load_state_dict(affine.state_dict(), strict=False).missing_keys
    assert all("running" in name or "num_batches" in name for name in missing)
    tokens = torch.randn(3, 5, 6, generator=torch.Generator().manual_seed(0))
    everything = torch.ones(3, 5, dtype=torch.bool)
    found = affine(tokens, everything)
    torch.testing.assert_close(batch(tokens, everything), found, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_checkpointed_blocks_give_the_same_embeddings(tmp_path):
    built = built_with(tmp_path)
    inputs = (pictures(), token_ids(built))
    expected = built.encoder(*inputs)
    built.encoder.visual.base.set_grad_checkpointing(True)
    built.encoder.text.base.set_grad_checkpointing(True)
    for found, wanted in zip(built.encoder(*inputs), expected, strict=True):
        torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"vision_cfg": {"attentional_pool": True}}, "pools its class token"),
        ({"vision_cfg": {"pool_type": "avg"}}, "pools its class token"),
        ({"vision_cfg": {"final_ln_after_pool": True}}, "pools its class token"),
        ({"vision_cfg": {"layers": [1, 1, 1, 1], "width": 16}}, "pools its class token"),
        ({"text_cfg": {"embed_cls": True}}, "without a class token"),
        ({"text_cfg": {"no_causal_mask": True}}, "causal text tower"),
        ({"text_cfg": {"pool_type": "last"}}, "end-of-text token"),
    ],
)
def test_towers_without_a_selecting_token_are_refused(tmp_path, changes, reason):
    name = register_architecture(tmp_path, "tiny-refused", **changes)
    with pytest.raises(ModelError, match=reason) as caught:
        config_of(name, tmp_path).build()
    assert "\n" not in str(caught.value)


def test_turned_off_it_changes_nothing(tmp_path):
    name = register_architecture(tmp_path, "tiny-plain")
    torch.manual_seed(0)
    plain = OpenClipConfig(name=name).build()
    torch.manual_seed(0)
    off = OpenClipConfig(name=name, token_selection=TokenSelectionConfig(width=0)).build()
    assert off.embed_parts == ()
    states = (plain.encoder.state_dict(), off.encoder.state_dict())
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][k], states[1][k]) for k in states[0])


def test_settings_that_cannot_work_are_refused():
    with pytest.raises(ConfigError, match="share"):
        TokenSelectionConfig(share=0.0)
    with pytest.raises(ConfigError, match="width"):
        TokenSelectionConfig(width=-1)
    assert dataclasses.asdict(TokenSelectionConfig())["width"] == 0
