"""CoCa: what is built, what it writes, how it is opened, and what is refused in one line."""

import itertools
import json
from pathlib import Path

import open_clip
import pytest
import torch
from open_clip import coca_model
from safetensors.torch import save_file
from transformers import GPT2Config, GPT2LMHeadModel, TopKLogitsWarper, TopPLogitsWarper

from eval.contract import Captioner, DifferentiableModel, EmbeddingModel
from tests.support.coca_models import (
    CAPTIONS,
    NAME,
    evaluated,
    pictures,
    plain_coca,
    tiny_batch,
    tiny_coca,
)
from tests.support.words import CONTEXT_LENGTH
from vlsuite.batches.tokenizer import load_tokenizer
from vlsuite.errors import ConfigError, ModelError
from vlsuite.export.form import Exported
from vlsuite.models.coca.building import check_writes_forward
from vlsuite.models.coca.model import Coca
from vlsuite.models.coca.trainable import caption_length
from vlsuite.models.coca.writing import Marks, beam_search, greedy, nucleus, sampled
from vlsuite.models.dual_encoder.config import OpenClipConfig, architecture
from vlsuite.models.dual_encoder.token_selection_config import TokenSelectionConfig
from vlsuite.models.opening import open_model
from vlsuite.objectives.clip import ClipConfig
from vlsuite.objectives.coca import CocaObjectiveConfig
from vlsuite.objectives.nevlp import NevlpObjectiveConfig


class TestBuilding:
    def test_no_weight_is_left_as_memory_came(self, monkeypatch):
        """open_clip 3.3 allocates the decoder's output matrix and never fills it."""
        empty = torch.empty

        def poisoned(*shape, **options):
            found = empty(*shape, **options)
            return found.fill_(float("nan")) if found.is_floating_point() else found

        monkeypatch.setattr(torch, "empty", poisoned)
        torch.manual_seed(0)
        built = OpenClipConfig(name=NAME).build()
        monkeypatch.undo()
        for name, parameter in built.encoder.named_parameters():
            assert parameter.isfinite().all(), name
        projection = built.encoder.state_dict()["text_decoder.text_projection"]
        assert projection.std() == pytest.approx(96**-0.5, rel=0.01)

    def test_a_longer_context_reaches_the_decoder(self):
        built = tiny_coca(context_length=40)
        assert built.model_cfg["multimodal_cfg"]["context_length"] == 40
        assert built.tokenizer(["a"]).shape == (1, 40)
        assert built.writer.text_decoder.attn_mask.shape == (40, 40)

    @pytest.mark.parametrize(
        "cfg", [{"hf_model_name": "roberta-base"}, {"no_causal_mask": True}], ids=str
    )
    def test_a_tower_that_reads_in_both_directions_is_refused(self, cfg):
        with pytest.raises(ModelError, match="both directions") as caught:
            check_writes_forward("x", {"text_cfg": cfg})
        assert "\n" not in str(caught.value)

    def test_roberta_is_refused_before_anything_is_fetched(self):
        with pytest.raises(ModelError, match="roberta-base"):
            OpenClipConfig(name="coca_roberta-ViT-B-32").check()
        with pytest.raises(ModelError, match="roberta-base"):
            OpenClipConfig(name="coca_roberta-ViT-B-32").build()

    def test_parts_that_do_not_fit_are_one_line(self, tmp_path):
        for number, (part, change) in enumerate(
            [
                ("multimodal_cfg", {"width": 64, "heads": 2}),
                ("multimodal_cfg", {"context_length": 8}),
                ("vision_cfg", {"output_tokens": False}),
                ("text_cfg", {"output_tokens": False}),
            ]
        ):
            cfg = architecture(NAME)
            cfg[part] |= change
            path = tmp_path / f"unfit-coca-{number}.json"
            path.write_text(json.dumps(cfg))
            open_clip.add_model_config(path)
            with pytest.raises(ModelError, match="do not fit together") as caught:
                OpenClipConfig(name=path.stem).build()
            assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("name", [NAME, "vlsuite-micro-32"])
    @pytest.mark.parametrize(
        ("part", "change"),
        [
            ("vision_cfg", {"of_a_later_version": 1}),
            ("text_cfg", {"pool_type": "of_a_later_version"}),
            ("vision_cfg", {"layers": "three"}),
            (None, {"naflex_cfg": {}}),
        ],
    )
    def test_settings_of_another_open_clip_are_one_line(self, tmp_path, name, part, change):
        cfg = architecture(name)
        (cfg if part is None else cfg[part]).update(change)
        path = tmp_path / f"{name}-{tmp_path.name}.json"
        path.write_text(json.dumps(cfg))
        open_clip.add_model_config(path)
        with pytest.raises(ModelError, match="cannot build") as caught:
            OpenClipConfig(name=path.stem).build()
        assert "\n" not in str(caught.value)

    def test_every_architecture_of_open_clip_is_of_a_known_kind(self):
        """CLIP, CustomTextCLIP, or a CoCa; a kind of a later version would show here."""
        known = {"embed_dim", "vision_cfg", "text_cfg", "custom_text", "quick_gelu"}
        known |= {"init_logit_bias", "multimodal_cfg"}
        refused = set()
        for name in open_clip.list_models():
            if name.startswith(("tiny", "unfit", "vlsuite")):
                continue
            assert architecture(name).keys() <= known, name
            try:
                OpenClipConfig(name=name).check()
            except ModelError:
                refused.add(name)
        assert refused == {"coca_roberta-ViT-B-32"}

    def test_a_second_embedding_is_refused(self):
        selection = TokenSelectionConfig(width=16)
        with pytest.raises(ConfigError, match="token_selection"):
            OpenClipConfig(name=NAME, token_selection=selection).check()

    def test_towers_can_be_locked(self):
        built = OpenClipConfig(name=NAME, lock_image=True, lock_text=True).build()
        trained = {n.split(".")[0] for n, p in built.module.named_parameters() if p.requires_grad}
        assert trained == {"text_decoder"}

    @pytest.mark.parametrize("name", ["coca_ViT-B-32", "coca_ViT-L-14", "coca_base"])
    def test_published_architectures_pass_the_first_check(self, name):
        OpenClipConfig(name=name).check()


