"""Lists and questions as distributed, in miniature: what is read, what is counted."""

import json

import pytest

from data_pipelines.errors import ShardError
from eval.data.set_kinds import kind_of
from eval.errors import EvaluationError
from eval.video.clip_set import ClipSet
from eval.video.open_set import Videos


def _videos(folder, *names):
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"video %d" % number)
    return folder


def _open(path) -> ClipSet:
    dataset = Videos.open(str(path))
    assert isinstance(dataset.images, ClipSet)
    assert len(dataset.revision) == 64
    return dataset.images


def _captions(found):
    return {clip.key: clip.captions for clip in found.clips}


def test_msrvtt_1ka(tmp_path):
    _videos(tmp_path, "videos/all/video7010.mp4", "videos/all/video9.mp4")
    table = tmp_path / "MSRVTT_JSFUSION_test.csv"
    table.write_text(
        "key,vid_key,video_id,sentence\n"
        'ret0,msr7010,video7010,"a person, running"\n'
        "ret1,msr8,video8,gone\n"
        "ret2,msr9,video9,a dog\n"
    )
    found = _open(table)
    assert kind_of(str(table)) is Videos
    assert (found.name, found.split) == ("msrvtt", "1k-A")
    assert _captions(found) == {"video7010": ("a person, running",), "video9": ("a dog",)}
    assert found.left_out == {"video is not in the folder": 1}
    assert found.read(0) == b"video 0"


def test_msrvtt_full_takes_the_test_split_and_every_caption(tmp_path):
    _videos(tmp_path / "elsewhere", "video1.mp4", "video2.mp4", "video3.mp4")
    listed = tmp_path / "MSRVTT_data.json"
    videos = [("video1", "test"), ("video2", "train"), ("video3", "test")]
    said = [("video1", "one"), ("video2", "no"), ("video1", "two"), ("video1", " ")]
    listed.write_text(
        json.dumps(
            {
                "videos": [{"video_id": v, "split": split} for v, split in videos],
                "sentences": [{"video_id": v, "caption": c, "sen_id": 0} for v, c in said],
            }
        )
    )
    found = _open(f"{listed}@{tmp_path / 'elsewhere'}")
    assert _captions(found) == {"video1": ("one", "two"), "video3": ()}
    assert found.split == "full"


def test_msvd(tmp_path):
    _videos(tmp_path, "YouTubeClips/abc_d-_1_15.avi", "YouTubeClips/abc_d-_20_30.avi")
    (tmp_path / "test_list.txt").write_text("abc_d-_1_15\nabc_d-_20_30\nzzz_0_1\n")
    (tmp_path / "AllVideoDescriptions.txt").write_text(
        "# a comment\n\nabc_d-_1_15 a cat eats\nabc_d-_1_15 a cat is eating\nother_0_1 no\n"
    )
    found = _open(tmp_path / "test_list.txt")
    assert _captions(found) == {
        "abc_d-_1_15": ("a cat eats", "a cat is eating"),
        "abc_d-_20_30": (),
    }
    assert {clip.cluster for clip in found.clips} == {"abc_d-"}
    assert found.left_out == {"video is not in the folder": 1}


def test_didemo_is_a_paragraph_a_video(tmp_path):
    _videos(tmp_path, "v/a@N00_1.mpg", "v/b@N00_2.mp4")
    said = [("a@N00_1.mpg", "first"), ("b@N00_2.mpg", "other"), ("a@N00_1.mpg", "then")]
    listed = [{"video": v, "description": d, "times": [[0, 0]]} for v, d in said]
    (tmp_path / "test_data.json").write_text(json.dumps(listed))
    found = _open(tmp_path / "test_data.json")
    assert _captions(found) == {"a@N00_1.mpg": ("first then",), "b@N00_2.mpg": ("other",)}
    assert found.clips[1].source.video().name == "b@N00_2.mp4"  # re-encoded, as many have it


def test_lsmdc(tmp_path):
    name = "1020_Crazy_00.14.34.250-00.14.36.000"
    _videos(tmp_path, f"1020_Crazy/{name}.avi")
    table = tmp_path / "LSMDC16_challenge_1000_publictect.csv"
    table.write_text(f"{name}\t1\t2\t1\t2\tSOMEONE nods, and leaves.\nbroken line\n")
    found = _open(table)
    assert _captions(found) == {name: ("SOMEONE nods, and leaves.",)}
    assert found.clips[0].cluster == "1020_Crazy"
    assert found.left_out == {"broken line of the list": 1}


def test_vinoground(tmp_path):
    videos = [f"vinoground_videos/{i}_{which}.mp4" for i in (0, 1) for which in ("pos", "neg")]
    _videos(tmp_path, *videos[:3])
    (tmp_path / "vinoground.csv").write_text(
        "idx,major,minor,pos_cap,neg_cap\n"
        '0,object,cyclical;spatial,"he sits, then stands","he stands, then sits"\n'
        "1,action,,a,b\n"
    )
    found = _open(tmp_path)
    (pair,) = found.pairs
    assert pair.texts == ("he sits, then stands", "he stands, then sits")
    assert pair.kinds == ("object", "cyclical", "spatial")
    assert [found.clips[i].key for i in pair.clips] == ["0_pos", "0_neg"]
    assert found.left_out == {"pair without its videos or captions": 1}
    assert kind_of(str(tmp_path)) is Videos


