"""Train, resume, evaluate and compare from Python, in this process."""

import json
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import vlsuite
from data_pipelines.settings import to_dict
from tests.support.embedding_model import SmallClip
from tests.support.evaluation_data import labelled, write_evaluation_folder
from tests.support.runs import make_shards, small_config
from vlsuite.cli.main import main
from vlsuite.errors import ConfigError, RunFolderError

CLASSES = ("cat", "dog", "bird")


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """Pairs to train on."""
    return make_shards(tmp_path_factory.mktemp("pairs"))


@pytest.fixture(scope="module")
def classified(tmp_path_factory):
    """Pictures of three classes."""
    folder = tmp_path_factory.mktemp("eval") / "set"
    return write_evaluation_folder(
        folder, labelled(12, num_classes=3), class_names=CLASSES, templates=("a {c}",)
    )


@pytest.fixture(scope="module")
def run(shards, classified, tmp_path_factory):
    """Four steps with an evaluation after the last."""
    config = small_config(shards, f"validation.data={classified}")
    return vlsuite.train(config, out=tmp_path_factory.mktemp("runs") / "first")


def test_a_run_tells_what_came_out(run, shards):
    assert (run.step, run.samples_seen) == (4, 64)
    assert [r["step"] for r in run.records if r["kind"] == "train"] == [1, 2, 3, 4]
    assert run.metrics["loss"] > 0
    assert [result["benchmark"] for result in run.validation] == ["zero_shot"]
    board = EventAccumulator(str(run.folder / "tensorboard"))
    board.Reload()
    (event,) = board.Scalars("eval/set/zero_shot/top1")
    assert event.value == pytest.approx(run.validation[0]["scores"]["top1"]["value"])
    assert len(board.Tags()["images"]) == run.config.validation.examples
    model = run.model(device="cpu")
    embeds = vlsuite.embed_images(model, [vlsuite.open_shards(shards)[0].image])
    assert embeds.shape == (1, model.embed_dim)


def test_python_and_the_command_line_train_the_same(run, shards, classified, tmp_path):
    settings = [f"--set={text}" for text in _as_overrides(small_config(shards))]
    out = tmp_path / "command"
    assert main(["train", "cifar10", *settings, f"--out={out}"]) == 0
    stored = json.loads((out / "config.json").read_text())
    assert stored["recipe"] == "cifar10"
    losses = [_losses(folder) for folder in (run.folder, out)]
    assert losses[0] == losses[1]


def test_resume_refuses_continues_and_records(shards, tmp_path):
    config = small_config(shards)
    with pytest.raises(RunFolderError, match="nothing to resume"):
        vlsuite.train("cifar10", data=shards, out=tmp_path / "run", resume=True)
    vlsuite.train(config, out=tmp_path / "run", resume="auto")
    with pytest.raises(RunFolderError, match="already holds a run"):
        vlsuite.train(config, out=tmp_path / "run")
    with pytest.raises(RunFolderError, match="a run of recipe 'custom', not 'cifar10'"):
        vlsuite.train("cifar10", data=shards, out=tmp_path / "run", resume=True)
    run = vlsuite.train(out=tmp_path / "run", resume=True, duration="6steps")
    assert run.step == 6
    changes = [json.loads(line) for line in (run.folder / "changes.jsonl").open()]
    assert [change["changes"] for change in changes] == [{"duration": ["4steps", "6steps"]}]
    assert main(["train", "--resume", f"--out={run.folder}", "--show-config"]) == 0


def test_wrong_calls_end_in_one_line(shards, tmp_path):
    with pytest.raises(ConfigError, match="needs shards"):
        vlsuite.train("cifar10", out=tmp_path / "x")
    with pytest.raises(ConfigError, match="no run folder"):
        vlsuite.train(small_config(shards))
    with pytest.raises(ConfigError, match="nothing to train"):
        vlsuite.train(out=tmp_path / "x")
    with pytest.raises(ConfigError, match="does not divide"):
        vlsuite.train(small_config(shards), out=tmp_path / "x", micro_batch_size=5)
    assert not (tmp_path / "x").exists()