class TestObjectives:
    def test_a_contrastive_objective_leaves_the_decoder_alone_and_says_so(self):
        built = tiny_coca()
        built.prepare(ClipConfig().build())
        assert not any(p.requires_grad for p in built.writer.text_decoder.parameters())
        assert "objective=coca" in built.remarks()[0]
        built.prepare(CocaObjectiveConfig().build())
        assert all(p.requires_grad for p in built.writer.text_decoder.parameters())
        assert built.remarks() == ()

    def test_others_are_refused(self):
        with pytest.raises(ConfigError, match="objective=coca"):
            tiny_coca().prepare(NevlpObjectiveConfig().build())

    def test_coca_is_refused_by_a_model_without_decoder(self):
        built = OpenClipConfig(name="vlsuite-micro-32").build()
        with pytest.raises(ConfigError, match="CocaObjective"):
            built.prepare(CocaObjectiveConfig().build())

    def test_the_longest_caption(self):
        ids = torch.tensor([[1, 5, 9, 0, 0], [1, 0, 5, 9, 0]])
        assert caption_length(ids, pad_id=0) == 4
        assert caption_length(torch.zeros(2, 5, dtype=torch.int64), pad_id=0) == 2


@pytest.fixture
def generates(monkeypatch):
    """open_clip's ``generate`` under transformers 5, which has all that it uses but beams."""
    monkeypatch.setattr(coca_model, "_has_transformers", True)
    warpers = {"top_k": TopKLogitsWarper, "top_p": TopPLogitsWarper}
    monkeypatch.setattr(coca_model, "GENERATION_TYPES", warpers)


