"""What a detector knows of names: kept in files, or shown by pictures."""

import numpy as np
import pytest
import torch
from einops import rearrange

import vlsuite
from tests.support.detectors import NAMES, squares, tiny_config, tiny_detector
from vlsuite.errors import ConfigError, ModelError
from vlsuite.models.dual_encoder.config import OpenClipConfig
from vlsuite.models.vild.examples import moved
from vlsuite.models.vild.model import Vild
from vlsuite.models.vild.prompts import PROMPT_SETS

CPU = torch.device("cpu")


def _teacher(prompts: str = "plain"):
    teacher = tiny_config(prompts=prompts).build_teacher()
    assert teacher is not None
    return teacher


def _refused(*_: object) -> None:
    raise AssertionError("embedded again")


def _pixels(seed: int) -> torch.Tensor:
    return rearrange(torch.from_numpy(squares(seed)[0]), "h w c -> c h w")


class TestKeptNames:
    """A vocabulary is embedded once for a teacher, its prompts and its names."""

    def test_a_second_teacher_reads_what_the_first_wrote(self, tmp_path, monkeypatch):
        first, second = _teacher(), _teacher()
        for teacher in (first, second):
            teacher.keep_in(tmp_path / "names")
        wanted = first.embed_names(["a dog", "a cat"])
        monkeypatch.setattr(second, "_embedded", _refused)
        assert torch.equal(second.embed_names(["a dog", "a cat"]), wanted)
        assert "built" not in vars(second), "the model was opened"

    @pytest.mark.parametrize("other", ["names", "order", "prompts"])
    def test_other_names_or_prompts_are_another_file(self, tmp_path, other):
        first = _teacher()
        second = _teacher("simple" if other == "prompts" else "plain")
        names = {"names": ["a dog", "a cup"], "order": ["a cat", "a dog"]}
        asked = names.get(other, ["a dog", "a cat"])
        wanted = second.embed_names(asked)
        third = _teacher("simple" if other == "prompts" else "plain")
        for teacher in (first, third):
            teacher.keep_in(tmp_path)
        first.embed_names(["a dog", "a cat"])
        assert torch.equal(third.embed_names(asked), wanted)
        assert len(list(tmp_path.glob("*.safetensors"))) == 2

    def test_another_teacher_has_another_digest(self, tmp_path):
        import shutil

        from tests.support.detectors import teacher_folder

        copy = shutil.copytree(teacher_folder(), tmp_path / "copy")
        config = OpenClipConfig(name=f"local-dir:{copy}")
        same = tiny_config(teacher=config).build_teacher()
        assert same is not None
        assert same.digest == _teacher().digest
        (weights,) = copy.glob("*.safetensors")
        weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\1")
        other = tiny_config(teacher=config).build_teacher()
        assert other is not None
        assert other.digest != same.digest

    @pytest.mark.parametrize("broken", [b"", b"nothing", None])
    def test_a_broken_file_is_written_again(self, tmp_path, broken):
        teacher = _teacher()
        teacher.keep_in(tmp_path)
        wanted = teacher.embed_names(["a dog"])
        (path,) = tmp_path.glob("*.safetensors")
        if broken is None:
            from safetensors.torch import save_file

            save_file({"class_embeds": torch.zeros(2, 24)}, path)
        else:
            path.write_bytes(broken)
        again = _teacher()
        again.keep_in(tmp_path)
        assert torch.equal(again.embed_names(["a dog"]), wanted)
        assert path.stat().st_size > 90

    def test_other_prompts_remember_nothing(self):
        teacher = _teacher()
        plain = teacher.embed_names(["a dog"])
        worded = teacher.reworded(PROMPT_SETS["scene"])
        assert not torch.equal(worded.embed_names(["a dog"]), plain)
        assert torch.equal(teacher.embed_names(["a dog"]), plain)


def test_names_in_passes_of_40_80_and_all_are_equal():
    """Spec: the softmax is over the whole vocabulary; 1,203 names of LVIS's number."""
    names = [f"thing {number}" for number in range(1203)]
    model = Vild("x", tiny_detector("ensemble"), device=CPU)
    whole, *others = (
        model.detect([_pixels(5)], names, max_detections=300, names_per_pass=count)[0]
        for count in (None, 40, 80)
    )
    for other in others:
        assert torch.equal(other.labels, whole.labels)
        torch.testing.assert_close(other.scores, whole.scores, rtol=0, atol=1e-6)
        torch.testing.assert_close(other.boxes, whole.boxes, rtol=0, atol=1e-6)


