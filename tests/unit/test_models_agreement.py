"""Every model goes through plain open_clip when it is built, and must embed alike."""

import pytest
import torch
import torch.nn.functional as F
from open_clip.transformer import TextTransformer
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from tests.support.tiny_models import register_architecture
from vlsuite.batches.end_of_text import EndOfText
from vlsuite.errors import ModelError
from vlsuite.models.dual_encoder import agreement
from vlsuite.models.dual_encoder import clip as clip_module
from vlsuite.models.dual_encoder.config import OpenClipConfig
from vlsuite.models.dual_encoder.towers import TrimmableTextTransformer

WORDS = {"<pad>": 0, "</s>": 1, "<unk>": 2, "a": 3, "photo": 4, "of": 5, "cat": 6, "dog": 7}
TEXTS = ["a photo of a cat", "a photo of a dog", "a dog of a cat", ""]


def words_ending_in_a_low_id(folder):
    """Folder of a tokenizer as models of other families have them: </s> is no high id."""
    tokenizer = Tokenizer(models.WordLevel(WORDS, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="</s>", pad_token="<pad>", unk_token="<unk>"
    )
    fast.save_pretrained(folder / "words")
    return str(folder / "words")


def test_a_text_is_cut_behind_the_token_that_is_pooled_not_behind_the_highest():
    ids = torch.tensor(
        [[0, 9, 7, 2, 1, 1, 1, 1], [0, 3, 2, 1, 1, 1, 1, 1], [0, 8, 8, 8, 8, 8, 8, 8]]
    )
    eos = EndOfText(2)
    assert eos.places(ids).tolist() == [3, 2, 0]  # without the token open_clip pools the first
    assert eos.cut(ids, multiple=1).tolist() == ids[:, :4].tolist()
    assert EndOfText().places(ids).tolist() == [1, 1, 1]
    assert EndOfText(2).cut(ids, multiple=8).shape == ids.shape


@torch.no_grad()
def test_a_model_pooled_at_a_low_id_embeds_as_open_clip_does(tmp_path):
    """MetaCLIP 2 (ViT-*-worldwide): </s> has id 2, every word a higher one."""
    changes = {"pool_type": "eos", "eos_id": 2, "pad_id": 5}
    name = register_architecture(tmp_path, "tiny-eos", text_cfg=changes)
    built = OpenClipConfig(name=name, tokenizer=words_ending_in_a_low_id(tmp_path)).build()
    # a tokenizer that takes the place of the model's own brings its own ids
    assert (built.model_cfg["text_cfg"]["eos_id"], built.model_cfg["text_cfg"]["pad_id"]) == (1, 0)
    end = built.encoder.end_of_text
    assert end is not None
    assert end == EndOfText(1)
    clip = built.evaluated("it", scalars={"logit_scale": 1.0}, device=torch.device("cpu"))
    text = built.encoder.eval().text
    ids = built.tokenizer(TEXTS)
    assert end.cut(ids).shape[1] < ids.shape[1]
    text.__class__ = TextTransformer  # plain open_clip
    plain = F.normalize(text(ids), dim=-1)
    text.__class__ = TrimmableTextTransformer
    torch.testing.assert_close(clip.embed_texts(TEXTS), plain, atol=2e-6, rtol=0)
    cut_for_training = built.encoder(None, end.cut(ids)).text_embeds
    torch.testing.assert_close(cut_for_training, plain, atol=2e-6, rtol=0)


def test_where_cut_texts_differ_whole_ones_are_used_and_it_is_said(tmp_path, capsys, monkeypatch):
    """A tower that looks like a causal one and is not: a wrong condition costs speed, no number."""

    def forward(self, text):
        seen = self.token_embedding(text).mean(dim=1)  # padding counts
        return seen @ self.text_projection

    monkeypatch.setattr(TextTransformer, "forward", forward)
    name = register_architecture(tmp_path, "tiny-padding")
    torch.manual_seed(0)
    built = OpenClipConfig(name=name).build()
    assert built.encoder.end_of_text is None
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "whole texts are used" in told
    clip = built.evaluated("it", scalars={"logit_scale": 1.0}, device=torch.device("cpu"))
    plain = F.normalize(built.encoder.text(built.tokenizer(TEXTS)), dim=-1)
    torch.testing.assert_close(clip.embed_texts(TEXTS), plain)


def shifted_pixels(monkeypatch):
    plain = agreement.normalise
    monkeypatch.setattr(agreement, "normalise", lambda *args, **facts: plain(*args, **facts) + 0.1)


def another_filter(monkeypatch):
    plain = clip_module.eval_transform
    monkeypatch.setattr(
        clip_module, "eval_transform", lambda facts: plain(facts | {"interpolation": "bilinear"})
    )


@pytest.mark.parametrize("break_it", [shifted_pixels, another_filter])
def test_pictures_that_are_prepared_otherwise_are_refused(tmp_path, monkeypatch, break_it):
    break_it(monkeypatch)
    name = register_architecture(tmp_path, "tiny-pictures")
    with pytest.raises(ModelError, match="prepares pictures otherwise"):
        OpenClipConfig(name=name).build()


def test_the_check_changes_neither_random_numbers_nor_modes(tmp_path, monkeypatch):
    name = register_architecture(tmp_path, "tiny-random", vision_cfg={"patch_dropout": 0.5})
    states = []
    for check in (True, False):
        if not check:
            monkeypatch.setattr(
                "vlsuite.models.dual_encoder.config.agree_with_open_clip", lambda *_: None
            )
        torch.manual_seed(3)
        built = OpenClipConfig(name=name).build()
        modes = [part.training for part in built.encoder.modules()]
        states.append((modes, torch.rand(3).tolist()))
    assert states[0] == states[1]


def test_a_tokenizer_whose_end_is_not_pooled_is_refused(tmp_path):
    """The model pools the highest id; a foreign tokenizer's end-of-text token is a low one."""
    folder = words_ending_in_a_low_id(tmp_path)
    name = register_architecture(tmp_path, "tiny-foreign-words")
    with pytest.raises(ModelError, match="not the end-of-text token"):
        OpenClipConfig(name=name, tokenizer=folder).build()