class TestWriting:
    def test_greedy_equals_open_clip(self, generates):
        built = tiny_coca(spread=0.4)
        model, plain = evaluated(built), plain_coca(built, logit_scale=14.0)
        images = pictures(6)
        begins, marks = model._begins([""] * 6)
        begin = torch.stack(begins)
        theirs = plain.generate(
            model.normalised(images),
            seq_len=14,
            max_seq_len=CONTEXT_LENGTH,
            min_seq_len=1,
            generation_type="top_k",
            top_k=1,
            sot_token_id=int(begin[0, 0]),
            eos_token_id=marks.end,
        )
        ours = greedy(
            built.writer.next_logits, model._tokens(images), begin, marks=marks, max_tokens=12
        )
        expected = []
        for row in theirs[:, 1:].tolist():
            expected.append(row[: row.index(marks.end)])
        assert ours == expected
        assert len({tuple(row) for row in ours}) > 1, "one caption for all would show little"

    def test_beams_find_the_best_of_all_captions(self):
        """With room for all prefixes of a vocabulary of four, against plain enumeration."""
        marks = Marks(end=3, never=(0,))
        generator = torch.Generator().manual_seed(3)
        table = 2 * torch.randn(2, 4, 4, 4, generator=generator)

        def next_logits(image_tokens, ids):
            pictures_, last = image_tokens[:, 0, 0].long(), ids[:, -1]
            before = ids[:, -2] if ids.shape[1] > 1 else torch.zeros_like(last)
            return table[pictures_, before, last]

        image_tokens = torch.tensor([[[0.0]], [[1.0]]])
        begin = torch.tensor([[1], [1]])
        found = beam_search(
            next_logits, image_tokens, begin, marks=marks, max_tokens=4, num_beams=100
        )
        for row in range(2):
            assert found[row] == self._best(next_logits, image_tokens[row : row + 1], marks, 4)

    @staticmethod
    def _best(next_logits, image_tokens, marks, max_tokens) -> list[int]:
        def mean(words: tuple[int, ...], *, ends: bool) -> float:
            ids, total = [1], 0.0
            for token in (*words, *([marks.end] if ends else [])):
                logits = next_logits(image_tokens, torch.tensor([ids]))[0].double()
                logits[list(marks.never)] = -torch.inf
                total += float(logits.log_softmax(dim=0)[token])
                ids.append(token)
            return total / (len(words) + ends)

        scored = []
        for length in range(max_tokens + 1):
            for words in itertools.product((1, 2), repeat=length):
                if length < max_tokens:
                    scored.append((mean(words, ends=True), list(words)))
                else:
                    scored.append((mean(words, ends=False), list(words)))
        return max(scored)[1]

    @pytest.mark.parametrize("num_beams", [2, 4])
    def test_beams_are_no_worse_than_those_of_transformers(self, num_beams):
        """Which sets only the beams aside that end among the best; here any that ends counts."""
        torch.manual_seed(4)
        config = GPT2Config(vocab_size=30, n_positions=16, n_embd=16, n_layer=1, n_head=2)
        language = GPT2LMHeadModel(config).eval()
        for parameter in language.parameters():
            torch.nn.init.normal_(parameter, std=0.5)
        begin, marks = torch.arange(4, 16)[:, None], Marks(end=3, never=(0,))

        def next_logits(image_tokens, ids):
            with torch.no_grad():
                return language(ids).logits[:, -1]

        ours = beam_search(
            next_logits,
            torch.zeros(len(begin), 1, 1),
            begin,
            marks=marks,
            max_tokens=6,
            num_beams=num_beams,
        )
        found = language.generate(
            begin,
            attention_mask=torch.ones_like(begin),
            max_new_tokens=6,
            num_beams=num_beams,
            do_sample=False,
            early_stopping="never",
            length_penalty=1.0,
            eos_token_id=marks.end,
            pad_token_id=0,
            suppress_tokens=list(marks.never),
            return_dict_in_generate=True,
            output_scores=True,
        )
        theirs = [[token for token in row[1:] if token] for row in found.sequences.tolist()]
        num_equal = 0
        for row, (own, other) in enumerate(zip(ours, theirs, strict=True)):
            ended = [*own, marks.end] if len(own) < 6 else own
            score = self._mean(next_logits, begin[row], ended, marks)
            assert score >= float(found.sequences_scores[row]) - 1e-5
            num_equal += ended == other
        assert num_equal >= len(begin) - 2

    @staticmethod
    def _mean(next_logits, begin, tokens, marks) -> float:
        ids, total = begin.tolist(), 0.0
        for token in tokens:
            logits = next_logits(None, torch.tensor([ids]))[0].double()
            logits[list(marks.never)] = -torch.inf
            total += float(logits.log_softmax(dim=0)[token])
            ids.append(token)
        return total / len(tokens)

    def test_pictures_of_a_batch_are_searched_one_by_one(self):
        model = evaluated(tiny_coca(spread=0.4))
        whole = model.caption(pictures(4), max_tokens=8, num_beams=3)
        alone = [
            model.caption(pictures(4)[row : row + 1], max_tokens=8, num_beams=3)[0]
            for row in range(4)
        ]
        assert whole == alone

    def test_the_nucleus_equals_that_of_transformers(self):
        logits = 3 * torch.randn(5, 40, generator=torch.Generator().manual_seed(1))
        for top_p in (0.1, 0.5, 0.9, 1.0):
            expected = TopPLogitsWarper(top_p)(None, logits)
            assert torch.equal(nucleus(logits, top_p=top_p), expected)

    def test_draws_are_the_same_for_the_same_seed(self):
        model = evaluated(tiny_coca())
        first = model.sample_captions(pictures(), max_tokens=6, top_p=0.9, seed=1)
        assert first == model.sample_captions(pictures(), max_tokens=6, top_p=0.9, seed=1)
        assert first != model.sample_captions(pictures(), max_tokens=6, top_p=0.9, seed=2)
        with pytest.raises(ConfigError, match="top_p"):
            model.sample_captions(pictures(), max_tokens=6, top_p=0.0)

    def test_a_tiny_nucleus_is_greedy(self):
        built = tiny_coca(spread=0.4)
        model = evaluated(built)
        begins, marks = model._begins([""] * 3)
        given = (built.writer.next_logits, model._tokens(pictures()), torch.stack(begins))
        drawn = sampled(*given, marks=marks, max_tokens=6, top_p=1e-6, seed=0)
        assert drawn == greedy(*given, marks=marks, max_tokens=6)

    def test_prompts_of_different_length_come_before_the_caption(self):
        model = evaluated(tiny_coca(spread=0.4))
        prompts = ["a large red", "", "a small"]
        found = model.caption(pictures(), prompts=prompts, max_tokens=5)
        for row, prompt in enumerate(prompts):
            own = pictures()[row : row + 1]
            assert found[row] == model.caption(own, prompts=[prompt], max_tokens=5)[0]
        assert found != model.caption(pictures(), max_tokens=5)
        assert model.caption(pictures(0), max_tokens=5) == []
        assert model.caption(pictures(), max_tokens=0) == ["", "", ""]
        assert len(model.caption(pictures(), max_tokens=500)) == 3

    def test_what_it_can_do(self):
        model = evaluated(tiny_coca())
        for protocol in (EmbeddingModel, Captioner, DifferentiableModel):
            assert isinstance(model, protocol)


