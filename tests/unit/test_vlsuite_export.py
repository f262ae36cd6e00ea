import json
import os
import shutil
import stat

import open_clip
import pytest
import torch
from huggingface_hub import ModelCard
from safetensors.torch import load_file

from data_pipelines.shards.manifest import Manifest, Origin, ShardEntry
from tests.support.tiny_models import register_architecture, tiny_model, tiny_run, tiny_tokenizer
from vlsuite.cli.main import main
from vlsuite.errors import ModelError, RunFolderError
from vlsuite.export.new_file import replacing, write_text, write_weights
from vlsuite.export.run_history import read_run
from vlsuite.models.dual_encoder import export_forms as forms
from vlsuite.models.dual_encoder.config import OpenClipConfig
from vlsuite.models.dual_encoder.huggingface import find_misfit
from vlsuite.models.dual_encoder.huggingface_tokenizer import clip_tokenizer
from vlsuite.models.dual_encoder.model_card import write_model_card
from vlsuite.models.dual_encoder.open_clip_folder import keeps_text_tower_apart, portable_model_cfg

BIG = forms.Difference(images=1e-3, texts=0.0, logits=0.0)


@pytest.fixture
def tokenizer(tmp_path):
    return tiny_tokenizer(tmp_path / "tokenizer")


@pytest.fixture
def tiny(tmp_path, tokenizer):
    return tiny_model(register_architecture(tmp_path), tokenizer=tokenizer)


@pytest.fixture
def run(tmp_path, tiny):
    """A run with checkpoints of steps 10 and 20, the later one with other weights."""
    tiny_run(tmp_path / "run", tiny, step=10)
    later = tiny_model(tiny.config.name, tokenizer=tiny.config.tokenizer, seed=1)
    return tiny_run(tmp_path / "run", later, step=20).path


def export(*arguments) -> int:
    return main(["export", *map(str, arguments)])


def weights_of(folder):
    return load_file(folder / "open_clip_model.safetensors")


def fill_the_disk(path):
    with replacing(path) as new:
        new.write_text("half")
        raise OSError(28, "No space left on device")