def test_evaluation_of_an_object_keeps_nothing(classified, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    (result,) = vlsuite.evaluate(SmallClip(), classified)
    assert (result.benchmark, result.num_samples, result.model) == ("zero_shot", 12, "small-clip")
    # what is kept is an index of the shards, which holds no number of the model
    assert {path.name for path in tmp_path.iterdir()} <= {"cache"}
    assert not list((tmp_path / "cache").rglob("*.safetensors"))
    assert not list((tmp_path / "cache").rglob("embeddings"))


def test_evaluation_equals_that_of_the_command(run, classified, tmp_path):
    out = tmp_path / "results"
    arguments = ["--data", str(classified), "--no-cache", "--examples", "0", "--out", str(out)]
    assert main(["eval", str(run.folder), *arguments]) == 0
    (result,) = vlsuite.evaluate(run.folder, classified, cache=tmp_path / "cache")
    (stored,) = (json.loads(path.read_text()) for path in out.glob("*.json"))
    measured = json.loads(json.dumps(result.to_dict()))
    del stored["origin"]["environment"], measured["origin"]["environment"]
    assert measured == stored
    assert any((tmp_path / "cache").iterdir())


def test_class_names_and_templates_may_be_lists(classified):
    names = ("lion", "wolf", "eagle")
    (result,) = vlsuite.evaluate(
        SmallClip(), [classified], class_names=names, templates=["one {c}", "two {c}"]
    )
    assert result.details["templates"] == ["one {c}", "two {c}"]
    with pytest.raises(ConfigError, match="one name a class"):
        vlsuite.evaluate(SmallClip(), classified, class_names=["a", "b\nc", "d"])


def test_options_reach_their_task_and_unknown_ones_are_refused(classified):
    (result,) = vlsuite.evaluate(
        SmallClip(),
        classified,
        tasks="corruptions",
        options={"corruptions": {"kinds": ["fog"], "severities": [2], "max_images": 5}},
    )
    assert result.num_samples == 5
    with pytest.raises(ConfigError, match="did you mean 'ood'"):
        vlsuite.evaluate(SmallClip(), classified, options={"odd": "x"})
    with pytest.raises(ConfigError, match="did you mean 'max_images'"):
        vlsuite.evaluate(SmallClip(), classified, options={"corruptions": {"max_image": 5}})


def test_an_object_that_is_no_model_is_told_what_it_lacks(classified):
    class Half:
        name = "half"

        def embed_images(self, images):
            """Nothing."""

    with pytest.raises(ConfigError, match="Half cannot be evaluated, it has no device, embed_dim"):
        vlsuite.evaluate(Half(), classified)
    with pytest.raises(ConfigError, match="belong to a model given by name"):
        vlsuite.evaluate(SmallClip(), classified, options={"model.temperature": 1})


def test_results_models_and_folders_are_compared(classified, tmp_path):
    first, second = SmallClip(name="one"), SmallClip(seed=1, name="two")
    measured = vlsuite.compare([first, second], classified, out=tmp_path / "measured")
    results = [vlsuite.evaluate(model, classified) for model in (first, second)]
    given = vlsuite.compare(results, out=tmp_path / "given")
    assert measured.text == given.text
    assert Path(given.page).is_file()
    with pytest.raises(ConfigError, match="two models"):
        vlsuite.compare([first], classified)
    with pytest.raises(ConfigError, match="would have the same file names"):
        vlsuite.compare([first, first], classified)
    with pytest.raises(ConfigError, match="give data"):
        vlsuite.compare(results, tasks="zero_shot")


def _losses(folder: Path) -> list[float]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if line["kind"] == "train"]


def _as_overrides(config) -> list[str]:
    """The settings of ``small_config`` as text, over whatever a recipe has."""
    wanted = to_dict(config)
    chosen = [f"{key}={wanted[key]}" for key in ("duration", "global_batch_size", "threads")]
    for group in ("model", "data", "optim", "logging", "checkpoint"):
        for key, value in wanted[group].items():
            if isinstance(value, str | int | float) and key != "kind":
                chosen.append(f"{group}.{key}={value}")
    train, betas = wanted["data"]["train"], wanted["optim"]["betas"]
    chosen += [f"data.train={','.join(train)}", f"optim.betas={betas[0]},{betas[1]}"]
    return [*chosen, "validation.every=1000steps"]