class TestDecoding:
    def test_ids_come_back_as_texts(self):
        ours = tiny_coca().tokenizer
        theirs = load_tokenizer("ViT-B-32", context_length=24, folder=None)
        for tokenizer in (ours, theirs):
            ids = tokenizer(list(CAPTIONS))
            rows = [[token for token in row if token] for row in ids.tolist()]
            texts = [text.replace(" ,", ",") for text in tokenizer.decode(rows)]
            assert texts == list(CAPTIONS)

    def test_no_words_are_an_empty_text(self):
        assert tiny_coca().tokenizer.decode([[], []]) == ["", ""]


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> tuple[Coca, Path]:
    built = tiny_coca(spread=0.3)
    folder = tmp_path_factory.mktemp("coca") / "export"
    model = evaluated(built)
    form = built.forms()["open_clip"]
    weights = dict(built.encoder.state_dict())
    told = Exported(
        built=built,
        weights=weights,
        scalars={"logit_scale": 14.0},
        model=model,
        name="tiny",
        history=None,
    )
    form.write(folder, told)
    assert "caption logits" in form.verify(folder, told)[1]
    return model, folder


class TestFolder:
    def test_open_clip_loads_the_same_model(self, exported):
        model, folder = exported
        plain = open_clip.create_model_and_transforms(f"local-dir:{folder}")[0]
        tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
        assert isinstance(plain, open_clip.CoCa)
        plain.eval()
        ids = tokenizer(list(CAPTIONS))
        with torch.no_grad():
            output = plain(model.normalised(pictures()), ids, output_labels=False)
        torch.testing.assert_close(output["image_features"], model.embed_images(pictures()))
        torch.testing.assert_close(output["text_features"], model.embed_texts(CAPTIONS))
        torch.testing.assert_close(
            output["logits"], model.caption_logits(pictures(), CAPTIONS), rtol=1e-5, atol=1e-5
        )
        assert float(output["logit_scale"]) == pytest.approx(14.0)

    def test_another_decoder_is_noticed(self, exported):
        _, folder = exported
        built = tiny_coca(spread=0.3, seed=1)
        other = evaluated(built)
        told = Exported(
            built=built,
            weights={},
            scalars={"logit_scale": 14.0},
            model=other,
            name="tiny",
            history=None,
        )
        with pytest.raises(ModelError, match="caption logits"):
            built.forms()["open_clip"].verify(folder, told)

    @pytest.mark.parametrize("prefix", ["", "local-dir:"])
    def test_it_is_opened_again(self, exported, prefix):
        model, folder = exported
        again = open_model(f"{prefix}{folder}")
        assert isinstance(again, Coca)
        assert again.logit_scale == pytest.approx(14.0)
        assert torch.equal(again.embed_texts(CAPTIONS), model.embed_texts(CAPTIONS))
        assert again.caption(pictures(), max_tokens=6) == model.caption(pictures(), max_tokens=6)

    def test_a_weights_file_of_the_architecture(self, tmp_path):
        built = tiny_coca(tokenizer=None)
        state = dict(built.encoder.state_dict())
        save_file(state | {"logit_scale": torch.tensor(2.5)}, tmp_path / "w.safetensors")
        again = open_model(f"{NAME}:{tmp_path / 'w.safetensors'}")
        assert isinstance(again, Coca)
        assert again.embed_dim == 96
        assert len(again.caption(pictures(2), max_tokens=4, num_beams=2)) == 2

    def test_a_batch_gives_embeddings_alone_without_gradients(self):
        built = tiny_coca()
        built.prepare(CocaObjectiveConfig().build())
        batch, cpu = tiny_batch(built), torch.device("cpu")
        with torch.no_grad():
            assert len(built.forward(built.encoder, batch, device=cpu, dtype=torch.float32)) == 2
        assert len(built.forward(built.encoder, batch, device=cpu, dtype=torch.float32)) == 3
