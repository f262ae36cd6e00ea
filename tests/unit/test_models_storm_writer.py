"""STORM before a language model: its losses against single sequences, what learns, what it reads.

Tolerance 1e-5 nats: fp32, padded and unpadded.
"""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from data_pipelines.shards.stored_sample import StoredSample
from eval.capabilities import ANSWERS, ANSWERS_CLIPS, WRITES_CAPTIONS, lack_of
from eval.contract import ReducibleModel
from tests.support.clip_shards import moving_square
from tests.support.storm_writers import OPTIONS, QUESTION, language_model, tiny_writer
from tests.support.video_models import clips
from vlsuite.batches.asked_clips import AskedClipReader, question_of
from vlsuite.batches.batch import Batch
from vlsuite.batches.clips import Said
from vlsuite.batches.data_config import DataConfig
from vlsuite.batches.sample_reader import BatchFacts
from vlsuite.batches.worded_questions import lettered, plain
from vlsuite.errors import BadSampleError, ConfigError
from vlsuite.models.language.causal_lm import NO_TOKEN
from vlsuite.models.storm.reduction import Reduction
from vlsuite.models.storm.trainable_writer import TrainableStormWriter
from vlsuite.models.storm.writing import WritingConfig
from vlsuite.objectives import registry as objectives
from vlsuite.objectives.answers import AnswersConfig

ASKED = [lettered(QUESTION, OPTIONS), "", plain("Does it move left?")]
ANSWERS_GIVEN = ["A", "it moves right", "no"]
LENGTHS = (4, 1, 3)


@pytest.fixture(scope="module")
def language(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return language_model(tmp_path_factory.mktemp("language") / "gpt2")


@pytest.fixture
def built(language: Path) -> TrainableStormWriter:
    built = tiny_writer(language)
    built.module.eval()
    torch.manual_seed(3)
    with torch.no_grad():
        for parameter in built.encoder.visual.mixers.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return built


def inputs(built: TrainableStormWriter, asked=ASKED, given=ANSWERS_GIVEN, lengths=LENGTHS):
    texts = built.encoder.texts
    frames = torch.cat([clips(1, n, seed=i)[0] for i, n in enumerate(lengths)])
    return frames, texts.plain(asked, length=32), texts(list(given))


def losses(built, *, lengths=LENGTHS, **told):
    return built.encoder(*inputs(built, lengths=lengths, **told), num_frames=lengths)


@torch.no_grad()
def single_loss(built: TrainableStormWriter, row: int) -> float:
    """Cross-entropy of one answer behind one clip, from the language model alone, no padding."""
    encoder, n = built.encoder, LENGTHS[row]
    tokens = encoder.visual.kept(clips(1, n, seed=row)[0], [n]).tokens[0]
    (asked,) = encoder.texts.ids([ASKED[row]]) if ASKED[row] else ([],)
    (said,) = encoder.texts.ids([ANSWERS_GIVEN[row]])
    text = [*asked, encoder.texts.begin, *said, encoder.texts.end]
    table = encoder.language_model.get_input_embeddings()
    embeds = torch.cat([tokens, table(torch.tensor(text))])[None]
    logits = encoder.language_model(inputs_embeds=embeds).logits[0].double()
    first = len(tokens) + len(asked)
    each = [
        torch.logsumexp(logits[first + i], 0) - logits[first + i, token]
        for i, token in enumerate(text[len(asked) + 1 :])
    ]
    return torch.stack(each).mean().item()


def test_losses_equal_those_of_single_sequences(built):
    """Clips of three lengths, one row without a question: gaps change nothing."""
    found = losses(built)
    expected = [single_loss(built, row) for row in range(3)]
    assert found.tolist() == pytest.approx(expected, abs=1e-5)


def test_the_question_and_the_clip_matter(built):
    before = losses(built)
    other = losses(built, asked=[plain("Which way?"), "", plain("Which way?")])
    assert (before - other).abs()[[0, 2]].min() > 1e-4
    assert abs(before[1] - other[1]) < 1e-5
    frames, asked, said = inputs(built)
    changed = built.encoder(frames.flip(0), asked, said, num_frames=LENGTHS)
    assert (changed - before).abs().max() > 1e-4


def test_the_objective_is_the_mean_over_samples(built):
    found = losses(built).detach()
    batch = Batch(uids=("a", "b", "c"), sources=(0, 0, 0))
    told = objectives.get("answers")().build()(found, batch)
    assert told.total == pytest.approx(found.mean())
    half = AnswersConfig(weight=0.5).build()(found, batch)
    assert half.total == pytest.approx(found.mean() / 2)
    assert half.terms["answers"] == pytest.approx(found.mean())


@pytest.mark.parametrize("learns", [False, True])
def test_what_learns(language, learns):
    built = tiny_writer(language, train_language_model=learns)
    built.module.train()
    assert built.encoder.language_model.training is learns
    losses(built).mean().backward()
    for name, parameter in built.module.named_parameters():
        is_language = name.startswith("language_model.")
        if is_language:
            assert (parameter.grad is not None) is learns, name
        elif parameter.requires_grad:
            assert parameter.grad is not None, name
        assert built.is_new(name) is ("project" in name or "mixers" in name), name
    assert built.encoder.visual.frames.project.weight.grad.abs().max() > 0


def test_width_is_the_language_models(built, language):
    assert built.encoder.visual.frames.project.out_features == 32
    with pytest.raises(ConfigError, match=r"the language model's is 32"):
        tiny_writer(language, width=64)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"frames": ("40",)}, r"40 frames are 160 tokens"),
        ({"head_layers": 2}, "contrastive head"),
        ({"language_model": "", "train_language_model": True}, r"need model\.language_model"),
        ({"writing": WritingConfig(answer_length=12, question_length=90)}, "has 96"),
    ],
)
def test_settings_that_contradict_are_one_line(language, changes, told):
    with pytest.raises(ConfigError, match=told) as error:
        tiny_writer(language, **changes)
    assert "\n" not in str(error.value)


