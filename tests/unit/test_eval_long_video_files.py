"""Questions about long videos as distributed, in miniature: what is read, what is counted."""

import json

import pyarrow as pa
import pytest
from pyarrow import parquet

from eval.data.set_kinds import kind_of
from eval.errors import EvaluationError
from eval.video.clip_set import ClipSet
from eval.video.open_set import Videos


def _videos(folder, *names):
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"video %d" % number)


def _open(path) -> ClipSet:
    dataset = Videos.open(str(path))
    assert isinstance(dataset.images, ClipSet)
    assert dataset.task == "video_order"
    return dataset.images


MLVU = {
    "video": "movie101_66.mp4",
    "duration": 246,
    "question": "What color is the hat?",
    "candidates": ["Yellow", "Red", "Green", "Blue"],
    "answer": "Green",
    "question_type": "plotQA",
}


def _mlvu(folder):
    _videos(folder, "video/1_plotQA/movie101_66.mp4", "video/2_needle/needle_32.mp4")
    twice = {**MLVU, "candidates": ["Six", "Three", "Three", "Eight"], "answer": "Three"}
    needle = {**MLVU, "video": "needle_32.mp4", "duration": 467.98, "question_type": "findNeedle"}
    hour = {**needle, "duration": 5632.83}
    (folder / "json").mkdir()
    (folder / "json/1_plotQA.json").write_text(json.dumps([MLVU, twice]))
    gone = {**needle, "video": "gone.mp4"}
    (folder / "json/2_needle.json").write_text(json.dumps([needle, hour, gone]))
    open_ended = {key: MLVU[key] for key in ("video", "duration", "question", "answer")}
    (folder / "json/9_summary.json").write_text(json.dumps([open_ended]))


def test_mlvu(tmp_path):
    _mlvu(tmp_path)
    assert kind_of(str(tmp_path)) is Videos
    found = _open(tmp_path)
    assert (found.name, found.split) == ("mlvu", "dev")
    assert found.choices[0] == (
        "plotQA",
        0,
        ("Yellow", "Red", "Green", "Blue"),
        2,
        "What color is the hat?",
        "up to 10 min",
    )
    assert [q.kind for q in found.choices] == ["plotQA", "findNeedle", "findNeedle"]
    assert [q.group for q in found.choices] == ["up to 10 min", "up to 10 min", "over 60 min"]
    assert len(found) == 2
    assert found.left_out == {
        "question without options and one answer": 1,
        "question whose video is not in the folder": 1,
    }
    one = tmp_path / "json/1_plotQA.json"
    assert kind_of(f"{one}@{tmp_path}") is Videos
    assert len(_open(f"{one}@{tmp_path}").choices) == 1
    with pytest.raises(EvaluationError, match="asks for sentences"):
        _open(f"{tmp_path / 'json/9_summary.json'}@{tmp_path}")


def test_mlvu_test_set(tmp_path):
    _videos(tmp_path, "MLVU_Test/video/test_surveil_27.mp4")
    six = ["Fighting", "Shoplifting", "Arrest", "Normal", "Shooting", "Vandalism"]
    asked = {
        **MLVU,
        "video": "test_surveil_27.mp4",
        "candidates": six,
        "answer": "Shoplifting",
        "question_type": "anomaly_reco",
        "question_id": "AR_0",
    }
    (tmp_path / "test-ground-truth").mkdir()
    (tmp_path / "test-ground-truth/test_mcq_gt.json").write_text(json.dumps([asked]))
    found = _open(tmp_path)
    assert (found.name, found.split) == ("mlvu", "test")
    assert (len(found.choices[0].options), found.choices[0].answer) == (6, 1)
    del asked["answer"]
    (tmp_path / "test_multi_choice_tasks.json").write_text(json.dumps([asked]))
    with pytest.raises(EvaluationError, match=r"no answers.*test_mcq_gt\.json"):
        _open(tmp_path / "test_multi_choice_tasks.json")


LVB = {
    "video_id": "86CxyhFV9MI",
    "id": "86CxyhFV9MI_0",
    "video_path": "86CxyhFV9MI.mp4",
    "subtitle_path": "86CxyhFV9MI_en.json",
    "question": "What is the state of the peak?",
    "question_wo_referring_query": "What is the state?",
    "candidates": ["green", "red", "bare", "glowing"],
    "correct_choice": 3,
    "duration": 23.99,
    "duration_group": 60,
    "question_category": "S2A",
    "topic_category": "KG-Knowledge-Geography",
    "level": "L1-Perception",
    "position": [0, 1],
    "starting_timestamp_for_subtitles": 1118,
    "view_count": 4,
}


