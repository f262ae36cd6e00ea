"""Bad samples end the run, are counted, or are set aside whole; nothing hostile gets a path."""

import io
import json
import multiprocessing
import os
import pickle
import resource
import signal
import tarfile
from pathlib import Path

import pytest

from benchmarks.truncation_sweep import _cuts, _sweep, _sweep_peer, _whole
from data_pipelines.errors import BadSampleError, DataError, ShardError
from data_pipelines.shards.counts import count_problems
from data_pipelines.shards.index import ShardIndex
from data_pipelines.shards.manifest import Manifest, Origin, ShardEntry
from tests.support.shards import write_tar
from tests.support.warm_processes import exit_codes, start
from vlsuite.batches import bad_input
from vlsuite.batches.bad_input import BadInputHandler, SampleAddress

ADDRESS = SampleAddress("train-000001.tar", 7, "some/key")
ERROR = BadSampleError("truncated image", "cut at byte 10")


def test_raise_says_what_where_and_how_to_go_on():
    with pytest.raises(
        DataError, match=r"truncated image.*some/key.*7.*train-000001.*skip"
    ) as found:
        BadInputHandler("raise").handle(ERROR, ADDRESS, {})
    assert "\n" not in str(found.value)


def test_skip_counts_by_kind(tmp_path):
    handler = pickle.loads(pickle.dumps(BadInputHandler("skip", folder=tmp_path)))  # noqa: S301
    skipped = handler.handle(ERROR, ADDRESS, {"jpg": b"1"})
    assert (skipped.kind, skipped.uid, skipped.shard) == (
        "truncated image",
        "some/key",
        "train-000001.tar",
    )
    assert handler.handle(ShardError("gone"), ADDRESS, None).kind == "unreadable"
    assert list(tmp_path.iterdir()) == []


def test_quarantine_keeps_members_and_reason_once(tmp_path):
    members = {"jpg": b"\xff\xd8", "txt": "gr\u00fcn".encode("latin-1")}
    for _ in range(2):
        handler = BadInputHandler("quarantine", folder=tmp_path / "q")
        handler.handle(ERROR, ADDRESS, members)
    assert [path.name for path in (tmp_path / "q").iterdir()] == ["train-000001-00000007.tar"]
    index = ShardIndex.open(tmp_path / "q" / "train-000001-00000007.tar")
    assert (len(index), index.problems) == (1, ())
    stored = index.read(0)
    reason = json.loads(stored.pop("reason.json"))
    assert stored == members
    assert reason["kind"] == "truncated image"
    assert (reason["shard"], reason["row"], reason["key"]) == ("train-000001.tar", 7, "some/key")


def test_shards_of_the_same_name_do_not_hide_each_other(tmp_path):
    handler = BadInputHandler("quarantine", folder=tmp_path)
    for key in ("a", "b", "b", "a"):
        handler.handle(ERROR, ADDRESS._replace(key=key), {"txt": key.encode()})
    assert len(list(tmp_path.glob("*.tar"))) == 2


@pytest.mark.parametrize(
    "shard",
    ["../../etc/passwd", "/var/x.tar", "s3://bucket/../x.tar", "\x00\n\udcff.tar", "..", ""],
)
def test_hostile_names_stay_inside_the_folder(tmp_path, shard):
    folder = tmp_path / "outer" / "q"
    suffixes = ("png", "../up", "a\x00b", "\udcff", "", "reason.json", "x" * 500)
    handler = BadInputHandler("quarantine", folder=folder)
    handler.handle(
        ERROR, SampleAddress(shard, 0, "../../\udc80\nkey"), dict.fromkeys(suffixes, b"1")
    )
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == list(folder.glob("*.tar"))
    (path,) = folder.iterdir()
    with tarfile.open(path) as tar:
        names = tar.getnames()
    assert len(set(names)) == len(suffixes) + 1
    assert all(name.startswith(path.stem) and "/" not in name and name.isascii() for name in names)