class TestNewFile:
    @pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
    def test_files_follow_the_umask(self, tmp_path, mask):
        previous = os.umask(mask)
        try:
            write_weights(tmp_path / "a.safetensors", {"a": torch.ones(2)})
            write_text(tmp_path / "a.txt", "a")
        finally:
            os.umask(previous)
        for path in tmp_path.iterdir():
            assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask

    def test_views_of_one_storage_are_stored_apart(self, tmp_path):
        whole = torch.arange(6.0)
        write_weights(tmp_path / "a.safetensors", {"x": whole[:3], "y": whole[3:], "z": whole})
        stored = load_file(tmp_path / "a.safetensors")
        assert stored["y"].tolist() == [3, 4, 5]
        assert torch.equal(stored["z"], whole)

    def test_failure_leaves_the_old_file_and_nothing_else(self, tmp_path):
        write_text(tmp_path / "a.txt", "old")
        with pytest.raises(RunFolderError, match="--out"):
            fill_the_disk(tmp_path / "a.txt")
        assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
        assert (tmp_path / "a.txt").read_text() == "old"

    def test_a_file_where_a_folder_should_be(self, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(RunFolderError, match="cannot write"):
            write_text(tmp_path / "file" / "a.txt", "a")


class TestOpenClipForm:
    def test_the_bias_of_the_architecture_is_not_that_of_the_model(self, tiny):
        tiny.built.model_cfg["init_logit_bias"] = -10
        assert "init_logit_bias" not in portable_model_cfg(tiny.built, logit_bias=None)
        assert portable_model_cfg(tiny.built, logit_bias=-3.0)["init_logit_bias"] == -3.0

    def test_a_replaced_tokenizer_takes_its_cleaning_away(self, tiny):
        tiny.built.model_cfg["text_cfg"]["tokenizer_kwargs"] = {"clean": "canonicalize"}
        assert "tokenizer_kwargs" not in portable_model_cfg(tiny.built, logit_bias=None)["text_cfg"]

    def test_no_path_of_this_machine_is_written(self, tiny, tokenizer):
        cfg = json.dumps(portable_model_cfg(tiny.built, logit_bias=None))
        assert tokenizer not in cfg

    def test_hugging_face_text_towers_are_kept_apart(self):
        assert keeps_text_tower_apart({"text_cfg": {"hf_model_name": "roberta-base"}})
        assert not keeps_text_tower_apart({"text_cfg": {}})


class TestHuggingFaceForm:
    @pytest.mark.parametrize(
        ("changes", "named"),
        [
            ({"vision_cfg": {"layers": [1, 1, 1, 1]}}, "ResNet"),
            ({"vision_cfg": {"timm_model_name": "convnext_base"}}, "convnext_base"),
            ({"vision_cfg": {"pool_type": "avg"}}, "pool_type='avg'"),
            ({"vision_cfg": {"attentional_pool": True}}, "attentional_pool"),
            ({"vision_cfg": {"ls_init_value": 0.1}}, "ls_init_value"),
            ({"vision_cfg": {"no_ln_pre": True}}, "no_ln_pre"),
            ({"vision_cfg": {"patch_size": [8, 4]}}, "patches"),
            ({"vision_cfg": {"norm_kwargs": {"bias": False}}}, "norm_kwargs"),
            ({"vision_cfg": {"of_a_later_version": 1}}, "of_a_later_version"),
            ({"text_cfg": {"hf_model_name": "roberta-base"}}, "roberta-base"),
            ({"text_cfg": {"no_causal_mask": True}}, "no_causal_mask"),
            ({"text_cfg": {"pool_type": "last"}}, "pool_type='last'"),
            ({"text_cfg": {"proj_bias": True}}, "proj_bias"),
            ({"text_cfg": {"act_kwargs": {"approximate": "tanh"}}}, "act_kwargs"),
            ({"text_cfg": {"tokenizer_kwargs": {"clean": "canonicalize"}}}, "tokenizer_kwargs"),
            ({"multimodal_cfg": {}}, "multimodal_cfg"),
        ],
    )
    def test_what_does_not_fit_is_named(self, tiny, changes, named):
        for key, value in changes.items():
            if isinstance(tiny.built.model_cfg.get(key), dict):
                tiny.built.model_cfg[key] |= value
            else:
                tiny.built.model_cfg[key] = value
        assert named in (find_misfit(tiny.built, logit_bias=None) or "")

    def test_plain_vit_fits(self, tiny):
        assert find_misfit(tiny.built, logit_bias=None) is None

    def test_logit_bias_does_not_fit(self, tiny):
        assert "logit bias" in (find_misfit(tiny.built, logit_bias=-9.0) or "")

    @pytest.mark.parametrize(
        ("preprocess", "named"),
        [({"size": (16, 24)}, "16 x 24"), ({"resize_mode": "longest"}, "longest")],
    )
    def test_views_that_do_not_fit(self, tiny, preprocess, named):
        tiny.built.preprocess.update(preprocess)
        assert named in (find_misfit(tiny.built, logit_bias=None) or "")

    def test_end_of_text_must_have_the_highest_id(self, tiny):
        tiny.built.model_cfg["text_cfg"]["vocab_size"] += 5
        with pytest.raises(ModelError, match="not the highest"):
            clip_tokenizer(tiny.built)

    def test_ids_of_the_standard_vocabulary(self, tmp_path):
        captions = [
            "It\u2019s 25\u00a0% off &amp; more...",
            "<b>don't</b>",
            "caf\u00e9 cafe\u0301",
            "",
        ]
        built = tiny_model(register_architecture(tmp_path, "tiny-standard")).built
        ours = clip_tokenizer(built)(captions, padding="max_length", max_length=16)["input_ids"]
        theirs = open_clip.SimpleTokenizer(context_length=16)(captions)
        for mine, reference in zip(ours, theirs.tolist(), strict=True):
            end = reference.index(max(reference)) + 1
            assert mine[:end] == reference[:end]


class TestCommand:
    def test_newest_checkpoint_by_default_and_any_other_by_step(self, tmp_path, run, tiny, capsys):
        assert export(run, "--out", tmp_path / "new") == 0
        assert "step 20" in capsys.readouterr().out
        assert export(run, "--out", tmp_path / "old", "--step", 10) == 0
        wanted = tiny.built.encoder.state_dict()["visual.proj"]
        assert torch.equal(weights_of(tmp_path / "old")["visual.proj"], wanted)
        assert not torch.equal(weights_of(tmp_path / "new")["visual.proj"], wanted)

    def test_transformers_form(self, tmp_path, run, capsys):
        assert export(run, "--format", "huggingface") == 0
        assert "transformers alone" in capsys.readouterr().out
        assert (run / "export_huggingface" / "model.safetensors").is_file()
        assert "CLIPModel" in (run / "export_huggingface" / "README.md").read_text()

    def test_siglip_run_has_its_bias_and_no_transformers_form(self, tmp_path, tiny, capsys):
        biased = tiny._replace(logit_bias=-7.5)
        run = tiny_run(tmp_path / "siglip", biased, step=5, objective="siglip").path
        assert export(run, "--out", tmp_path / "out") == 0
        assert float(weights_of(tmp_path / "out")["logit_bias"]) == pytest.approx(-7.5)
        assert export(run, "--format", "huggingface", "--out", tmp_path / "hf") == 2
        assert "logit bias" in capsys.readouterr().err
        assert not list(tmp_path.glob("*hf*"))

    def test_a_model_that_is_no_run(self, tmp_path, run):
        assert export(run, "--out", tmp_path / "first") == 0
        assert export(tmp_path / "first", "--out", tmp_path / "second") == 0
        first, second = weights_of(tmp_path / "first"), weights_of(tmp_path / "second")
        assert all(torch.equal(first[name], second[name]) for name in first)
        assert "Converted" in (tmp_path / "second" / "README.md").read_text()

    def test_missing_step(self, run, tmp_path, capsys):
        assert export(run, "--step", 15, "--out", tmp_path / "out") == 2
        assert "there are: 10, 20" in capsys.readouterr().err

    def test_no_checkpoint_yet(self, run, tmp_path, capsys):
        for path in (run / "checkpoints").iterdir():
            shutil.rmtree(path)
        assert export(run, "--out", tmp_path / "out") == 2
        assert "no complete checkpoint" in capsys.readouterr().err

    def test_step_of_what_is_no_run(self, tmp_path, capsys):
        assert export("ViT-B-32:openai", "--step", 3, "--out", tmp_path / "out") == 2
        assert "--step needs a run folder" in capsys.readouterr().err

    def test_no_folder_to_write_to(self, capsys):
        assert export("ViT-B-32:openai") == 2
        assert "--out DIR" in capsys.readouterr().err

    def test_an_export_is_replaced_only_when_asked(self, run, tmp_path, capsys):
        out = tmp_path / "out"
        assert export(run, "--format", "huggingface", "--out", out) == 0
        assert export(run, "--out", out) == 2
        assert "--overwrite" in capsys.readouterr().err
        assert export(run, "--out", out, "--overwrite") == 0
        assert not (out / "model.safetensors").exists()
        assert [path.name for path in tmp_path.glob(".*")] == []

    def test_other_files_are_never_replaced(self, run, tmp_path, capsys):
        (tmp_path / "notes.txt").write_text("mine")
        assert export(run, "--out", tmp_path, "--overwrite") == 2
        assert "holds other files" in capsys.readouterr().err
        assert (tmp_path / "notes.txt").read_text() == "mine"

    def test_a_folder_that_differs_is_not_kept(self, run, tmp_path, capsys, monkeypatch):
        monkeypatch.setattr(forms, "difference", lambda *_, **__: BIG)
        assert export(run, "--out", tmp_path / "out") == 2
        assert "other embeddings" in capsys.readouterr().err
        assert not list(tmp_path.glob("*out*"))

    @pytest.mark.parametrize("value", [2e-5, float("nan"), float("inf")])
    def test_what_counts_as_different(self, value):
        assert forms.Difference(images=0.0, texts=1e-5, logits=0.0).is_small
        for position in range(3):
            values = [0.0, 0.0, 0.0]
            values[position] = value
            assert not forms.Difference(*values).is_small

    def test_a_tokenizer_that_went_away_is_taken_from_the_export(self, run, tmp_path, tokenizer):
        assert export(run) == 0
        for path in (tmp_path / "tokenizer").iterdir():
            path.unlink()
        assert export(run, "--out", tmp_path / "again") == 0


def test_pretrained_weights_are_not_needed_but_their_view_is(tmp_path, monkeypatch):
    tag = {"mean": (0.5, 0.5, 0.5), "interpolation": "bilinear", "url": "", "size": 999}
    monkeypatch.setattr(open_clip, "get_pretrained_cfg", lambda name, pretrained: tag)
    config = OpenClipConfig(name=register_architecture(tmp_path), pretrained="published")
    preprocess = config.rebuild(tmp_path / "export").preprocess
    assert preprocess["mean"] == (0.5, 0.5, 0.5)
    assert preprocess["interpolation"] == "bilinear"
    assert preprocess["size"] == (16, 16)


def result(dataset: str, value: float, probe: tuple[float, ...] = (0.1, 0.2)) -> dict:
    return {
        "benchmark": "zero_shot",
        "dataset": dataset,
        "split": "test",
        "scores": {"top1": {"value": value, "low": value - 0.1, "high": value + 0.1, "n": 50}},
        "chance": {"top1": 0.25},
        "origin": {"model_probe": list(probe)},
    }


class TestModelCard:
    @pytest.fixture
    def history(self, run, tmp_path):
        """Reads the run back after it got shards with a manifest, results and a log."""
        shards = tmp_path / "shards"
        shards.mkdir()
        (shards / "train-000000.tar").write_bytes(b"")
        origin = Origin(source="Drawings", licence="CC-BY-4.0", attribution="By A | B")
        entry = ShardEntry(name="train-000000.tar", samples=7, bytes=0, sha256="")
        Manifest(origin=origin, layout="pairs", shards=(entry,)).save(shards)
        stored = json.loads((run / "config.json").read_text())
        stored["config"]["data"]["train"] = [str(shards)]
        (run / "config.json").write_text(json.dumps(stored))
        (run / "results").mkdir()
        (run / "results" / "a.json").write_text(json.dumps(result("flowers", 0.5)))
        (run / "results" / "b.json").write_text(json.dumps(result("birds", 0.6, (9.0, 9.0))))
        (run / "results" / "c.json").write_text("{")
        lines = [
            {"kind": "train", "step": 5, "loss": 1.0},
            {"kind": "eval", "step": 10, "results": [result("flowers", 0.3), result("cars", 0.4)]},
            {"kind": "eval", "step": 20, "results": [result("flowers", 0.7), result("cars", 0.8)]},
        ]
        text = "\n".join(map(json.dumps, lines)) + "\n{half a li"
        (run / "metrics.jsonl").write_text(text)

        def read(step=20, probe=(0.1, 0.2)):
            return read_run(run, step=step, samples_seen=16 * step, probe=probe)

        return read

    def test_own_results_first_then_the_last_evaluation_in_training(self, history):
        found = {m.dataset: (m.value, m.when) for m in history().measurements}
        assert found == {"flowers": (0.5, "vlsuite eval"), "cars": (0.8, "in training, step 20")}

    def test_results_of_other_weights_and_broken_files_are_named(self, history):
        problems = "\n".join(history().problems)
        assert "b.json: measured on other weights" in problems
        assert "c.json" in problems
        assert "metrics.jsonl: line 4 is no JSON" in problems

    def test_evaluations_after_the_exported_step_are_left_out(self, history):
        found = {m.dataset: m.value for m in history(step=15, probe=None).measurements}
        assert found == {"flowers": 0.3, "cars": 0.4}
        assert history(step=9, probe=None).measurements == []

    def test_card(self, history, tiny, tmp_path):
        write_model_card(
            tmp_path / "out", tiny.built, name="run", library="open_clip", history=history()
        )
        card = ModelCard((tmp_path / "out" / "README.md").read_text())
        assert card.data.library_name == "open_clip"
        assert card.data.pipeline_tag == "zero-shot-image-classification"
        scores = {(r.dataset_name, r.metric_type): r.metric_value for r in card.data.eval_results}
        assert scores == {("flowers", "top1"): 0.5, ("cars", "top1"): 0.8}
        assert (
            "| zero_shot | flowers | top1 | 0.5000 | 0.4000 to 0.6000 | 0.2500 | 50 |" in card.text
        )
        assert "| Drawings | 7 | CC-BY-4.0 |" in card.text
        assert "By A | B" in card.text
        for part in (
            "local-dir:FOLDER",
            "load_model",
            "20 steps, 320 samples",
            '"optim"',
            "torch ",
        ):
            assert part in card.text

    def test_a_run_without_results_or_manifest_has_a_card_too(self, run, tiny, tmp_path):
        history = read_run(run, step=20, samples_seen=320)
        write_model_card(tmp_path, tiny.built, name="run", library="transformers", history=history)
        text = (tmp_path / "README.md").read_text()
        assert "None yet" in text
        assert "CLIPModel.from_pretrained" in text
