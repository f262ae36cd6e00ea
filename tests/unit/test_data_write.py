"""Written shards: layouts, determinism, limits, interruption, full disks, foreign readers."""

import errno
import json
import os
import resource
import shutil
import signal
from itertools import chain

import pytest
import webdataset

from data_pipelines.errors import DataError, ShardError
from data_pipelines.shards import folder
from data_pipelines.shards.find import find_shards
from data_pipelines.shards.folder import MARKER_NAME, unfinished_place
from data_pipelines.shards.index import ShardIndex
from data_pipelines.shards.manifest import Manifest, Origin
from data_pipelines.shards.pairs import captions_of, label_of, uid_of
from data_pipelines.shards.write import write_benchmark, write_pairs
from data_pipelines.skips import Skips
from tests.support.shards import sample, samples


def _content(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith(".npz")
    }


def test_pairs_layout(tmp_path):
    skips = Skips()
    skips.add("missing image file", "x.png")
    origin = Origin(source="test", licence="CC0", details={"seed": 1})
    manifest = write_pairs(
        samples(5), tmp_path, prefix="p", max_samples=2, origin=origin, skips=skips
    )
    assert [shard.name for shard in manifest.shards] == [f"p-00000{i}.tar" for i in range(3)]
    assert [shard.samples for shard in manifest.shards] == [2, 2, 1]
    assert Manifest.load(tmp_path) == manifest
    assert manifest.verify(tmp_path) == []
    assert manifest.skipped == {"missing image file": 1}
    index = ShardIndex.open(tmp_path / "p-000001.tar")
    members, expected = index.read(0), sample(2)
    assert members["txt"] == b"picture 2"
    assert members["png"] == expected.image
    assert uid_of(index.key(0), members) == index.key(0) == expected.uid
    assert captions_of(members, one_per_line=False) == expected.captions
    assert json.loads(members["json"])["key"] == "2"
    assert label_of(members) is None
    assert not (tmp_path / MARKER_NAME).exists()


def test_equal_samples_give_equal_bytes(tmp_path):
    for name in ("a", "b"):
        write_pairs(samples(7), tmp_path / name, max_samples=3)
        labelled = [sample(i, label=i) for i in range(3)]
        write_benchmark(labelled, tmp_path / name / "bench", class_names=["x", "y", "z"])
    assert _content(tmp_path / "a") == _content(tmp_path / "b")


def test_webdataset_itself_reads_what_was_written(tmp_path):
    write_pairs(samples(5), tmp_path, max_samples=3)
    urls = [str(path) for path in find_shards([tmp_path])]
    read = list(webdataset.WebDataset(urls, shardshuffle=False))
    assert [row["__key__"] for row in read] == [s.uid for s in samples(5)]
    assert [row["txt"] for row in read] == [s.captions[0].encode() for s in samples(5)]
    assert all(row["png"] == s.image for row, s in zip(read, samples(5), strict=True))


def test_benchmark_layout(tmp_path):
    rows = [
        sample(i, label=1 - i, captions=("two\nlines", "next\x0bline", "\\n")) for i in range(2)
    ]
    manifest = write_benchmark(
        rows,
        tmp_path / "set",
        kind="retrieval",
        class_names=["cat", "dog"],
        templates=["a {c}."],
        shift_of="other",
        max_samples=1,
    )
    texts = {
        name: content.decode()
        for name, content in _content(tmp_path / "set").items()
        if name.endswith(".txt")
    }
    assert texts == {
        "classnames.txt": "cat\ndog\n",
        "zeroshot_classification_templates.txt": "a {c}.\n",
        "dataset_type.txt": "retrieval\n",
        "shift_of.txt": "other\n",
        "test/nshards.txt": "2\n",
    }
    assert [shard.name for shard in manifest.shards] == ["0.tar", "1.tar"]
    members = ShardIndex.open(tmp_path / "set" / "test" / "0.tar").read(0)
    assert members["cls"] == b"1"
    # As the readers of the layout split it: one line a caption.
    assert members["txt"].decode().splitlines() == ["two\\nlines", "next line", "\\n"]


