"""A frozen causal language model of Hugging Face transformers that continues embedded prefixes.

Sequences are rows of embeddings with gaps: a place that holds nothing. ``packed`` moves the gaps
to the end (for the loss) or to the beginning (for generation), so that a model sees the same
positions in both whatever its position embeddings are.

b = batch, n = places, d = width of the language model
"""

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from einops import repeat
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from data_pipelines.foreign_files import refused_as
from vlsuite.errors import ModelError
from vlsuite.models.quiet_loading import quiet_loading
from vlsuite.models.sizes import check_model_folder

#: Stands where a sequence has no token.
NO_TOKEN = -1


class LanguageModel(NamedTuple):
    """A frozen model and its tokenizer.

    Attributes:
        model: of transformers, in eval mode, without gradients for its weights.
        texts: its tokenizer.
    """

    model: Any
    texts: "LmTokenizer"


class LmTokenizer:
    """The tokenizer of a language model, with begin and end marks put there by us.

    Satisfies ``vlsuite.batches.tokenizer.TextTokenizer``; places after the end hold ``NO_TOKEN``.

    Args:
        tokenizer: of transformers.
        context_length: tokens of a text at most, both marks included; longer ones are cut.
    """

    def __init__(self, tokenizer: Any, *, context_length: int) -> None:
        self.tokenizer = tokenizer
        self.context_length = context_length
        self.end: int = tokenizer.eos_token_id
        begin = tokenizer.bos_token_id
        self.begin: int = self.end if begin is None else begin
        pad = tokenizer.pad_token_id
        self.pad: int = self.end if pad is None else pad

    def __call__(self, texts: list[str]) -> Int64[Tensor, "texts context_length"]:
        """Ids of begin, text, end."""
        kept = self.context_length - 2
        marked = [[self.begin, *own[:kept], self.end] for own in self.ids(texts)]
        return padded(marked, self.context_length)

    def plain(self, texts: Sequence[str], *, length: int) -> Int64[Tensor, "texts length"]:
        """Ids without marks; the tokens of an empty text are none."""
        return padded([own[:length] for own in self.ids(texts)], length)

    def decode(self, ids: Int64[Tensor, "texts length"]) -> list[str]:
        """Texts without marks, blanks at both ends taken off."""
        found = self.tokenizer.batch_decode(ids, skip_special_tokens=True)
        return [" ".join(text.split()) for text in found]

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Of each text, without marks; none of an empty one."""
        return self.tokenizer(list(texts), add_special_tokens=False)["input_ids"] if texts else []


class QuestionIds:
    """The ids of texts that stand before what is predicted, none of them cut silently.

    Satisfies ``vlsuite.batches.asked_clips.QuestionTokenizer``.

    Args:
        texts: tokenizer of the language model.
        length: tokens of a row.
    """

    def __init__(self, texts: LmTokenizer, *, length: int) -> None:
        self._texts = texts
        self._length = length

    def __call__(self, texts: list[str]) -> Int64[Tensor, "texts length"]:
        """See ``LmTokenizer.plain``."""
        return self._texts.plain(texts, length=self._length)

    def fits(self, text: str) -> bool:
        """Whether all of it has room in a row."""
        return self._texts.plain([text], length=self._length + 1)[0, -1].item() == NO_TOKEN


def padded(rows: Sequence[Sequence[int]], length: int) -> Int64[Tensor, "rows length"]:
    """Rows of ids as a matrix, filled up with ``NO_TOKEN``."""
    out = torch.full((len(rows), length), NO_TOKEN, dtype=torch.int64)
    for number, row in enumerate(rows):
        out[number, : len(row)] = torch.tensor(row, dtype=torch.int64)
    return out


def trimmed(ids: Int64[Tensor, "texts length"]) -> Int64[Tensor, "texts shorter"]:
    """Without the columns at the end that no text uses."""
    used = (ids != NO_TOKEN).any(dim=0).nonzero()
    return ids[:, : int(used[-1]) + 1] if len(used) else ids[:, :0]


def load_language_model(name: str, *, context_length: int) -> LanguageModel:
    """A causal language model from a folder or the Hugging Face hub, frozen, fp32, on the CPU.

    Only safetensors are read and no code of the repository is run.

    Args:
        name: folder written by ``save_pretrained``, or a hub id.
        context_length: see ``LmTokenizer``.
    Raises:
        ModelError: not there, no safetensors, no causal language model, or a tokenizer without
            an end-of-text token.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if "/" not in name and not Path(name).is_dir() and Path(name).suffix:
        raise ModelError(f"model.language_model={name}: give a folder or a hub id")
    advice = (
        "give a folder with config.json, model.safetensors and tokenizer.json with --set "
        "model.language_model=FOLDER"
    )
    what = f"cannot load the language model '{name}'"
    with refused_as(ModelError, what, advice=advice), quiet_loading():
        check_model_folder(name)
        tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
        model: Any = AutoModelForCausalLM.from_pretrained(
            name, trust_remote_code=False, use_safetensors=True, dtype=torch.float32
        )
    if tokenizer.eos_token_id is None:
        raise ModelError(
            f"the tokenizer of '{name}' has no end-of-text token; name one as eos_token in its "
            "tokenizer_config.json"
        )
    model.eval().requires_grad_(False)
    return LanguageModel(model, LmTokenizer(tokenizer, context_length=context_length))


