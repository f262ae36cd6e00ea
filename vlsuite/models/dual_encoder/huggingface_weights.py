"""Names and shapes of weights: open_clip's ViT towers as transformers' CLIPModel has them."""

from collections.abc import Mapping

from torch import Tensor

_BLOCKS = ".transformer.resblocks."

#: DualEncoder name to CLIPModel name; projections, stored as [in, out], are transposed below.
_SINGLE = {
    "visual.class_embedding": "vision_model.embeddings.class_embedding",
    "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "visual.ln_pre.weight": "vision_model.pre_layrnorm.weight",
    "visual.ln_pre.bias": "vision_model.pre_layrnorm.bias",
    "visual.ln_post.weight": "vision_model.post_layernorm.weight",
    "visual.ln_post.bias": "vision_model.post_layernorm.bias",
    "text.token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "text.positional_embedding": "text_model.embeddings.position_embedding.weight",
    "text.ln_final.weight": "text_model.final_layer_norm.weight",
    "text.ln_final.bias": "text_model.final_layer_norm.bias",
}
_PROJECTIONS = {
    "visual.proj": "visual_projection.weight",
    "text.text_projection": "text_projection.weight",
}
_TOWERS = {"visual": "vision_model", "text": "text_model"}
_IN_BLOCK = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "attn.out_proj": "self_attn.out_proj",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}


def clip_model_state(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of a DualEncoder under the names of CLIPModel, but for ``logit_scale``.

    open_clip keeps the query, key and value projections of a block in one matrix, in this order.

    Raises:
        KeyError: a weight that CLIPModel has no place for; ``check_fits`` refuses such models.
    """
    state: dict[str, Tensor] = {}
    for name, value in weights.items():
        if _BLOCKS in name:
            state |= _block_state(name, value)
        elif name in _PROJECTIONS:
            state[_PROJECTIONS[name]] = value.T
        else:
            state[_SINGLE[name]] = value
    return state


def _block_state(name: str, value: Tensor) -> dict[str, Tensor]:
    tower, _, rest = name.partition(_BLOCKS)
    number, _, part = rest.partition(".")
    prefix = f"{_TOWERS[tower]}.encoder.layers.{number}"
    if part.startswith("attn.in_proj_"):
        kind = part.removeprefix("attn.in_proj_")
        thirds = zip("qkv", value.chunk(3), strict=True)
        return {f"{prefix}.self_attn.{letter}_proj.{kind}": third for letter, third in thirds}
    module, _, kind = part.rpartition(".")
    return {f"{prefix}.{_IN_BLOCK[module]}.{kind}": value}
