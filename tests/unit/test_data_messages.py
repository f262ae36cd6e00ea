"""What is said of shards that are packed in another way than WebDataset reads them."""

import io
import json
import tarfile

import pytest

from data_pipelines.errors import BadSampleError, ShardError
from data_pipelines.shards.find import find_shards
from data_pipelines.shards.index import ShardIndex
from data_pipelines.shards.shard_cache import ShardCache
from data_pipelines.shards.shard_set import find
from data_pipelines.shards.stored_sample import StoredSample
from eval.data.folders import open_dataset
from eval.errors import EvaluationError
from tests.support.shards import picture, write_tar


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def _json(**fields):
    return json.dumps(fields).encode()


def _captions(**members):
    sample = StoredSample("k", members)
    return sample.captions.texts, sample.plain_captions(one_per_line=False)


@pytest.mark.parametrize(
    ("members", "texts"),
    [
        ({"json": _json(caption="a dog")}, ("a dog",)),
        ({"json": _json(caption=["a dog", "a pet"])}, ("a dog", "a pet")),
        ({"json": _json(captions="a dog")}, ("a dog",)),
        ({"json": _json(captions=["x"], caption="y")}, ("x",)),
        ({"json": _json(caption="y"), "txt": b"x"}, ("x",)),
        ({"json": _json(caption="y"), "txt": b" "}, ("y",)),
    ],
)
def test_captions_of_the_json(members, texts):
    assert _captions(**members) == (texts, texts)


def test_a_json_without_captions_says_what_it_holds():
    with pytest.raises(BadSampleError, match="json has text, url"):
        _ = StoredSample("k", {"json": _json(text="a", url="b")}).captions


def test_pipes_are_refused_by_name(tmp_path):
    for pattern in ("pipe:aws s3 cp s3://b/0.tar -", "pipe:cat x.tar"):
        for reads in (
            lambda p: find_shards([p]),
            lambda p: find(p, ShardCache(folder=tmp_path, max_bytes=1)),
            open_dataset,
        ):
            with pytest.raises(ShardError, match="would run a program"):
                reads(pattern)


def test_a_tar_of_tars_is_named(tmp_path):
    inner = io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w"):
        pass
    outer = write_tar(tmp_path / "s.tar", [("0.tar", inner.getvalue()), ("1.tar", b"")])
    index = ShardIndex.open(outer)
    with pytest.raises(BadSampleError, match="unpack the outer"):
        _ = StoredSample("0", index.read(0)).image
    with pytest.raises(EvaluationError, match="archive in the archive"):
        open_dataset(str(outer))


def test_dotted_names_are_named(tmp_path):
    members = [("photo.v2.jpg", picture(0)), ("photo.v2.txt", b"a")]
    index = ShardIndex.open(write_tar(tmp_path / "s.tar", members))
    with pytest.raises(BadSampleError, match="first dot of the file name"):
        _ = StoredSample("photo", index.read(0)).image


def test_members_that_are_no_neighbours_are_named(tmp_path):
    members = [("a.jpg", b"1"), ("b.jpg", b"2"), ("a.txt", b"x"), ("b.txt", b"y")]
    index = ShardIndex.open(write_tar(tmp_path / "s.tar", members))
    assert len(index.problems) == 2
    assert "must be neighbours" in index.problems[0]
    with pytest.raises(BadSampleError, match="neighbours"):
        _ = StoredSample("a", index.read(2)).image


def test_captions_are_cut_at_8_kib_wherever_they_are_read():
    long = "x" * 300_000
    for members in ({"txt": long.encode()}, {"json": _json(captions=[long])}):
        assert _captions(**members) == (("x" * 8192,), ("x" * 8192,))
    assert len(_captions(txt=("\u00e9" * 5000).encode())[1][0].encode()) == 8192
    broken = StoredSample("k", {"json": json.dumps({"captions": ["\ud800" * 5000]}).encode()})
    assert broken.plain_captions(one_per_line=False) == ()