def test_tempcompass(tmp_path):
    _videos(tmp_path, "videos/123.mp4")
    choice = {"question": "What happens?\nA. runs\nB. sleeps", "answer": "B. sleeps"}
    caption = {
        "question": "Which one fits?\nOption 1: a man runs\nOption 2: a man sleeps",
        "answer": "Option 1: a man runs",
    }
    broken = {"question": "Does he run?", "answer": "yes"}
    for name, one in (("multi-choice", choice), ("caption_matching", caption)):
        data = {"123": {"action": [one], "speed": [broken]}, "gone": {"order": [one]}}
        (tmp_path / f"{name}.json").write_text(json.dumps(data))
        found = _open(tmp_path / f"{name}.json")
        (asked,) = found.choices
        assert asked.kind == "action"
        assert len(found) == 1
        assert found.left_out == {
            "question without options and one answer": 1,
            "question whose video is not in the folder": 1,
        }
        if one is choice:
            assert asked[2:5] == (("runs", "sleeps"), 1, "What happens?")
        else:
            assert asked[2:5] == (("a man runs", "a man sleeps"), 0, "Which one fits?")
    (tmp_path / "captioning.json").write_text("{}")
    with pytest.raises(EvaluationError, match="a paid model judges"):
        _open(tmp_path / "captioning.json")


def test_yes_and_no_of_tempcompass(tmp_path):
    _videos(tmp_path, "videos/123.mp4")
    asked = [("Does he run?", "yes"), ("Does he\n sleep?", "No"), ("Or not?", "maybe"), ("", "no")]
    listed = [{"question": question, "answer": answer} for question, answer in asked]
    (tmp_path / "yes_no.json").write_text(json.dumps({"123": {"action": listed}}))
    found = _open(tmp_path / "yes_no.json")
    assert not found.choices
    assert found.yes_no == (
        ("action", 0, "Does he run?", True),
        ("action", 0, "Does he sleep?", False),
    )
    assert found.left_out == {"question without options and one answer": 2}


def test_tomato(tmp_path):
    _videos(tmp_path, "videos/human/0001-00.mp4", "videos/object/0001-00.mp4")
    one = {
        "question": "How many times?",
        "options": ["once", "twice"],
        "answer": 1,
        "demonstration_type": "object",
        "key": "0001-00",
    }
    for kind in ("count", "direction", "rotation"):
        asked = {"0": one, "1": {**one, "answer": 7}} if kind == "count" else {}
        (tmp_path / "data").mkdir(exist_ok=True)
        (tmp_path / "data" / f"{kind}.json").write_text(json.dumps(asked))
    found = _open(tmp_path)
    (asked,) = found.choices
    assert asked[:5] == ("count", 0, ("once", "twice"), 1, "How many times?")
    assert found.read(0) == b"video 1"  # the folder of the demonstration, not the first of the name
    assert found.left_out == {"question without options and one answer": 1}
    assert len(_open(f"{tmp_path / 'data' / 'count.json'}@{tmp_path}").choices) == 1


def test_mvbench_with_spans(tmp_path):
    _videos(tmp_path, "video/star/a.mp4")
    one = {"video": "a.mp4", "question": "What?", "candidates": ["x", "y"], "answer": "y"}
    asked = [one, {**one, "start": 1.5, "end": 4}, {**one, "answer": "z"}, one]
    (tmp_path / "json").mkdir()
    (tmp_path / "json" / "action_sequence.json").write_text(json.dumps(asked))
    found = _open(tmp_path)
    assert [clip.span for clip in found.clips] == [None, (1.5, 4.0)]
    assert [question.clip for question in found.choices] == [0, 1, 0]
    assert found.choices[0][2:5] == (("x", "y"), 1, "What?")
    assert found.left_out == {"question without options and one answer": 1}


def test_a_path_out_of_the_folder_of_videos_is_not_followed(tmp_path):
    _videos(tmp_path, "secret.mp4", "set/videos/other.mp4")
    one = {"video": "../secret.mp4", "question": "?", "candidates": ["x", "y"], "answer": "y"}
    (tmp_path / "set" / "q.json").write_text(json.dumps([one]))
    with pytest.raises(EvaluationError, match="question whose video is not in the folder"):
        _open(tmp_path / "set" / "q.json")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("MSRVTT_data.json", "[]", "no list of MSR-VTT"),
        ("MSRVTT_data.json", "{", "no JSON"),
        ("MSRVTT_JSFUSION_test.csv", "a,b\n1,2\n", "lacks the columns"),
        ("test_data.json", '{"a": 1}', "no list of DiDeMo"),
        ("vinoground.csv", "a,b\n", "lacks the columns"),
        ("own.csv", "a,b\n", "no list of videos that is known"),
        ("own.json", "[1]", "no list of videos that is known"),
        ("multi-choice.json", "[]", "not an object"),
    ],
)
def test_what_is_no_list_is_refused_in_one_line(tmp_path, name, content, said):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(EvaluationError, match=said) as told:
        _open(path)
    assert "\n" not in str(told.value)


def test_missing_files_are_named(tmp_path):
    with pytest.raises(EvaluationError, match=r"there is no .*gone\.csv"):
        _open(tmp_path / "gone.csv")
    (tmp_path / "x.csv").write_text("video_id,sentence\na,b\n")
    with pytest.raises(EvaluationError, match="no folder of videos"):
        _open(f"{tmp_path / 'x.csv'}@{tmp_path / 'nowhere'}")
    with pytest.raises(ShardError):
        _open(tmp_path / "gone.tar")
