"""One grammar of model names: what each form is taken for, and what is refused in one line."""

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from data_pipelines.errors import ConfigError, UnknownNameError
from data_pipelines.registry import Registry
from eval.errors import EvaluationError
from eval.opening import forms, open_embedding_model, open_model, openers, parsed, settings_of
from eval.respondents.baselines import Rule, RuleSettings
from eval.respondents.endpoint_settings import EndpointSettings
from vlsuite.errors import ModelError


@pytest.mark.parametrize(
    ("name", "kind", "halves"),
    [
        ("ViT-B-32:openai", "architecture", ("ViT-B-32", "openai")),
        ("ViT-B-32:/a/b:c.safetensors", "architecture", ("ViT-B-32", "/a/b:c.safetensors")),
        ("ViT-B-32", "architecture", ("ViT-B-32", "")),
        ("runs/gone", "architecture", ("runs/gone", "")),
        ("runs/a:b", "architecture", ("runs/a", "b")),
        ("local-dir:/some/where", "local-dir", ("/some/where", "")),
        ("hf-hub:org/name", "hf-hub", ("org/name", "")),
        ("transformers:Qwen/Qwen2.5-Omni-7B", "transformers", ("Qwen/Qwen2.5-Omni-7B", "")),
        ("transformers:/a:b/c", "transformers", ("/a:b/c", "")),
        ("http://host:80/v1#a/b:c", "http", ("http://host:80/v1", "a/b:c")),
        ("https://host/v1", "https", ("https://host/v1", "")),
        ("dual:runs/a+clap:x", "dual", ("runs/a+clap:x", "")),
        ("clap:laion/clap", "clap", ("laion/clap", "")),
        ("baseline:random", "baseline", ("random", "")),
    ],
)
def test_names_are_taken_apart(name: str, kind: str, halves: tuple[str, str]) -> None:
    found = parsed(name)
    assert found.kind == kind
    assert found.halves == halves


def test_an_existing_folder_comes_before_all_kinds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "transformers:x").mkdir()
    assert parsed("transformers:x") == ("folder", "transformers:x")
    assert parsed("transformers:y") == ("transformers", "y")
    with pytest.raises(ModelError, match="no model in transformers:x"):
        open_model("transformers:x")


@pytest.mark.parametrize(
    ("name", "error", "told"),
    [
        ("", ModelError, "ARCHITECTURE:WEIGHTS"),
        ("transformers:", ModelError, "write transformers:NAME"),
        ("ftp://host/v1#m", UnknownNameError, "unknown kind of model 'ftp'"),
        ("trnsformers:a/b", UnknownNameError, "KIND baseline, clap, dual, hf-hub, http"),
        ("runs/gone", ModelError, "no such folder: runs/gone"),
        ("runs/a:b", ModelError, "no such folder: runs/a:b"),
        ("ViT-B-32:", ModelError, "has no weights"),
        ("baseline:guess", EvaluationError, "choose from random"),
    ],
)
def test_mistakes_are_one_line(name: str, error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told) as caught:
        open_model(name)
    assert "\n" not in str(caught.value)


def test_settings_belong_to_kinds() -> None:
    assert settings_of("https://host/v1#m") is EndpointSettings
    assert settings_of("ViT-B-32:openai") is None
    rule = open_model("baseline:random", settings=["seed=3"])
    assert rule == open_model("baseline:random", settings=RuleSettings(seed=3))
    assert isinstance(rule, Rule)
    assert rule.seed == 3
    for settings in (["sead=3"], EndpointSettings()):
        with pytest.raises(ConfigError, match=r"model\.sead.*seed|give a RuleSettings"):
            open_model("baseline:random", settings=settings)
    with pytest.raises(ConfigError, match="has no settings"):
        open_model("ViT-B-32:openai", settings=["seed=3"])


def test_what_answers_alone_is_refused_where_embeddings_are_wanted() -> None:
    with pytest.raises(EvaluationError, match="does not embed pictures and texts"):
        open_embedding_model("baseline:random")


def test_strangers_add_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openers, "_entries", dict(openers._entries))

    @openers.register("mine")
    @dataclass(frozen=True)
    class MySettings:
        times: int = 1

        def open(self, rest: str, device: torch.device) -> str:
            return f"{rest * self.times} on {device}"

    assert parsed("mine:x") == ("mine", "x")
    assert "mine" in forms()
    assert open_model("mine:ab", settings=["times=2"]) == "abab on cpu"


def test_a_registry_looks_in_further_packages() -> None:
    own: Registry = Registry("parser", package="vlsuite.recipes", variable="parsers")
    assert own.names() == []
    own.also_in("eval.omnibench.parsers")
    assert "lmms" in own.names()