def test_longvideobench(tmp_path):
    _videos(tmp_path, "videos/86CxyhFV9MI.mp4")
    other = {**LVB, "question_category": "T3E", "duration_group": 3600, "duration": 3000.5}
    (tmp_path / "lvb_val.json").write_text(json.dumps([LVB, other, {**LVB, "correct_choice": 4}]))
    found = _open(tmp_path)
    assert (found.name, found.split) == ("longvideobench", "val")
    assert found.remarks == {"subtitles": "not shown"}
    assert [(q.kind, q.group, q.answer) for q in found.choices] == [
        ("S2A", "15 to 60 s", 3),
        ("T3E", "15 to 60 min", 3),
    ]
    assert [clip.span for clip in found.clips] == [(0.0, 23.99), (0.0, 3000.5)]
    assert found.left_out == {"question without options and one answer": 1}
    unanswered = {key: value for key, value in LVB.items() if key != "correct_choice"}
    (tmp_path / "lvb_test_wo_gt.json").write_text(json.dumps([unanswered]))
    assert kind_of(str(tmp_path / "lvb_test_wo_gt.json")) is Videos
    with pytest.raises(EvaluationError, match=r"no answers.*lvb_val\.json"):
        _open(tmp_path / "lvb_test_wo_gt.json")


def test_longvideobench_as_parquet(tmp_path):
    _videos(tmp_path, "videos/86CxyhFV9MI.mp4")
    row = {key: LVB[key] for key in ("video_id", "id", "video_path", "correct_choice", "question")}
    row |= {"duration": 23.99, "duration_group": 60, "question_category": "S2A"}
    row |= {f"option{i}": text for i, text in enumerate([*LVB["candidates"], "N/A"])}
    path = tmp_path / "validation-00000-of-00001.parquet"
    parquet.write_table(pa.Table.from_pylist([row]), path)
    (tmp_path / "lvb_val.json").write_text(json.dumps([LVB]))
    assert _open(path).choices == _open(tmp_path / "lvb_val.json").choices


def _videomme_rows():
    first = {
        "video_id": "001",
        "duration": "short",
        "domain": "Knowledge",
        "sub_category": "Humanity & History",
        "url": "https://www.youtube.com/watch?v=fFjv93ACGo8",
        "videoID": "fFjv93ACGo8",
        "question_id": "001-1",
        "task_type": "Counting Problem",
        "question": "Which kind has the largest number?",
        "options": ["A. Apples.", "B. Candles.", "C. Berries.", "D. All the same."],
        "answer": "C",
    }
    second = {**first, "question_id": "001-2", "task_type": "Information Synopsis", "answer": "A"}
    return [first, second, {**first, "videoID": "gone", "duration": "long"}]


def test_videomme_as_parquet_and_as_json(tmp_path):
    _videos(tmp_path, "data/fFjv93ACGo8.mp4")
    rows = _videomme_rows()
    (tmp_path / "videomme").mkdir()
    table = tmp_path / "videomme" / "test-00000-of-00001.parquet"
    parquet.write_table(pa.Table.from_pylist(rows), table)
    assert kind_of(f"{table}@{tmp_path}") is Videos
    assert kind_of(str(tmp_path)) is Videos
    found = _open(tmp_path)
    assert (found.name, found.split) == ("videomme", "test")
    assert found.choices[0] == (
        "Counting Problem",
        0,
        ("Apples.", "Candles.", "Berries.", "All the same."),
        2,
        "Which kind has the largest number?",
        "short",
    )
    assert found.choices[1].answer == 0
    assert found.left_out == {"question whose video is not in the folder": 1}
    assert found.remarks == {"subtitles": "not shown"}
    (tmp_path / "flat.json").write_text(json.dumps(rows))
    assert _open(tmp_path / "flat.json").choices == found.choices
    own = ("question_id", "task_type", "question", "options", "answer")
    nested = [
        {k: v for k, v in rows[0].items() if k not in own}
        | {"questions": [{k: row[k] for k in own} for row in rows[:2]]}
    ]
    (tmp_path / "videomme.json").write_text(json.dumps(nested))
    assert _open(tmp_path / "videomme.json").choices == found.choices


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("1_plotQA.json", b"{", "no JSON"),
        ("lvb_val.json", b'[{"video_path": 1}]', "no answers"),
        ("lvb_val.json", b"[]", "no usable video"),
        ("own.parquet", b"PAR1 and no more", "as Parquet"),
        ("videomme.json", b'[{"questions": [3]}]', "no usable video"),
    ],
)
def test_damage_is_one_line(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(EvaluationError, match=said) as told:
        _open(tmp_path / name)
    assert "\n" not in str(told.value)
