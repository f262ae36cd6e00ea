"""Losses and texts of a frozen language model against transformers' own loss and a plain loop.

Tolerance 1e-5 nats: the same fp32 logits, padded and unpadded.
"""

import pytest
import torch

from tests.support.nevlp_models import CAPTIONS, frozen_parts
from vlsuite.models.language.causal_lm import (
    NO_TOKEN,
    LanguageModel,
    caption_losses,
    embedded,
    generated,
    load_language_model,
    packed,
    padded,
    trimmed,
)


@pytest.fixture(scope="module")
def language() -> LanguageModel:
    return load_language_model(str(frozen_parts()[1]), context_length=16)


def told(language: LanguageModel, texts: list[str]) -> torch.Tensor:
    return language.texts.plain(texts, length=8)


def prefix(rows: int, width: int = 32) -> torch.Tensor:
    return torch.randn(rows, 3, width, generator=torch.Generator().manual_seed(2))


def unpadded_loss(language: LanguageModel, start: torch.Tensor, given: list, text: list) -> float:
    """Cross-entropy of ``text`` but for its first token, from one sequence without gaps."""
    ids = torch.tensor([*given, *text])
    embeds = torch.cat([start, language.model.get_input_embeddings()(ids)])[None]
    logits = language.model(inputs_embeds=embeds).logits[0].double()
    first = len(start) + len(given)
    losses = [
        torch.logsumexp(logits[first + i], 0) - logits[first + i, token]
        for i, token in enumerate(text[1:])
    ]
    return float(torch.stack(losses).mean())


def rows_of(ids: torch.Tensor) -> list[list[int]]:
    return [[i for i in row if i != NO_TOKEN] for row in ids.tolist()]


def test_losses_equal_those_of_single_sequences(language):
    captions = language.texts(list(CAPTIONS[:3]))
    given = told(language, ["objects: circle.", "", "objects: square, triangle."])
    start = prefix(3)
    found = caption_losses(
        language.model, embedded(language.model, start, given, captions), label_smoothing=0.0
    )
    expected = [
        unpadded_loss(language, start[i], rows_of(given)[i], rows_of(captions)[i]) for i in range(3)
    ]
    torch.testing.assert_close(found.double(), torch.tensor(expected).double(), rtol=0, atol=1e-5)


def test_loss_equals_that_of_transformers(language):
    ids = torch.tensor([rows_of(language.texts([CAPTIONS[0]]))[0]])
    theirs = language.model(input_ids=ids, labels=ids).loss
    none = torch.zeros(1, 0, dtype=torch.int64)
    start = torch.zeros(1, 0, 32)
    ours = caption_losses(
        language.model, embedded(language.model, start, none, ids), label_smoothing=0.0
    )
    torch.testing.assert_close(ours[0], theirs, rtol=0, atol=1e-5)


def test_smoothing_is_spread_over_the_vocabulary(language):
    ids = torch.tensor([rows_of(language.texts([CAPTIONS[0]]))[0]])
    none, start = torch.zeros(1, 0, dtype=torch.int64), torch.zeros(1, 0, 32)
    sequences = embedded(language.model, start, none, ids)
    found = caption_losses(language.model, sequences, label_smoothing=0.1)
    log_p = language.model(input_ids=ids).logits[0].double().log_softmax(dim=1)
    losses = []
    for i, token in enumerate(ids[0, 1:].tolist()):
        everywhere = sum(-p for p in log_p[i].tolist()) / log_p.shape[1]
        losses.append(0.9 * -float(log_p[i, token]) + 0.1 * everywhere)
    assert abs(float(found) - sum(losses) / len(losses)) < 1e-5


def test_gradients_reach_the_prefix_and_no_weight(language):
    start = prefix(1).requires_grad_()
    captions = language.texts([CAPTIONS[1]])
    none = torch.zeros(1, 0, dtype=torch.int64)
    caption_losses(
        language.model, embedded(language.model, start, none, captions), label_smoothing=0.0
    ).sum().backward()
    assert start.grad is not None
    assert start.grad.abs().min() > 0
    assert all(p.grad is None for p in language.model.parameters())


def test_greedy_text_equals_a_loop_without_cache(language):
    given = told(language, ["objects: circle.", ""])
    begin = torch.full((2, 1), language.texts.begin)
    start = prefix(2)
    none = torch.full((2, 1), NO_TOKEN)
    sequences = embedded(language.model, start, torch.cat([given, begin], dim=1), none)
    found = generated(language, sequences, max_tokens=7, num_beams=1)
    for row in range(2):
        ids = rows_of(torch.cat([given, begin], dim=1))[row]
        written = []
        for _ in range(7):
            table = language.model.get_input_embeddings()
            embeds = torch.cat([start[row], table(torch.tensor(ids + written))])[None]
            written.append(int(language.model(inputs_embeds=embeds).logits[0, -1].argmax()))
            if written[-1] == language.texts.end:
                break
        assert found[row] == language.texts.decode(torch.tensor([written]))[0]


def test_packing_keeps_the_order_at_either_end(language):
    ids = padded([[4, 5], [6]], 3)
    sequences = embedded(language.model, prefix(2), ids, padded([[1, 7, 2], [1, 2]], 4))
    for gaps_first in (False, True):
        moved = packed(sequences, gaps_first=gaps_first)
        for row in range(2):
            kept = moved.targets[row][moved.is_there[row]].tolist()
            assert kept == sequences.targets[row][sequences.is_there[row]].tolist()
        assert bool(moved.is_there[1, 0]) != gaps_first


def test_texts_come_back(language):
    ids = language.texts([CAPTIONS[2]])
    ids = trimmed(ids)
    assert ids[0, 0] == language.texts.begin
    assert ids[0, -1] == language.texts.end
    assert language.texts.decode(ids)[0].replace(" ,", ",") == CAPTIONS[2]


def test_a_folder_without_a_model_is_one_line(tmp_path):
    with pytest.raises(Exception, match="cannot load the language model") as found:
        load_language_model(str(tmp_path), context_length=8)
    assert "\n" not in str(found.value)


def test_logits_are_made_where_a_token_is_predicted_alone(language: LanguageModel) -> None:
    places = []
    head = language.model.get_output_embeddings()
    hook = head.register_forward_hook(lambda _m, _i, logits: places.append(logits.shape[1]))
    prefix = torch.randn(2, 50, head.in_features)
    predicted = torch.tensor([[2, 5, 6, 3], [2, 7, 3, NO_TOKEN]])
    sequences = embedded(language.model, prefix, torch.full((2, 0), NO_TOKEN), predicted)
    losses = caption_losses(language.model, sequences, label_smoothing=0.0)
    none = sequences._replace(targets=torch.full_like(sequences.targets, NO_TOKEN))
    nothing = caption_losses(language.model, none, label_smoothing=0.0)
    hook.remove()
    assert places == [3, 1]
    assert losses.isfinite().all()
    assert nothing.tolist() == [0, 0]
