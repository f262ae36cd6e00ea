"""Overrides are typed, unknown keys are named, and a config survives JSON."""

import json

import pytest

from data_pipelines.settings import apply_overrides, differences, from_dict, parse_value, to_dict
from vlsuite.engine.config import TrainConfig
from vlsuite.errors import ConfigError, UnknownNameError
from vlsuite.recipes import registry as recipes


def test_override_parses_as_the_declared_type():
    config = apply_overrides(
        TrainConfig(),
        [
            "optim.lr=3e-4",
            "global_batch_size=4096",
            "compile=true",
            "optim.grad_clip_norm=none",
            "data.train=a.tar,b.tar",
            "data.augment.crop_scale=0.5,1",
            "duration=1e3samples",
        ],
    )
    assert config.optim.lr == 3e-4
    assert config.global_batch_size == 4096
    assert config.compile is True
    assert config.optim.grad_clip_norm is None
    assert config.data.train == ("a.tar", "b.tar")
    assert config.data.augment.crop_scale == (0.5, 1.0)
    assert config.duration.steps(samples_per_step=100, samples_per_epoch=7) == 10


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optim.lrr=1", "did you mean 'lr'"),
        ("optim.lr=fast", "expected float"),
        ("global_batch_size=1.5", "expected int"),
        ("compile=maybe", "expected true or false"),
        ("precision=fp8", "choose from fp32, bf16, fp16"),
        ("optim=1", "set one of its fields"),
        ("seed.x=1", "has no sub-keys"),
        ("lr", "expected key=value"),
        ("duration=10", "a number and a unit"),
        ("optim.lr=-1", "must be positive"),
        ("data.augment.crop_scale=0,1", "0 < low"),
    ],
)
def test_wrong_override_says_how_to_fix(override, message):
    with pytest.raises(ConfigError, match=message):
        apply_overrides(TrainConfig(), [override])


def test_component_is_chosen_by_name_and_then_configured():
    config = apply_overrides(TrainConfig(), ["objective=siglip", "objective.tile_size=64"])
    assert type(config.objective).__name__ == "SiglipConfig"
    assert config.objective.tile_size == 64
    with pytest.raises(UnknownNameError, match="siglip"):
        apply_overrides(TrainConfig(), ["objective=siglp"])


@pytest.mark.parametrize("name", recipes.names())
def test_every_recipe_survives_json(name):
    config = recipes.get(name)()
    assert from_dict(TrainConfig, json.loads(json.dumps(to_dict(config)))) == config


def test_a_component_is_not_chosen_after_its_own_settings():
    told = ["model.pretrained=openai", "optim.lr=1e-3", "model=storm"]
    with pytest.raises(ConfigError, match=r"model=storm undoes --set model\.pretrained=openai"):
        apply_overrides(TrainConfig(), told)
    assert apply_overrides(TrainConfig(), ["model=storm", "model.layers=1"]).model.layers == 1


def test_stored_config_with_an_unknown_key_is_refused():
    stored = to_dict(TrainConfig())
    stored["optim"]["learning_rate"] = 1.0
    with pytest.raises(ConfigError, match=r"optim\.learning_rate"):
        from_dict(TrainConfig, stored)


def test_commas_inside_braces_belong_to_the_value():
    assert parse_value("a/{x,y}.tar,b.tar", tuple[str, ...], where="data.train") == (
        "a/{x,y}.tar",
        "b.tar",
    )


def test_differences_name_what_changed():
    before = TrainConfig()
    after = apply_overrides(before, ["seed=3", "optim.lr=0.1"])
    assert differences(before, after) == {"optim.lr": (5e-4, 0.1), "seed": (0, 3)}