def test_full_quarantine_is_said_once_and_counting_goes_on(tmp_path, capsys):
    handler = BadInputHandler("quarantine", folder=tmp_path, max_files=2)
    for row in range(5):
        assert handler.handle(ERROR, ADDRESS._replace(row=row), {"txt": b"x"}).kind
    assert len(list(tmp_path.iterdir())) == 2
    assert capsys.readouterr().err.count("is full") == 1
    bounded = BadInputHandler("quarantine", folder=tmp_path / "b", max_bytes=50_000)
    for row in range(8):
        bounded.handle(ERROR, ADDRESS._replace(row=row), {"png": bytes(15_000)})
    assert sum(path.stat().st_size for path in (tmp_path / "b").iterdir()) <= 60_000


def test_full_disk_is_one_line_and_leaves_nothing(tmp_path):
    handler = BadInputHandler("quarantine", folder=tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(DataError, match="cannot keep a copy") as found:
            handler.handle(ERROR, ADDRESS, {"png": bytes(20_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert "\n" not in str(found.value)
    assert list(tmp_path.iterdir()) == []


def test_quarantine_needs_a_folder():
    with pytest.raises(DataError, match="folder"):
        BadInputHandler("quarantine")


def _keep_many(folder: str) -> None:
    handler = BadInputHandler("quarantine", folder=Path(folder))
    for row in range(20):
        handler.handle(ERROR, ADDRESS._replace(row=row), {"png": bytes(3000)})


def test_several_processes_write_the_same_copies(tmp_path):
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_keep_many, args=(str(tmp_path),)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"train-000001-{row:08d}.tar" for row in range(20)
    ]
    assert all(ShardIndex.open(path).problems == () for path in tmp_path.glob("*.tar"))


def _die_while_writing(folder: str) -> None:
    bad_input.os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
    _keep_many(folder)


def test_killed_while_writing_leaves_no_half_copy(tmp_path):
    assert exit_codes([start(_die_while_writing, str(tmp_path))]) == [-signal.SIGKILL]
    assert list(tmp_path.glob("[!.]*")) == []
    _keep_many(str(tmp_path))
    assert len(list(tmp_path.glob("[!.]*.tar"))) == 20


def test_every_cut_is_detected_and_no_whole_sample_lost(tmp_path):
    members = [
        (f"{i:03d}.{suffix}", bytes([65 + i]) * (300 * i + 100))
        for i in range(6)
        for suffix in (("jpg", "txt", "json") if i % 2 else ("jpg", "txt"))
    ]
    path = write_tar(tmp_path / "cut.tar", members)
    content = path.read_bytes()
    whole = _whole(path)
    ours = _sweep(path, whole, _cuts(whole.size, step=512, most=None))
    assert ours["cuts"] > 40
    assert (ours["undetected"], ours["lost_whole_samples"], ours["wrong_samples"]) == (0, 0, 0)
    path.write_bytes(content)
    peer = _sweep_peer(path, whole, _cuts(whole.size, step=512, most=None))
    assert peer["peer_silent"] > 0


def test_a_sample_cut_out_whole_is_missed_by_the_manifest(tmp_path):
    path = write_tar(tmp_path / "s.tar", [(f"{i}.png", b"x" * 600) for i in range(4)])
    content = path.read_bytes()
    entry = ShardEntry(name="s.tar", samples=4, bytes=0, sha256="")
    Manifest(origin=Origin(), layout="pairs", shards=(entry,)).save(tmp_path)
    assert count_problems([(path, len(ShardIndex.open(path)))]) == []
    path.write_bytes(content[:1536] + content[3072:])
    index = ShardIndex.open(path)
    assert (len(index), index.problems) == (3, ())
    assert count_problems([(path, len(index))]) == ["s.tar: 3 samples, its manifest promises 4"]
    (tmp_path / "manifest.json").write_text('{"tool": "vlsuite"')
    assert "manifest" in count_problems([(path, 3)])[0]
    (tmp_path / "manifest.json").write_text('{"tool": "another"}')
    assert count_problems([(path, 3), (tmp_path / "none" / "t.tar", 1)]) == []


def _tar(*entries: tarfile.TarInfo, form: int = tarfile.GNU_FORMAT) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form) as tar:
        for entry in entries:
            tar.addfile(entry, io.BytesIO(bytes(entry.size)))
    return stream.getvalue()


def _entry(name: str, size: int = 10) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size = size
    return entry


def test_samples_after_a_damaged_header_are_delivered(tmp_path):
    members = [(f"{i}.{s}", bytes([65 + i]) * 600) for i in range(5) for s in ("png", "txt")]
    path = write_tar(tmp_path / "s.tar", members)
    content = bytearray(path.read_bytes())
    content[2 * 3072 : 2 * 3072 + 50] = b"\xff" * 50  # the first header of sample 2
    path.write_bytes(content)
    index = ShardIndex.open(path)
    assert index.keys == ["0", "1", "3", "4"]
    assert [members["txt"][:1] for _, members in index] == [b"A", b"B", b"D", b"E"]
    assert "damaged" in index.problems[0]
    assert "'2' is incomplete" in index.problems[1]


def test_joined_tars_and_zeroed_pages_are_reported_and_read_on(tmp_path):
    first, second = (_tar(*(_entry(f"{k}.{s}") for s in ("png", "txt"))) for k in "ab")
    (tmp_path / "s.tar").write_bytes(first + second)
    index = ShardIndex.open(tmp_path / "s.tar")
    assert index.keys == ["a", "b"]
    assert "joined tars" in index.problems[0]
    many = bytearray(_tar(*(_entry(f"{i}.{s}", 3000) for i in range(9) for s in ("png", "txt"))))
    many[8192:12288] = bytes(4096)  # from inside sample 1 to inside sample 1 or 2
    (tmp_path / "z.tar").write_bytes(many)
    index = ShardIndex.open(tmp_path / "z.tar")
    assert [key for key in index.keys if key not in "12"] == ["0", *"345678"]
    assert index.problems


def test_too_many_suffixes_members_and_links_are_bounded(tmp_path):
    path = tmp_path / "s.tar"
    block = bytearray(_tar(_entry("000000.s000000", 0))[:512])
    parts = []
    for number in range(67_000):
        block[:14] = b"%06d.s%06d" % (number // 30_000, number)
        block[148:156] = b" " * 8
        block[148:156] = b"%06o\0 " % sum(block)
        parts.append(bytes(block))
    path.write_bytes(b"".join(parts) + bytes(1024))
    index = ShardIndex.open(path)
    assert len(index.suffixes(2)) == 65_536 - 60_000
    assert len(index.problems) < 1100
    assert "more problems" in index.problems[-1]


def test_sizes_that_no_file_has_are_refused(tmp_path):
    for size in (1 << 62, (1 << 63) - 1, 1 << 63, 1 << 80, -1, -512):
        header = _entry("b.png", 0)
        block = bytearray(header.tobuf(tarfile.GNU_FORMAT))
        block[124:136] = (
            b"\x80" + size.to_bytes(11, "big")
            if size > 0
            else (b"\xff" + size.to_bytes(11, "big", signed=True))
        )
        block[148:156] = b" " * 8
        block[148:156] = b"%06o\0 " % sum(block)
        path = tmp_path / f"{size}.tar"
        path.write_bytes(_tar(_entry("a.png"), _entry("a.txt"))[:2048] + bytes(block) + bytes(1024))
        index = ShardIndex.open(path)
        assert index.keys == ["a"], size
        assert index.problems, size


def test_a_sparse_gap_inside_a_sample_costs_no_memory(tmp_path):
    path = tmp_path / "s.tar"
    with path.open("wb") as stream:
        stream.write(_tar(_entry("a.png"))[:1024])
        stream.write(_entry("a.png", 8 << 30).tobuf(tarfile.GNU_FORMAT))
        stream.seek(8 << 30, os.SEEK_CUR)
        stream.write(_tar(_entry("a.txt"), _entry("b.png")))
    index = ShardIndex.open(path)
    assert [sorted(members) for _, members in index] == [["png"], ["png"]]
    assert sum("second member" in line or "over" in line for line in index.problems) == 2
