"""Weight decay acts on the very parameters that open_clip's does, by name, in every kind of tower.

The rule is that of open_clip_train/main.py (open_clip 3.3), over the names of open_clip's own
model. Allowed differences: the logit scale (and bias), which open_clip leaves out by name and
which are the objective's here, never decayed. There are no others.
"""

from collections.abc import Callable
from pathlib import Path

import open_clip
import pytest
from torch import nn
from transformers import BertConfig, BertModel, MT5Config, MT5Model

from tests.support.tiny_models import register_architecture
from tests.support.words import CONTEXT_LENGTH, word_tokenizer_folder
from vlsuite.engine.config import TrainConfig
from vlsuite.engine.optim import is_decayed, parameter_groups
from vlsuite.models.dual_encoder.config import OpenClipConfig
from vlsuite.models.dual_encoder.open_clip_folder import keeps_text_tower_apart

_OWN = {"logit_scale", "logit_bias"}


def excluded(name: str, p: nn.Parameter) -> bool:
    """open_clip_train/main.py, word for word but for the logical names."""
    return p.ndim < 2 or any(part in name for part in ("bn", "ln", "bias", "logit_scale"))


def timm_tower(name: str, **options: object) -> dict[str, object]:
    return {
        "image_size": 32,
        "timm_model_name": name,
        "timm_model_pretrained": False,
        "timm_pool": "",
        "timm_proj": "linear",
        **options,
    }


def hf_tower(folder: Path, model: nn.Module) -> dict[str, object]:
    model.save_pretrained(folder)  # type: ignore[operator]
    return {
        "hf_model_name": str(folder),
        "hf_tokenizer_name": str(word_tokenizer_folder()),
        "hf_pooler_type": "mean_pooler",
        "hf_proj_type": "mlp",
        "context_length": CONTEXT_LENGTH,
    }


def bert() -> nn.Module:
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "intermediate_size": 16}
    return BertModel(
        BertConfig(vocab_size=1024, num_attention_heads=2, **sizes), add_pooling_layer=False
    )


def t5() -> nn.Module:
    sizes = {"d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_heads": 2}
    return MT5Model(MT5Config(vocab_size=1024, **sizes))


_IMAGE: dict[str, dict[str, object]] = {
    "vit": {"image_size": 32},
    "resnet": {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None},
    "swin": timm_tower("swin_tiny_patch4_window7_224", image_size=224),
    "convnext": timm_tower("convnext_atto"),
    "timm_vit": timm_tower("vit_tiny_patch16_224", image_size=224),
}
_TEXT: dict[str, Callable[[], nn.Module]] = {"bert": bert, "t5": t5}


@pytest.mark.parametrize("kind", [*_IMAGE, *_TEXT])
def test_decayed_parameters_are_open_clips(tmp_path, kind):
    more = {"vision_cfg": _IMAGE.get(kind, _IMAGE["vit"])}
    if kind in _TEXT:
        more["text_cfg"] = hf_tower(tmp_path / "text", _TEXT[kind]())
    name = register_architecture(tmp_path, f"decay-{kind}", **more)
    built = OpenClipConfig(name=name).build()
    apart = keeps_text_tower_apart(built.model_cfg)
    ours = {
        own if apart else own.removeprefix("text."): p
        for own, p in built.encoder.named_parameters()
    }
    theirs = dict(open_clip.create_model(name).named_parameters())
    assert theirs.keys() - ours.keys() <= _OWN
    assert not ours.keys() - theirs.keys()
    groups = parameter_groups(built.encoder.named_parameters(), weight_decay=0.2)
    decays = {id(p): bool(group["weight_decay"]) for group in groups for p in group["params"]}
    wanted = {n: not excluded(n, p) for n, p in theirs.items() if n not in _OWN}
    assert {n: decays[id(p)] for n, p in ours.items()} == wanted
    tables = [n for n in wanted if n.endswith(("bias_table", "relative_attention_bias.weight"))]
    assert bool(tables) == (kind in {"swin", "t5"})
    assert not any(wanted[n] for n in tables)
    assert all(is_decayed(n, ours[n], "matrices") for n in tables)


def test_both_rules_are_known_to_settings():
    assert TrainConfig().optim.decayed == "open_clip"
