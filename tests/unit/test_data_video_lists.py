"""Lists of videos as distributed, in miniature, read for training."""

import json

import pytest

from data_pipelines.errors import ConfigError, DataError
from data_pipelines.skips import Skips
from data_pipelines.sources.video import VideoSource
from data_pipelines.video_lists.didemo import read_didemo_moments
from data_pipelines.video_lists.files import VideoFiles
from data_pipelines.video_lists.formats import called, possible_formats
from data_pipelines.video_lists.listed import Moment
from data_pipelines.video_lists.lsmdc import read_lsmdc
from tests.support.videos import encoded
from vlsuite.cli.main import main


@pytest.fixture(scope="module")
def video():
    return encoded("mp4", "mpeg4", num_frames=12, rate=2)


def _videos(folder, video, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(video)


def _read(source):
    skips = Skips()
    found = {one.provenance["key"]: one for one in source.samples(skips)}
    return found, skips


def _captions(found):
    return {key: one.captions for key, one in found.items()}


def test_webvid(tmp_path, video):
    _videos(tmp_path / "videos", video, "000001_000050/1066674784.mp4", "001_2/7.mp4")
    listed = tmp_path / "results_2M_train.csv"
    listed.write_text(
        "videoid,contentUrl,duration,page_dir,name\n"
        '1066674784,https://x/1.mp4,PT00H00M06S,000001_000050,"Cat, on a sofa"\n'
        "7,https://x/7.mp4,PT00H00M06S,001_2,Rain\n"
        "7,https://x/7.mp4,PT00H00M06S,001_2,Rain\n"
        "8,https://x/8.mp4,PT00H00M06S,001_2,Gone\n"
        "9,https://x/9.mp4,PT00H00M06S,001_2,\n"
    )
    found, skips = _read(VideoSource(path=listed, videos=tmp_path / "videos"))
    assert _captions(found) == {
        "000001_000050/1066674784.mp4": ("Cat, on a sofa",),
        "001_2/7.mp4": ("Rain",),
    }
    assert skips.counts == {"listed twice": 1, "missing video file": 1, "no caption": 1}
    assert found["001_2/7.mp4"].uid != found["000001_000050/1066674784.mp4"].uid


@pytest.fixture
def msrvtt(tmp_path, video):
    _videos(tmp_path / "videos" / "all", video, *(f"video{i}.mp4" for i in range(5)))
    splits = ["train", "train", "validate", "test", "train"]
    listed = tmp_path / "MSRVTT_data.json"
    listed.write_text(
        json.dumps(
            {
                "info": {},
                "videos": [
                    {"video_id": f"video{i}", "split": split, "id": i}
                    for i, split in enumerate(splits)
                ],
                "sentences": [
                    {"video_id": f"video{i}", "caption": f"{word} {i}", "sen_id": 0}
                    for i in range(5)
                    for word in ("a", "the")
                ],
            }
        )
    )
    return listed


def test_msrvtt_splits_and_train_lists(tmp_path, msrvtt):
    found, _ = _read(VideoSource(path=msrvtt, only="train"))
    assert _captions(found) == {f"video{i}": (f"a {i}", f"the {i}") for i in (0, 1, 4)}
    (tmp_path / "MSRVTT_train.9k.csv").write_text("video_id\nvideo0\nvideo3\nvideo99\n")
    only = str(tmp_path / "MSRVTT_train.9k.csv")
    found, skips = _read(VideoSource(path=msrvtt, only=only))
    assert list(found) == ["video0", "video3"]
    assert skips.counts == {"named by --only, not in the list": 1}
    assert skips.inputs == {"videos that --only leaves out": 3}
    assert len(_read(VideoSource(path=msrvtt))[0]) == 5


def test_msrvtt_1ka(tmp_path, msrvtt):
    table = tmp_path / "MSRVTT_JSFUSION_test.csv"
    table.write_text("key,vid_key,video_id,sentence\nret0,msr3,video3,a dog\n")
    assert _captions(_read(VideoSource(path=table))[0]) == {"video3": ("a dog",)}


def test_msvd(tmp_path, video):
    _videos(tmp_path / "YouTubeClips", video, "ab-_c_1_15.avi", "zz_2_3.avi")
    (tmp_path / "AllVideoDescriptions.txt").write_text(
        "# comment\n\nab-_c_1_15 a cat eats\nab-_c_1_15 a cat is eating\nzz_2_3 rain\n"
    )
    (tmp_path / "train_list.txt").write_text("ab-_c_1_15\n")
    found, _ = _read(VideoSource(path=tmp_path / "train_list.txt"))
    assert _captions(found) == {"ab-_c_1_15": ("a cat eats", "a cat is eating")}
    assert found["ab-_c_1_15"].provenance["source"] == "ab-_c"
    found, _ = _read(VideoSource(path=tmp_path / "AllVideoDescriptions.txt"))
    assert list(found) == ["ab-_c_1_15", "zz_2_3"]


@pytest.fixture
def didemo(tmp_path, video):
    _videos(tmp_path, video, "1@N00_2_3.mp4")
    listed = tmp_path / "train_data.json"
    records = [
        ("a man waves", [[0, 0], [0, 0], [1, 1]]),
        ("he leaves", [[0, 1], [1, 1]]),
        ("no times", []),
    ]
    listed.write_text(
        json.dumps(
            [
                {"annotation_id": i, "video": "1@N00_2_3.avi", "description": d, "times": t}
                for i, (d, t) in enumerate(records)
            ]
        )
    )
    return listed


def test_didemo_paragraphs_and_moments(didemo):
    (sample,) = _read(VideoSource(path=didemo))[0].values()
    assert sample.captions == ("a man waves he leaves no times",)
    skips = Skips()
    (listed,) = read_didemo_moments(didemo, skips)
    assert listed.moments == (Moment(0.0, 5.0, "a man waves"), Moment(5.0, 10.0, "he leaves"))
    assert skips.counts == {"no times": 1}
    (sample,) = _read(VideoSource(path=didemo, moments=True))[0].values()
    assert sample.provenance["clips"] == [
        {"start": 0.0, "end": 5.0, "caption": "a man waves"},
        {"start": 5.0, "end": 10.0, "caption": "he leaves"},
    ]


def test_lsmdc(tmp_path, video):
    name = "0001_American_Beauty_00.00.51.926-00.00.54.129"
    _videos(tmp_path / "0001_American_Beauty", video, f"{name}.avi")
    listed = tmp_path / "LSMDC16_annos_training.csv"
    times = "\t".join(["00.00.51.926"] * 4)
    listed.write_text(f"{name}\t{times}\tSomeone sits.\nbroken line\n")
    found, skips = _read(VideoSource(path=listed))
    assert _captions(found) == {name: ("Someone sits.",)}
    assert found[name].provenance["source"] == "0001_American_Beauty"
    assert skips.counts == {"broken line of the list": 1}
    assert len(list(read_lsmdc(listed, Skips()))) == 1


@pytest.mark.parametrize("form", ["msr-vtt", "didemo", "webvid"])
def test_lists_of_another_kind_are_one_line(tmp_path, form):
    listed = tmp_path / ("list.csv" if form == "webvid" else "list.json")
    listed.write_text('{"x": 1}')
    with pytest.raises(DataError, match="is no list of") as found:
        _read(VideoSource(path=listed, format=form))
    assert "\n" not in str(found.value)


@pytest.mark.parametrize(
    ("name", "text", "form"),
    [
        ("a.csv", "videoid,contentUrl,duration,page_dir,name\n", "webvid"),
        ("a.csv", "key,vid_key,video_id,sentence\n", "msr-vtt"),
        ("a.csv", "path,caption,start,end\n", "table"),
        ("a.csv", "file,said\n", "table"),
        ("a.csv", "a.avi\t00.00.01.0\t00.00.02.0\t00.00.01.0\t00.00.02.0\tHe sits.\n", "lsmdc"),
        ("a.tsv", "path\tcaption\n", "table"),
        ("a.parquet", "", "table"),
        ("a.json", '{"info": {}, "videos": [], "sentences": []}', "msr-vtt"),
        ("a.json", '[{"video": "a.avi", "description": "x", "times": []}]', "didemo"),
        ("AllVideoDescriptions.txt", "a_1_2 x\n", "msvd"),
    ],
)
def test_lists_are_told_by_their_looks(tmp_path, name, text, form):
    (tmp_path / name).write_text(text)
    assert possible_formats(tmp_path / name) == [form]
    told = VideoSource(path=tmp_path / name).taken_for()
    assert told == f"{tmp_path / name} is taken for {called(form)} (--format says otherwise)"
    assert VideoSource(path=tmp_path / name, format=form).taken_for() == ""


def test_names_beside_the_captions_of_msvd_are_a_list_of_it(tmp_path):
    (tmp_path / "train_list.txt").write_text("a_1_2\n")
    with pytest.raises(DataError, match="say what it is by --format"):
        VideoSource(path=tmp_path / "train_list.txt")
    (tmp_path / "AllVideoDescriptions.txt").write_text("a_1_2 x\n")
    assert possible_formats(tmp_path / "train_list.txt") == ["msvd"]


def test_what_looks_like_several_or_none_asks_for_the_format(tmp_path):
    both = tmp_path / "both.csv"
    both.write_text("path,caption,video_id,sentence\n")
    with pytest.raises(ConfigError, match="may be a table or a list of MSR-VTT; say which: --for"):
        VideoSource(path=both)
    assert "a table" in VideoSource(path=both, start_column="from").taken_for()
    other = tmp_path / "own.csv"
    other.write_text("video_id,sentence\n")
    assert "MSR-VTT" in VideoSource(path=other).taken_for()
    own = VideoSource(path=other, video_column="video_id", caption_column="sentence")
    assert "a table" in own.taken_for()
    (tmp_path / "x.json").write_text('{"images": []}')
    with pytest.raises(DataError, match="looks like no list of videos that is known; say what"):
        VideoSource(path=tmp_path / "x.json")
    (tmp_path / "MSRVTT_train.9k.csv").write_text("video_id\nvideo0\n")
    with pytest.raises(DataError, match=r"build video LIST --only .*MSRVTT_train\.9k\.csv --out"):
        VideoSource(path=tmp_path / "MSRVTT_train.9k.csv")


def test_the_command_says_what_it_took_a_path_for(tmp_path, didemo, capsys):
    words = ["data", "build", "video", str(didemo), "--probe", "none"]
    assert main([*words, "--out", str(tmp_path / "out")]) == 0
    first = capsys.readouterr().err.splitlines()[0]
    assert first == f"{didemo} is taken for a list of DiDeMo (--format says otherwise)"
    assert main([*words, "--format", "didemo", "--out", str(tmp_path / "again")]) == 0
    assert "is taken for" not in capsys.readouterr().err
    shards = [(tmp_path / name / "shard-000000.tar").read_bytes() for name in ("out", "again")]
    assert shards[0] == shards[1]


def test_files_are_found_by_path_or_name(tmp_path):
    _videos(tmp_path, b"x", "a/b.mp4", "c.webm")
    files = VideoFiles(tmp_path)
    assert files.find("b") == files.find("b.avi") == files.find("a/b.mp4") == tmp_path / "a/b.mp4"
    assert files.find("../x/c.webm") == tmp_path / "c.webm"
    assert files.find("/etc/hosts") is None
