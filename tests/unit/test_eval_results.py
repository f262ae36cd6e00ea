import base64
import json
import zlib
from pathlib import Path

import pytest

from data_pipelines.errors import DataError
from eval.errors import EvaluationError
from eval.results import EvalResult, PerImage, PerUnit, load_result, save_result
from tests.support.eval_results import example_result


def test_result_survives_json(tmp_path: Path) -> None:
    result = example_result()
    save_result(result, tmp_path / "deep" / "a.json")
    assert load_result(tmp_path / "deep" / "a.json") == result
    assert EvalResult.from_dict(result.to_dict()) == result
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["a.json"]


def test_times_chance() -> None:
    result = example_result(value=0.25, chance=0.05)
    assert result.times_chance("image_to_text_recall_at_5") == pytest.approx(5.0)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("{", "line 1"),
        ("[]", "no JSON object"),
        ('{"version": 99}', "result format 99"),
        ('{"version": 1}', "not a result"),
    ],
)
def test_broken_file_is_named(tmp_path: Path, text: str, part: str) -> None:
    path = tmp_path / "broken.json"
    path.write_text(text)
    with pytest.raises(EvaluationError, match=r"broken\.json") as caught:
        load_result(path)
    assert part in str(caught.value)


def test_unknown_field_is_refused() -> None:
    data = json.loads(json.dumps(example_result().to_dict()))
    with pytest.raises(EvaluationError, match="surprise"):
        EvalResult.from_dict(data | {"surprise": 1})


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="choose another folder"):
        save_result(example_result(), tmp_path / "file" / "a.json")


@pytest.mark.parametrize(
    "changed",
    [
        {"model": 5},
        {"num_samples": "x"},
        {"scores": {"top1": {"value": "x", "low": 0, "high": 1, "n": 1}}},
        {"scores": {"top1": {"value": 1, "low": 0, "high": 1, "n": 1e999}}},
        {"details": [1]},
        {"per_image": {"top1": {"hits": 1, "scored": None, "num_images": 1}}},
        {"influences": {"a": [1]}},
    ],
    ids=str,
)
def test_fields_of_other_types_are_no_result(changed: dict) -> None:
    told = json.loads(json.dumps(example_result().to_dict()))
    EvalResult.from_dict(told)
    with pytest.raises(EvaluationError, match="not a result"):
        EvalResult.from_dict(told | changed)


def test_per_image_figures_that_would_fill_memory() -> None:
    bomb = base64.b64encode(zlib.compress(bytes(300 << 20), 9)).decode()
    with pytest.raises(EvaluationError, match="damaged"):
        PerUnit(bomb, bomb, None).unpack()
    with pytest.raises(EvaluationError, match="1 bytes for 1,000,000,000,000 images"):
        PerImage("AA==", None, 10**12).unpack()
    for text in ("x", "AA==", "%"):
        with pytest.raises(EvaluationError, match="damaged"):
            PerUnit(text, text, None).unpack()
