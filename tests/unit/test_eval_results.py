import json
from pathlib import Path

import pytest

from data_pipelines.errors import DataError
from eval.errors import EvaluationError
from eval.results import EvalResult, load_result, save_result
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
        ("{", "Expecting"),
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