def test_second_split_shares_the_class_names(tmp_path):
    rows = [sample(0, label=0)]
    write_benchmark(rows, tmp_path, split="test", class_names=["cat"])
    write_benchmark(rows, tmp_path, split="val", class_names=["cat"])
    with pytest.raises(DataError, match="differs from what this split needs"):
        write_benchmark(rows, tmp_path, split="new", class_names=["dog"])
    shutil.rmtree(tmp_path / "val")
    assert (tmp_path / "classnames.txt").exists()
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["test"]
    write_benchmark(rows, tmp_path, split="test", class_names=["dog"], overwrite=True)
    assert (tmp_path / "classnames.txt").read_text() == "dog\n"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"class_names": []}, "needs class names"),
        ({"class_names": ["a"], "templates": ["a photo"]}, "placeholder"),
        ({"class_names": ["a", " "]}, "single lines"),
        ({"class_names": ["a"], "kind": "clustering"}, "unknown kind"),
        ({"class_names": ["a"]}, "has label 5"),
        ({"kind": "retrieval", "class_names": ["a"]}, "has label 5"),
    ],
)
def test_contradictory_benchmarks_are_refused(tmp_path, fields, message):
    with pytest.raises(DataError, match=message):
        write_benchmark([sample(0, label=5)], tmp_path, **fields)


def test_max_bytes_bounds_a_shard_but_fits_any_sample(tmp_path):
    manifest = write_pairs(samples(4), tmp_path / "a", max_bytes=1)
    assert [shard.samples for shard in manifest.shards] == [1, 1, 1, 1]
    bound = 2 * manifest.shards[0].bytes
    manifest = write_pairs(samples(20), tmp_path / "b", max_bytes=bound)
    assert max(shard.bytes for shard in manifest.shards) <= bound
    assert manifest.num_samples == 20
    assert len(manifest.shards) < 20


def test_unusable_samples_stop_a_build_and_leave_no_manifest(tmp_path):
    for number, (rows, message) in enumerate(
        [
            ([sample(0), sample(0)], "occurs twice"),
            ([sample(0, captions=())], "empty caption"),
            ([sample(0, captions=("a", " "))], "empty caption"),
            ([], "no sample"),
        ]
    ):
        out = tmp_path / str(number)
        with pytest.raises(DataError, match=message):
            write_pairs(rows, out)
        assert not (out / "manifest.json").exists()


def _looking(out, above):
    """No sample; looks at a build from outside while it runs."""
    assert (unfinished_place(out) / "shard-000000.tar").exists()
    for wanted, told in ((out, "interrupted"), (above, "no shard")):
        with pytest.raises(ShardError, match=told):
            find_shards([wanted])
    with pytest.raises(DataError, match=f"being written by process {os.getpid()} on"):
        write_pairs(samples(3), out)
    yield from ()


def _stopping():
    yield from ()
    raise KeyboardInterrupt


