"""Small real runs with other kinds of towers: "exact" must hold for all of them."""

from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import open_clip
import torch

from tests.support.runs import small_config
from tests.support.tiny_models import register_architecture
from tests.support.words import CONTEXT_LENGTH, word_tokenizer_folder
from vlsuite.engine.config import TrainConfig

#: A ViT; a ResNet with batch norm; a ViT beside a BERT with dropout, from a folder of its own.
TOWER_KINDS = ("vit", "resnet", "huggingface")


def config_of(kind: str, shards: Path, *overrides: str, towers: Path | None = None) -> TrainConfig:
    """``small_config`` with towers of that kind, of ``make_towers`` if a folder is given."""
    if kind == "vit":
        return small_config(shards, *overrides)
    folder = _with_dropout() if towers is None else towers
    open_clip.add_model_config(folder / f"tiny-{kind}.json")
    return small_config(shards, f"model.name=tiny-{kind}", *overrides)


def make_towers(folder: Path, *, dropout: float) -> Path:
    """Write both architectures, which other processes can register too."""
    folder.mkdir()
    vision = {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None}
    register_architecture(folder, "tiny-resnet", vision_cfg=vision)
    _save_bert(folder / "bert", dropout)
    text = {
        "hf_model_name": str(folder / "bert"),
        "hf_tokenizer_name": str(word_tokenizer_folder()),
        "hf_pooler_type": "mean_pooler",
        "hf_proj_type": "mlp",
        "context_length": CONTEXT_LENGTH,
    }
    register_architecture(folder, "tiny-huggingface", vision_cfg={"image_size": 32}, text_cfg=text)
    return folder


@cache
def _with_dropout() -> Path:
    return make_towers(Path(mkdtemp(prefix="vlsuite-towers-")) / "towers", dropout=0.1)


def _save_bert(folder: Path, dropout: float) -> None:
    from tokenizers import Tokenizer
    from transformers import BertConfig, BertModel

    words = Tokenizer.from_file(str(word_tokenizer_folder() / "tokenizer.json"))
    config = BertConfig(
        vocab_size=words.get_vocab_size(),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=CONTEXT_LENGTH,
        pad_token_id=words.token_to_id("<pad>"),
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        BertModel(config, add_pooling_layer=False).save_pretrained(folder)
