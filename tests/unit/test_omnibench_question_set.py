"""Both stored forms give the same questions, and bad records are counted, never fatal."""

import json
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.support.omni_questions import records, write_github_form, write_hub_form
from eval.errors import EvaluationError
from eval.omnibench.question_set import QuestionSet, sample
from eval.omnibench.read_questions import read_questions

RECORDS = "dataset/questions.jsonl"


@pytest.fixture(scope="module")
def github(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_github_form(tmp_path_factory.mktemp("github") / "OmniBench", 12)


def changed(github: Path, tmp_path: Path, **replaced: object) -> QuestionSet:
    """The set with its first record changed."""
    lines = [json.loads(line) for line in (github / RECORDS).read_text().splitlines()]
    lines[0] |= {key.replace("_type", " type"): value for key, value in replaced.items()}
    file = tmp_path / "set" / "questions.jsonl"
    file.parent.mkdir()
    file.write_text("\n".join(map(json.dumps, lines)))
    (file.parent / "mm_data").symlink_to(github / "mm_data")
    return read_questions(file)


def test_questions_are_those_of_the_records(github: Path) -> None:
    found = read_questions(github)
    assert found.name == "OmniBench"
    assert not found.problems
    for question, record in zip(found.questions, records(12), strict=True):
        assert question.options[question.answer] == record["answer"]
        assert question.options == tuple(record["options"])
        assert (question.index, question.text) == (record["index"], record["question"])
        assert (question.task_type, question.audio_type) == (
            record["task type"],
            record["audio type"],
        )
        assert (question.transcript, question.caption) == (
            record["audio content"],
            record["image content"],
        )
        stored = github / "mm_data" / "audio" / record["audio_path"]
        assert question.audio.read() == stored.read_bytes()


def test_parquet_gives_the_same_questions_in_any_order_of_reading(
    github: Path, tmp_path: Path
) -> None:
    write_hub_form(tmp_path / "data" / "train-00000.parquet", 12)
    stored, tabled = read_questions(github), read_questions(tmp_path)
    assert len(tabled.questions) == 12
    for a, b in reversed(list(zip(stored.questions, tabled.questions, strict=True))):
        assert (a.index, a.text, a.options, a.answer) == (b.index, b.text, b.options, b.answer)
        assert (a.image.read(), a.audio.read()) == (b.image.read(), b.audio.read())


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"answer": "none of them"}, "answer is no option"),
        ({"options": ["x", "y", "x ", "z"], "answer": "y"}, "duplicated option"),
        ({"options": "A. x B. y", "answer": "x"}, "no options"),
        ({"question": None}, "missing column"),
        ({"index": "0"}, "no index"),
        ({"index": 5}, "duplicated index"),
        ({"audio_path": "absent.mp3"}, "missing media"),
        ({"image_path": None}, "missing media"),
        ({"image_path": "a\0b"}, "missing media"),
        ({"image_path": "../audio/1-013.mp4.wav.wav"}, "media outside its folder"),
        ({"image_path": "/etc/hostname"}, "media outside its folder"),
    ],
)
def test_bad_record_is_left_out_and_counted(
    github: Path, tmp_path: Path, change: dict[str, object], kind: str
) -> None:
    found = changed(github, tmp_path, **change)
    assert [problem.kind for problem in found.problems] == [kind]
    assert len(found.questions) == 11


def test_broken_lines_and_pointers_are_counted(github: Path, tmp_path: Path) -> None:
    media = tmp_path / "mm_data"
    for kind in ("image", "audio"):
        (media / kind).mkdir(parents=True)
        for file in (github / "mm_data" / kind).iterdir():
            (media / kind / file.name).write_bytes(file.read_bytes())
    (media / "image" / "0.png").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid")
    (media / "image" / "1.jpg").write_bytes(b"")
    text = (github / RECORDS).read_text()
    (tmp_path / "dataset").mkdir()
    (tmp_path / RECORDS).write_text("{broken\n[1]\n\n" + "[" * 100_000 + "\n" + text)
    kinds = Counter(problem.kind for problem in read_questions(tmp_path).problems)
    assert kinds == {"bad JSON": 3, "media not fetched": 1, "empty media": 1}


def test_revision_changes_with_records_and_media(github: Path, tmp_path: Path) -> None:
    before = changed(github, tmp_path).revision
    copy = tmp_path / "other"
    copy.mkdir()
    assert changed(github, copy, question="Another?").revision != before
    again = write_github_form(tmp_path / "again", 12)
    assert read_questions(again).revision == read_questions(github).revision
    file = again / "mm_data" / "audio" / "0-013.mp4.mp3.mp3"
    file.write_bytes(file.read_bytes() + b"\0")
    assert read_questions(again).revision != read_questions(github).revision


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("x.xlsx", b"PK", "spreadsheet"),
        ("x.parquet", b"PAR1", "cannot read"),
        ("x.txt", b"", "neither"),
        ("x.jsonl", b"{}", "mm_data"),
    ],
)
def test_other_files_are_refused_in_one_line(
    tmp_path: Path, name: str, content: bytes, told: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(EvaluationError, match=told) as caught:
        read_questions(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_nothing_usable_is_an_error(github: Path, tmp_path: Path) -> None:
    (tmp_path / "mm_data").mkdir()
    (tmp_path / "q.jsonl").write_bytes(b"{broken\n")
    with pytest.raises(EvaluationError, match="1 bad JSON"):
        read_questions(tmp_path)
    with pytest.raises(EvaluationError, match="no questions at"):
        read_questions(tmp_path / "absent")


def test_sample_keeps_the_shares_of_all_types(github: Path) -> None:
    questions = read_questions(github).questions * 10
    drawn = sample(questions, 40, seed=3)
    shares = Counter((q.task_type, q.audio_type) for q in questions)
    taken = Counter((q.task_type, q.audio_type) for q in drawn)
    assert len(drawn) == 40
    for key, count in shares.items():
        assert abs(taken[key] - 40 * count / len(questions)) < 1
    assert drawn == sample(questions, 40, seed=3)
    assert drawn != sample(questions, 40, seed=4)
    assert sample(questions, 500) == list(questions)
    with pytest.raises(EvaluationError, match="at least 1"):
        sample(questions, 0)
