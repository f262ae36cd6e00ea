"""Small random text towers of Hugging Face's kinds, and a tokenizer of a few words for them."""

from pathlib import Path
from typing import Any

import torch

#: As in XLM-V and its relatives: the end-of-text token has one of the lowest ids.
SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
_TEXTS = ("a photo of a cat", "two dogs run on the grass", "a large red circle", "small squares")


def word_tokenizer(folder: Path, *, context_length: int) -> None:
    """Write a byte-pair tokenizer that frames texts as "<s> ... </s>"."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    tokenizer: Any = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    letters = list("abcdefghijklmnopqrstuvwxyz")
    trainer: Any = trainers.BpeTrainer(
        vocab_size=200, special_tokens=list(SPECIAL), initial_alphabet=letters, show_progress=False
    )
    tokenizer.train_from_iterator(_TEXTS, trainer)
    tokenizer.post_processor = TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        pad_token="<pad>",
        eos_token="</s>",
        sep_token="</s>",
        cls_token="<s>",
        unk_token="<unk>",
        model_max_length=context_length,
    )
    fast.save_pretrained(str(folder))


def write_text_tower(name: str, work: Path) -> Path:
    """A random model of the kind of ``name``, which need not be here, in a folder of its own."""
    import transformers

    kind = name.rpartition("/")[2].split("-")[0]
    folder = work / f"tower-{kind}"
    if folder.is_dir():
        return folder
    sizes: dict[str, Any] = {
        "vocab_size": 400,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "max_position_embeddings": 64,
        "pad_token_id": 1,
    }
    if kind == "mt5":
        config: Any = transformers.MT5Config(
            vocab_size=400, d_model=32, d_kv=16, d_ff=64, num_layers=2, num_heads=2, pad_token_id=1
        )
        model: Any = transformers.MT5Model(config)
    elif kind == "nllb":
        config = transformers.M2M100Config(
            vocab_size=400, d_model=32, encoder_layers=2, decoder_layers=1, encoder_ffn_dim=64,
            decoder_ffn_dim=64, encoder_attention_heads=2, decoder_attention_heads=2,
            max_position_embeddings=64, pad_token_id=1,
        )  # fmt: skip
        model = transformers.M2M100Model(config)
    elif kind == "xlm":
        model = transformers.XLMRobertaModel(transformers.XLMRobertaConfig(**sizes))
    elif kind == "roberta":
        model = transformers.RobertaModel(transformers.RobertaConfig(**sizes))
    else:
        model = transformers.BertModel(transformers.BertConfig(**sizes))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    model.save_pretrained(str(folder))
    return folder
