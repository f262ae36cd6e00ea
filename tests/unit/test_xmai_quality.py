"""Quality of perturbed texts: counted slips, all metrics together, and the models behind some."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from eval.data.folders import open_dataset
from eval.embedding.decode import StreamingDecoder
from eval.embedding.embedder import StreamingEmbedder
from eval.errors import EvaluationError
from eval.xmai.clip_score import PREFIX, score_with
from eval.xmai.grammar import counter_of, fused_words, new_slips, slips
from eval.xmai.quality import QualityTools, quality
from eval.xmai.records import PerturbedCaption, uids_of
from eval.xmai.text_models import Encoder, LanguageModel
from tests.support.embedding_model import SmallClip
from tests.support.evaluation_data import captioned, noise_png, write_evaluation_folder
from tests.support.language_models import random_language_model
from tests.support.masked_models import random_masked_lm
from vlsuite.batches.decode import decode_image

TEXTS = ["a red dog", "a dog", "two old houses on a hill", "a hill"]


def _caption(before: str, after: str, uid: str = "u", number: int = 0) -> PerturbedCaption:
    return PerturbedCaption(
        uid=uid, caption_number=number, original=before, perturbed=after, method="m"
    )


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("a dog and an owl", 0),
        ("an dog and a owl", 2),
        ("an hour, a unicorn, a European, an X-ray, a one-eyed man", 0),
        ("an unicorn in a hour", 2),
        ("an unusual uniform, a used umbrella, an umbrella, an unidentified man", 0),
        ("the the dog had had enough", 1),
        ('a "man (left', 2),
        ("a man , standing .", 2),
        ("a [MASK] man ##less", 2),
    ],
)
def test_slips_are_counted(text: str, count: int) -> None:
    assert slips(text).total() == count
    assert counter_of("rules")([text]) == [count]


def test_only_new_slips_count() -> None:
    assert new_slips("the the dog", "the the red dog") == 0
    assert fused_words("his hound dog runs", "his houndless dog runs") == ["houndless"]
    assert new_slips("his hound dog", "his houndless dog") == 1
    assert fused_words("a dog", "a red dog") == []
    with pytest.raises(EvaluationError, match="no grammar checker"):
        counter_of("eyes")


def test_metrics_of_small_cases() -> None:
    captions = [
        _caption("a man runs", "a white man runs", "u1"),
        _caption("a man runs", "a man runs", "u2"),
        _caption("a dog runs", "a [MASK] dog runs", "u3"),
        _caption("a dog runs", "a cat runs", "u4"),
    ]
    found = quality(captions)
    values = {name: score.value for name, score in found.items()}
    assert values["unchanged_share"] == 1 / 4
    assert values["subsequence_share"] == 3 / 4
    assert values["insertions_per_text"] == pytest.approx(2 / 3)
    assert values["special_token_share"] == 1 / 4
    assert values["coloured_person_share"] == 1 / 2
    assert values["word_edits"] == 3 / 4
    assert values["character_edits"] == pytest.approx((6 + 0 + 7 + 3) / 4)
    assert values["slips_added"] == 1 / 4
    assert len(found) >= 8
    assert all(score.low <= score.value <= score.high for score in found.values())
    assert quality([_caption("a b c d", "a b c d")])["bleu"].value == 1.0


def test_tools_add_their_metrics() -> None:
    captions = [_caption("a dog", "a red dog", "u1"), _caption("a hill", "a hill", "u2")]
    surprise = {"a dog": 1.0, "a red dog": 2.0, "a hill": 3.0}
    tools = QualityTools(
        sentence_cosine=lambda before, after: np.array([0.5, 1.0]),
        surprise=lambda texts: np.array([surprise[text] for text in texts]),
        clip_score=lambda rows, texts: np.array([float(len(text)) for text in texts]),
        issues=lambda texts: [len(text.split()) for text in texts],
    )
    found = quality(captions, tools)
    assert found["sentence_cosine"].value == 0.75
    assert found["perplexity_ratio"].value == pytest.approx(math.exp(0.5))
    assert found["clip_score_drop"].value == -2.0
    assert found["issues_added"].value == 0.5


@pytest.fixture(scope="module")
def masked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_masked_lm(tmp_path_factory.mktemp("m") / "bert", TEXTS)


@torch.no_grad()
def test_sentences_and_tokens_are_compared(masked: Path) -> None:
    from transformers import AutoModel, AutoTokenizer

    encoder = Encoder(str(masked))
    before, after = ["a dog", "a hill", "two old houses"], ["a red dog", "a hill", "two houses"]
    cosines, scores = encoder.sentence_cosines(before, after), encoder.bert_scores(after, before)
    tokenizer = AutoTokenizer.from_pretrained(str(masked))
    model = AutoModel.from_pretrained(str(masked)).eval()
    for row, (one, other) in enumerate(zip(before, after, strict=True)):
        vectors = [
            model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].double().numpy()
            for text in (one, other)
        ]
        means = [v.mean(axis=0) for v in vectors]
        norms = [np.linalg.norm(mean) for mean in means]
        assert cosines[row] == pytest.approx(means[0] @ means[1] / norms[0] / norms[1], abs=1e-5)
        units = [v[1:-1] / np.linalg.norm(v[1:-1], axis=1, keepdims=True) for v in vectors]
        similar = units[1] @ units[0].T
        precision, recall = similar.max(axis=1).mean(), similar.max(axis=0).mean()
        f1 = 2 * precision * recall / (precision + recall)
        assert scores[row] == pytest.approx(f1, abs=1e-5)
    assert cosines[1] == 1.0


@torch.no_grad()
def test_surprise_of_both_kinds_of_model(masked: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoTokenizer

    causal = random_language_model(tmp_path / "gpt", TEXTS)
    model = LanguageModel(str(causal))
    assert not model.is_masked
    tokenizer = AutoTokenizer.from_pretrained(str(causal))
    ids = tokenizer(TEXTS[0])["input_ids"]
    if ids[0] != tokenizer.bos_token_id:
        ids = [tokenizer.bos_token_id, *ids]
    network = AutoModelForCausalLM.from_pretrained(str(causal)).eval()
    logs = network(torch.tensor([ids])).logits[0].double().log_softmax(dim=-1)
    expected = -np.mean([float(logs[i, ids[i + 1]]) for i in range(len(ids) - 1)])
    assert model.surprises(TEXTS[:2])[0] == pytest.approx(expected, abs=1e-4)

    model = LanguageModel(str(masked))
    assert model.is_masked
    tokenizer = AutoTokenizer.from_pretrained(str(masked))
    network = AutoModelForMaskedLM.from_pretrained(str(masked)).eval()
    ids = tokenizer(TEXTS[0])["input_ids"]
    losses = []
    for place in range(1, len(ids) - 1):
        hidden = [tokenizer.mask_token_id if i == place else t for i, t in enumerate(ids)]
        logs = network(torch.tensor([hidden])).logits[0, place].double().log_softmax(dim=-1)
        losses.append(-float(logs[ids[place]]))
    assert model.surprises([TEXTS[0]])[0] == pytest.approx(np.mean(losses), abs=1e-4)


def test_missing_models_are_one_line(tmp_path: Path, masked: Path) -> None:
    with pytest.raises(EvaluationError, match="no language model"):
        LanguageModel(str(tmp_path / "nothing"))
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling" / "config.json").write_text('{"pooling_mode_mean_tokens": false}')
    with pytest.raises(EvaluationError, match="does not pool its sentences by the mean"):
        Encoder(str(tmp_path))


def test_clip_score(tmp_path: Path) -> None:
    folder = write_evaluation_folder(tmp_path / "d", captioned([["a dog"], ["a hill"]]))
    dataset = open_dataset(str(folder), task="retrieval")
    captions = [_caption("a dog", "a red dog", uid) for uid in uids_of(dataset)[::-1]]
    model = SmallClip(seed=1)
    embedder = StreamingEmbedder(decoder=StreamingDecoder(batch_size=4, workers=1))
    found = score_with(model, embedder, dataset)(captions, ["a dog", "a red dog"])
    for place, (picture, text) in enumerate([(1, "a dog"), (0, "a red dog")]):
        pixels = model.image_transform(decode_image(noise_png(picture)))[None]
        text_embed = model.embed_texts([PREFIX + text])[0].double()
        cosine = float(model.embed_images(pixels)[0].double() @ text_embed)
        assert found[place] == pytest.approx(2.5 * max(cosine, 0), abs=1e-6)
    with pytest.raises(EvaluationError, match="picture x is not in"):
        score_with(model, embedder, dataset)([_caption("a", "b", "x")], ["a"])