def test_a_killed_build_is_not_data_and_the_next_one_finishes(tmp_path):
    out = tmp_path / "set"
    left = unfinished_place(out)  # as a kill would leave it
    half_way = chain(samples(2), _looking(out, tmp_path), _stopping())
    with pytest.raises(KeyboardInterrupt):
        write_pairs(half_way, out, max_samples=1)
    assert [path.name for path in tmp_path.iterdir()] == []
    left.mkdir()
    (left / "shard-000009.tar").write_bytes(b"half")
    write_pairs(samples(3), out, max_samples=2)
    write_pairs(samples(3), tmp_path / "never", max_samples=2)
    assert _content(tmp_path / "never") == _content(out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["never", "set"]


def test_a_build_that_fails_leaves_the_old_set_as_it_was(tmp_path):
    def failing():
        yield from samples(5)
        raise DataError("the source broke")

    write_pairs(samples(3), tmp_path / "set")
    before = _content(tmp_path)
    with pytest.raises(DataError, match="broke"):
        write_pairs(failing(), tmp_path / "set", max_samples=2, overwrite=True)
    assert _content(tmp_path) == before


def test_overwriting_takes_what_the_manifest_lists_and_nothing_else(tmp_path):
    write_pairs(samples(3), tmp_path / "all", max_samples=1)
    ShardIndex.open(tmp_path / "all" / "shard-000000.tar")
    write_pairs(samples(2), tmp_path / "all" / "set")
    (tmp_path / "all" / "precious.tar").write_bytes(b"mine")
    (tmp_path / "all" / "deep").mkdir()
    (tmp_path / "all" / "deep" / "nshards.txt").write_text("mine")
    below = _content(tmp_path / "all" / "set")
    write_pairs(samples(2), tmp_path / "all", prefix="other", overwrite=True)
    assert (tmp_path / "all" / "precious.tar").read_bytes() == b"mine"
    assert (tmp_path / "all" / "deep" / "nshards.txt").read_text() == "mine"
    assert _content(tmp_path / "all" / "set") == below
    shards = sorted(p.name for p in (tmp_path / "all").glob("*.tar"))
    assert shards == ["other-000000.tar", "precious.tar"]
    assert not (tmp_path / "all" / MARKER_NAME).exists()


def test_a_foreign_file_in_the_way_stops_before_anything_goes(tmp_path):
    write_pairs(samples(3), tmp_path / "set")
    (tmp_path / "set" / "other-000000.tar").write_bytes(b"mine")
    before = _content(tmp_path)
    with pytest.raises(DataError, match=r"other-000000\.tar is in the way"):
        write_pairs(samples(2), tmp_path / "set", prefix="other", overwrite=True)
    assert _content(tmp_path) == before


@pytest.mark.parametrize("moves", range(1, 9))
@pytest.mark.parametrize("is_killed", [False, True])
def test_a_replacement_that_breaks_off_is_undone(tmp_path, monkeypatch, moves, is_killed):
    """Three old files and their manifest go aside, four new ones and theirs come in."""
    out = tmp_path / "set"
    write_pairs(samples(3), out, max_samples=1)
    (out / "mine.tar").write_bytes(b"mine")
    before = _content(out)
    real, done = folder._move, []

    def move(source, target):
        done.append(target)
        if len(done) == moves:
            raise OSError(28, "No space left on device")
        real(source, target)

    monkeypatch.setattr(folder, "_move", move)
    if is_killed:
        monkeypatch.setattr(folder, "_put_back", lambda _: None)
    with pytest.raises(DataError, match="No space left"):
        write_pairs(samples(4), out, max_samples=1, overwrite=True)
    monkeypatch.undo()
    if is_killed:
        if moves > 1:  # the manifest goes first
            with pytest.raises(ShardError, match="interrupted"):
                find_shards([out])
        with pytest.raises(DataError, match="already holds a finished"):
            write_pairs(samples(1), out)
    assert _content(out) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set"]


def test_finished_and_foreign_folders_are_not_touched(tmp_path):
    write_pairs(samples(1), tmp_path / "done")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "thesis.tar").write_bytes(b"precious")
    before = _content(tmp_path)
    with pytest.raises(DataError, match="--overwrite"):
        write_pairs(samples(2), tmp_path / "done")
    with pytest.raises(DataError, match="not empty"):
        write_pairs(samples(2), tmp_path / "foreign")
    with pytest.raises(DataError, match="leaves it alone"):
        write_pairs(samples(2), tmp_path / "foreign", overwrite=True)
    with pytest.raises(DataError, match="leaves it alone"):
        write_pairs(samples(2), tmp_path, overwrite=True)
    assert _content(tmp_path) == before


def test_manifest_that_names_outside_files_is_refused(tmp_path):
    write_pairs(samples(1), tmp_path / "set")
    outside = tmp_path / "precious.tar"
    outside.write_bytes(b"x")
    path = tmp_path / "set" / "manifest.json"
    path.write_text(path.read_text().replace("shard-000000.tar", "../precious.tar"))
    with pytest.raises(ShardError, match="outside its folder"):
        write_pairs(samples(1), tmp_path / "set", overwrite=True)
    assert outside.exists()


def test_manifest_differences_are_found(tmp_path):
    manifest = write_pairs(samples(3), tmp_path, max_samples=1)
    (tmp_path / "shard-000000.tar").unlink()
    shard = tmp_path / "shard-000001.tar"
    content = bytearray(shard.read_bytes())
    content[600] ^= 1
    shard.write_bytes(content)
    with (tmp_path / "shard-000002.tar").open("ab") as stream:
        stream.write(b"x")
    lines = manifest.verify(tmp_path)
    assert [line.split(":")[0] for line in lines] == [f"shard-00000{i}.tar" for i in range(3)]
    assert "missing" in lines[0]
    assert "sha256" in lines[1]
    assert "bytes" in lines[2]


@pytest.mark.parametrize("content", ["{", "[]", '{"tool": "vlsuite", "format_version": 99}'])
def test_broken_manifests_are_refused(tmp_path, content):
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(ShardError):
        Manifest.load(tmp_path)


def test_full_disk_is_one_clear_error(tmp_path):
    """A file-size limit makes writes fail as a full disk does."""
    previous = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, previous[1]))
        with pytest.raises(DataError, match=r"cannot write .*shard-000000\.tar"):
            write_pairs(samples(200), tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, previous)
        signal.signal(signal.SIGXFSZ, handler)
    assert list(tmp_path.iterdir()) == []


def test_folder_that_cannot_be_made_is_one_clear_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot use"):
        write_pairs(samples(1), tmp_path / "file")

    def refuse(path, *args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("pathlib.Path.mkdir", refuse)
    with pytest.raises(DataError, match="Permission denied"):
        write_pairs(samples(1), tmp_path / "new")