def test_a_wrong_objective_is_one_line(built):
    with pytest.raises(ConfigError, match="objective=answers"):
        built.prepare(objectives.get("clip")().build())


def test_it_answers_and_describes(built):
    model = built.evaluated("tiny", scalars={}, device=torch.device("cpu"))
    assert lack_of(model, (ANSWERS_CLIPS, ANSWERS, WRITES_CAPTIONS)) is None
    assert isinstance(model, ReducibleModel)
    assert model.clip_frames == 4
    shown = torch.randint(0, 256, (3, 4, 3, 32, 32), dtype=torch.uint8)
    texts = model.answer_clips(shown, ASKED, max_tokens=5)
    assert len(texts) == 3
    each = [model.answer_clips(shown[i : i + 1], ASKED[i : i + 1], max_tokens=5) for i in range(3)]
    assert [text for own in each for text in own] == texts
    assert model.caption_clips(shown[:, :1], max_tokens=5) == model.caption(
        shown[:, 0], max_tokens=5
    )
    asked = model.answer(shown[:, 0], ["left?"] * 3, max_tokens=5)
    assert asked == model.answer_clips(shown[:, :1], [plain("left?")] * 3, max_tokens=5)
    fewer = model.reduced(temporal_pool=2, sample_every=2)
    assert (model.tokens_of(4), fewer.tokens_of(4)) == (16, 4)
    assert fewer.fingerprint != model.fingerprint
    assert fewer.reduced(temporal_pool=1, sample_every=1).fingerprint == model.fingerprint
    assert fewer.reduction == Reduction(temporal_pool=2, sample_every=2)
    with pytest.raises(ConfigError, match="show fewer frames"):
        model.answer_clips(shown.repeat(1, 8, 1, 1, 1), ASKED, max_tokens=5)


def sample(**fields) -> StoredSample:
    members = {f"frame.{i}.png": data for i, data in enumerate(moving_square(0, 4))}
    return StoredSample("k", members | {"json": json.dumps(fields).encode()})


def test_questions_of_samples():
    assert question_of(sample(caption="no question")) is None
    assert question_of(sample(question="Why?", answer=" so  it is ")) == Said(
        "so it is", 0, question="Question: Why?"
    )
    assert question_of(sample(question="Why?", answers=["x", "y"])) == Said(
        "x", 0, question="Question: Why?"
    )
    asked = question_of(sample(question=QUESTION, options=OPTIONS, answer=1))
    assert asked == Said("B", 0, question=lettered(QUESTION, OPTIONS))
    alone = question_of(sample(options=["a dog runs", "a dog sits"], answer=0))
    assert alone is not None
    assert alone.question.startswith(
        "Question: Which sentence is true of the video?\nA. a dog runs"
    )
    for broken in (
        {"options": ["one"], "answer": 0},
        {"options": ["one", "two"], "answer": 2},
        {"options": ["one", " "], "answer": 0},
        {"question": "Why?"},
        {"question": "Why?", "answer": ""},
    ):
        with pytest.raises(BadSampleError):
            question_of(sample(**broken))


def reader(built: TrainableStormWriter, **writing) -> AskedClipReader:
    settings = {"answer_length": 12, "question_length": 32} | writing
    own = dataclasses.replace(built, writing=WritingConfig(**settings)).reader(DataConfig())
    assert isinstance(own, AskedClipReader)
    return own


def test_the_reader_draws_question_or_caption(built):
    both = sample(caption="it moves left", question="Which way?", answer="left")

    def drawn(share: float) -> set[str]:
        own = reader(built, question_share=share)
        rngs = [np.random.default_rng(seed) for seed in range(20)]
        return {own.read(both, rng).content.said.text for rng in rngs}

    assert drawn(0.0) == {"it moves left"}
    assert drawn(1.0) == {"left"}
    assert drawn(0.5) == {"it moves left", "left"}
    only = reader(built, question_share=0.0).read(
        sample(question="Which way?", answer="left"), np.random.default_rng(0)
    )
    assert only.content.said.question == "Question: Which way?"
    with pytest.raises(BadSampleError, match="question too long"):
        reader(built, question_length=3).read(
            sample(question="Which way?", answer="left"), np.random.default_rng(0)
        )
    with pytest.raises(BadSampleError):
        reader(built).read(sample(), np.random.default_rng(0))


def test_batches_hold_questions_and_answers(built):
    own = reader(built, question_share=1.0)
    samples = [sample(question="Which way?", answer="left"), sample(caption="it moves left")]
    contents = [own.read(one, np.random.default_rng(0)).content for one in samples]
    batch = own.collate(contents, BatchFacts(("a", "b"), (0, 0), (), ()))
    texts = built.encoder.texts
    rows = [[i for i in row if i != NO_TOKEN] for row in batch.question_ids.tolist()]
    assert rows == [*texts.ids([plain("Which way?")]), []]
    said = [[i for i in row if i != NO_TOKEN] for row in batch.token_ids.tolist()]
    assert [row[1:-1] for row in said] == texts.ids(["left", "it moves left"])
    assert {row[0] for row in said} == {texts.begin}
    assert {row[-1] for row in said} == {texts.end}
    assert batch.num_frames == (4, 4)