class Sequences(NamedTuple):
    """Embedded sequences with gaps.

    Attributes:
        embeds: of every place; at gaps anything.
        targets: the token that stands at a place and has to be predicted, else ``NO_TOKEN``.
        is_there: False at gaps.
    """

    embeds: Float[Tensor, "batch places width"]
    targets: Int64[Tensor, "batch places"]
    is_there: Bool[Tensor, "batch places"]


def embedded(
    model: Any,
    prefix: Float[Tensor, "batch prefix width"],
    given: Int64[Tensor, "batch given"],
    predicted: Int64[Tensor, "batch predicted"],
    *,
    prefix_is_there: Bool[Tensor, "batch prefix"] | None = None,
) -> Sequences:
    """Prefix, then tokens that are given, then tokens of which all but the first are predicted.

    Args:
        model: of transformers.
        given: ``NO_TOKEN`` at gaps, here and below.
        predicted: the first column is the begin mark.
        prefix_is_there: False at gaps of the prefix; None where it has none.
    """
    table: nn.Module = model.get_input_embeddings()
    ids = torch.cat([given, predicted], dim=1)
    embeds = torch.cat([prefix, table(ids.clamp_min(0)).to(prefix.dtype)], dim=1)
    untold = torch.full(
        (len(ids), prefix.shape[1] + given.shape[1] + 1), NO_TOKEN, device=ids.device
    )
    targets = torch.cat([untold, predicted[:, 1:]], dim=1)
    if prefix_is_there is None:
        prefix_is_there = torch.ones(prefix.shape[:2], dtype=torch.bool, device=ids.device)
    return Sequences(embeds, targets, torch.cat([prefix_is_there, ids != NO_TOKEN], dim=1))


def packed(sequences: Sequences, *, gaps_first: bool) -> Sequences:
    """The same rows with all gaps at one end, order otherwise kept."""
    embeds, targets, is_there = sequences
    key = is_there if gaps_first else ~is_there
    order = key.to(torch.uint8).argsort(dim=1, stable=True)
    return Sequences(
        embeds.gather(1, repeat(order, "b n -> b n d", d=embeds.shape[2])),
        targets.gather(1, order),
        is_there.gather(1, order),
    )


def caption_losses(
    model: Any, sequences: Sequences, *, label_smoothing: float
) -> Float[Tensor, " batch"]:
    """Mean cross-entropy of each row's predicted tokens, in nats a token, fp32.

    Logits are made where a token is predicted alone, not for the whole prefix, as far as the
    model lets choose them (``logits_to_keep`` of transformers). Gradients reach the embeddings
    through the frozen model. Each row weighs the same in their
    mean whatever its length (LAVIS averages over all tokens of a batch instead).

    Args:
        label_smoothing: share of the target spread evenly over the vocabulary.
    """
    sequences = packed(sequences, gaps_first=False)
    targets = sequences.targets[:, 1:]
    places = (targets != NO_TOKEN).any(dim=0).nonzero()[:, 0]
    places = places if len(places) else places.new_zeros(1)
    targets = targets[:, places]
    # the class axis second, as cross_entropy wants it
    losses = F.cross_entropy(
        _logits_at(model, sequences, places).float().mT,
        targets,
        ignore_index=NO_TOKEN,
        label_smoothing=label_smoothing,
        reduction="none",
    )
    return losses.sum(dim=1) / (targets != NO_TOKEN).sum(dim=1).clamp_min(1)


def _logits_at(
    model: Any, sequences: Sequences, places: Int64[Tensor, " chosen"]
) -> Float[Tensor, "batch chosen vocabulary"]:
    can_choose = "logits_to_keep" in inspect.signature(model.forward).parameters
    chosen = {"logits_to_keep": places} if can_choose else {}
    logits = model(
        inputs_embeds=sequences.embeds,
        attention_mask=sequences.is_there.long(),
        use_cache=False,
        **chosen,
    ).logits
    return logits if can_choose else logits[:, places]


@torch.no_grad()
def generated(
    language: LanguageModel, sequences: Sequences, *, max_tokens: int, num_beams: int
) -> list[str]:
    """Continue each row greedily, or with beam search; the same texts each time."""
    sequences = packed(sequences, gaps_first=True)
    ids = language.model.generate(
        inputs_embeds=sequences.embeds,
        attention_mask=sequences.is_there.long(),
        max_new_tokens=max_tokens,
        num_beams=num_beams,
        do_sample=False,
        bos_token_id=language.texts.begin,
        eos_token_id=language.texts.end,
        pad_token_id=language.texts.pad,
    )
    return language.texts.decode(ids)
