"""Equal identities mean equal outputs: what changes an embedding changes the identity."""

import dataclasses
import functools
import json
from typing import Any

import pytest
import torch
from torch import nn

from tests.support.tiny_models import register_architecture, tiny_tokenizer
from vlsuite.batches.tokenizer import load_tokenizer
from vlsuite.models.dual_encoder.clip import Clip
from vlsuite.models.dual_encoder.config import OpenClipConfig
from vlsuite.models.identity import TOKENIZER_PROBES, identity, tokenizer_identity


def clip_of(folder, name, *, state=None, **changes):
    """A Clip whose weights are those of ``state``, whatever its architecture says besides."""
    torch.manual_seed(0)
    built = OpenClipConfig(name=register_architecture(folder, name, **changes)).build()
    if state is not None:
        built.encoder.load_state_dict(state)
    return Clip(
        "same name",
        built,
        built.tokenizer,
        encode=built.encoder.eval(),
        logit_scale=10.0,
        logit_bias=0.0,
        device=torch.device("cpu"),
    )


SAME_WEIGHTS = {
    "quick_gelu": {"quick_gelu": True},
    "image heads": {"vision_cfg": {"head_width": 8}},
    "text heads": {"text_cfg": {"heads": 4}},
    "text pooling": {"text_cfg": {"pool_type": "last"}},
    "end of text": {"text_cfg": {"pool_type": "eos", "eos_id": 7}},
    "picture pooling": {"vision_cfg": {"pool_type": "avg"}},
    "norm before pooling": {"vision_cfg": {"final_ln_after_pool": True}},
    "epsilon": {"text_cfg": {"norm_kwargs": {"eps": 0.1}}},
    "no causal mask": {"text_cfg": {"no_causal_mask": True}},
    "cleaning": {"text_cfg": {"tokenizer_kwargs": {"clean": "canonicalize"}}},
}


@pytest.mark.parametrize("changes", SAME_WEIGHTS.values(), ids=SAME_WEIGHTS)
def test_a_setting_without_weights_makes_another_model(tmp_path, changes):
    plain = clip_of(tmp_path, "identity-plain")
    state = {k: v.clone() for k, v in plain._built.encoder.state_dict().items()}
    other = clip_of(tmp_path, "identity-other", state=state, **changes)
    assert other.fingerprint != plain.fingerprint


def test_the_same_model_built_again_has_the_same_identity(tmp_path):
    first = clip_of(tmp_path, "identity-twice")
    first.embed_texts(["a cat", "two dogs"])  # fills caches
    again = clip_of(tmp_path, "identity-twice")
    again._built.encoder.train()
    again._built.encoder.text.transformer.grad_checkpointing = True  # type: ignore[union-attr]
    assert again.fingerprint == first.fingerprint


def test_preprocessing_and_type_belong_to_it(tmp_path):
    plain = clip_of(tmp_path, "identity-pictures")
    built = plain._built
    for changed in ({"interpolation": "bilinear"}, {"resize_mode": "squash"}, {"mean": (0, 0, 0)}):
        other = dataclasses.replace(built, preprocess=built.preprocess | changed)
        clip = Clip(
            "same name",
            other,
            built.tokenizer,
            encode=built.encoder,
            logit_scale=10.0,
            logit_bias=0.0,
            device=torch.device("cpu"),
        )
        assert clip.fingerprint != plain.fingerprint


def test_the_whole_vocabulary_counts_not_only_the_probes(tmp_path):
    folder = tiny_tokenizer(tmp_path / "words")
    first = load_tokenizer("words", context_length=16, folder=folder)
    again = load_tokenizer("words", context_length=16, folder=folder)
    assert tokenizer_identity(first.base, first) == tokenizer_identity(again.base, again)
    path = tmp_path / "words" / "tokenizer.json"
    rules = json.loads(path.read_text())
    words = rules["model"]["vocab"]
    words["x</w>"], words["j</w>"] = words.get("j</w>", 200), words["x</w>"]  # no probe has them
    path.write_text(json.dumps(rules))
    other = load_tokenizer("words", context_length=16, folder=folder)
    probes = list(TOKENIZER_PROBES)
    assert first(probes).equal(other(probes))
    assert tokenizer_identity(first.base, first) != tokenizer_identity(other.base, other)


def test_a_tokenizer_is_the_same_after_it_was_used(tmp_path):
    """Calls leave truncation and padding behind in a compiled tokenizer."""
    tokenizer = load_tokenizer("words", context_length=16, folder=tiny_tokenizer(tmp_path))
    before = tokenizer_identity(tokenizer.base)
    tokenizer(["a cat", "something that is much longer than the context of the model " * 4])
    assert tokenizer_identity(tokenizer.base) == before


class Scaled(nn.Module):
    def __init__(self, factor, *, rule=torch.relu, table=()):
        super().__init__()
        self.factor, self.rule, self.table = factor, rule, table
        self.register_buffer("unsaved", torch.arange(3.0), persistent=False)


def test_plain_attributes_functions_and_unsaved_buffers_count():
    seen = [identity(model=Scaled(2.0)) for _ in range(2)]
    assert seen[0] == seen[1]
    others = [
        Scaled(3.0),
        Scaled(2.0, rule=functools.partial(torch.clamp, max=1.0)),
        Scaled(2.0, rule=functools.partial(torch.clamp, max=2.0)),
        Scaled(2.0, table=[{"a": (1, 2)}]),
        Scaled(2.0, table=[{"a": (1, 3)}]),
    ]
    buffers = Scaled(2.0)
    buffers.get_buffer("unsaved")[0] = 9.0
    found = {identity(model=model) for model in (*others, buffers)}
    assert len(found) == 6
    assert seen[0] not in found


def test_lengths_keep_neighbours_apart():
    assert identity(parts=["ab", "c"]) != identity(parts=["a", "bc"])
    assert identity(a=1, b=None) != identity(a=1)
    assert identity(a=1, b=2) == identity(b=2, a=1)


def test_an_object_that_holds_itself_ends():
    knot: dict[str, Any] = {"name": "knot"}
    knot["again"] = knot
    assert identity(knot=knot) == identity(knot=knot)