class TestExamples:
    """Pictures in place of names."""

    def test_the_formula_in_float64(self):
        rng = np.random.default_rng(0)
        embeds = rng.normal(size=(3, 5))
        embeds /= np.linalg.norm(embeds, axis=1, keepdims=True)
        of_pictures, of_names = rng.normal(size=(2, 5)) / 3
        mean = [sum(embeds[row][d] for row in range(3)) / 3 for d in range(5)]
        norm = sum(one**2 for one in mean) ** 0.5
        shifted = [mean[d] / norm - of_pictures[d] + of_names[d] for d in range(5)]
        length = sum(one**2 for one in shifted) ** 0.5
        found = moved(*map(torch.from_numpy, (embeds, of_pictures, of_names)))
        np.testing.assert_allclose(found, np.array(shifted) / length, rtol=0, atol=1e-12)

    def test_a_gap_between_pictures_and_names_changes_nothing(self):
        """A constant added to all pictures is taken out: an example is as near as its name is."""
        torch.manual_seed(0)
        names = torch.nn.functional.normalize(
            torch.randn(50, 16, dtype=torch.float64) / 8 + 1, dim=1
        )
        gap = torch.randn(16, dtype=torch.float64)
        scale = 1 / (names + gap).norm(dim=1, keepdim=True)
        found = moved(
            names[:1], names.mean(0) + gap * scale.mean(), names.mean(0) + gap * scale.mean()
        )
        torch.testing.assert_close(found, names[0], rtol=0, atol=1e-12)

    @pytest.mark.parametrize("mode", ["text", "image", "vild", "ensemble", "crop"])
    def test_words_and_pictures_mix(self, mode):
        model = Vild("x", tiny_detector(mode), device=CPU)
        around = [_pixels(1), _pixels(2)]
        shown = model.with_examples({"mug": [_pixels(3), _pixels(4)]}, around=around)
        kwargs = {"max_detections": 40}
        (plain,) = model.detect(around[:1], ["red", "mug"], **kwargs)
        (found,) = shown.detect(around[:1], ["red", "mug"], **kwargs)
        assert set(found.labels.tolist()) <= {0, 1}
        assert not torch.equal(found.scores, plain.scores)
        assert shown.fingerprint != model.fingerprint
        assert torch.equal(
            model.detect(around[:1], ["red", "mug"], **kwargs)[0].scores, plain.scores
        )

    def test_a_shown_name_is_no_trained_one(self):
        """In the ensemble the exponents of base names are for words that had labels."""
        settings = {"base_exponent": 1.0, "novel_exponent": 0.0}
        from tests.support.detectors import tiny_network

        model = Vild("x", tiny_detector("ensemble", network=tiny_network(**settings)), device=CPU)
        around = [_pixels(1)]
        as_red, as_mug = (
            model.with_examples({name: [_pixels(3)]}, around=around).detect(
                around, [name, "blue"], max_detections=40
            )[0]
            for name in ("red", "mug")
        )
        assert torch.equal(as_red.scores, as_mug.scores)

    def test_without_a_teacher_there_is_one_line(self):
        model = Vild("x", tiny_detector("supervised"), device=CPU)
        with pytest.raises(ConfigError, match="without a teacher"):
            model.with_examples({"mug": [_pixels(3)]}, around=[_pixels(1)])
        with pytest.raises(ConfigError, match="without a teacher"):
            model.with_prompts(["a {c}"])

    def test_an_export_whose_teacher_is_gone_says_how_to_get_it(self, tmp_path):
        import shutil

        from vlsuite.models.vild.folder import write_vild_folder

        built = tiny_detector("vild")
        write_vild_folder(tmp_path, built, dict(built.network.state_dict()), name="tiny")
        shutil.rmtree(tmp_path / "teacher")
        model = vlsuite.load_model(tmp_path)
        assert model.detect([_pixels(1)], NAMES, max_detections=3)
        with pytest.raises(ModelError, match="vlsuite export RUN"):
            model.with_examples({"mug": [_pixels(3)]}, around=[_pixels(1)])

    def test_the_command_takes_pictures_with_and_without_a_name(self, tmp_path):
        from PIL import Image

        for name, seed in (("a", 0), ("mug", 1), ("other", 2)):
            Image.fromarray(squares(seed)[0]).save(tmp_path / f"{name}.png")
        found = vlsuite.detect(
            Vild("x", tiny_detector("vild"), device=CPU),
            tmp_path / "a.png",
            "red",
            like={
                "mug": tmp_path / "mug.png",
                "cup": [tmp_path / "mug.png", tmp_path / "other.png"],
            },
            threshold=0.0,
        )
        assert found.names == ("red", "mug", "cup")

    def test_texts_of_the_command_line(self, tmp_path):
        from eval.detection.asked_names import examples_of

        for name in ("blue_mug.png", "x=y.png"):
            (tmp_path / name).write_bytes(b"")
        mug, odd = tmp_path / "blue_mug.png", tmp_path / "x=y.png"
        given = [str(mug), f"{mug}=cup", f"{odd}", f"{odd}=cup"]
        assert examples_of(given) == {"blue mug": (mug,), "cup": (mug, odd), "x=y": (odd,)}
