"""Damaged tars give samples, problems or a ShardError: no other error, no bytes beyond the file."""

import io
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from benchmarks.support.broken_files import mutated, seeds, with_checksums
from data_pipelines.errors import BadSampleError, DataError, ShardError
from data_pipelines.shards.index import ShardIndex
from data_pipelines.shards.pairs import captions_of, image_of, label_of, read_captions, uid_of
from data_pipelines.shards.scan import scan
from data_pipelines.shards.tar_headers import HeaderError, read_header
from data_pipelines.shards.text import MAX_CAPTION_BYTES, clean_caption, decode_text


def _tar():
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for number in range(4):
            for suffix, size in (("png", 600), ("txt", 9), ("json", 20)):
                entry = tarfile.TarInfo(f"{'long' * 40 if number == 2 else ''}{number}.{suffix}")
                entry.size = size
                tar.addfile(entry, io.BytesIO(b"{" * size))
    return stream.getvalue()


TAR = _tar()
TAR_SEEDS = seeds("tar")


@settings(deadline=None, max_examples=100)
@given(
    changes=st.lists(
        st.tuples(st.integers(0, len(TAR) - 1), st.binary(min_size=1, max_size=40)), max_size=6
    ),
    length=st.integers(0, len(TAR)),
    believed=st.booleans(),
)
def test_damaged_tars_are_read_safely(changes, length, believed):
    content = bytearray(TAR)
    for place, data in changes:
        content[place : place + len(data)] = data
    _read_all(with_checksums(bytes(content[:length])) if believed else bytes(content[:length]))


@settings(deadline=None, max_examples=100)
@given(seed=st.integers(0, 2**32), number=st.integers(0, len(TAR_SEEDS) - 1))
def test_mutated_tars_are_read_safely(seed, number):
    rng = np.random.default_rng(seed)
    data = mutated(TAR_SEEDS[number].data, TAR_SEEDS, rng)
    _read_all(with_checksums(data) if rng.random() < 0.5 else data)


def _read_all(content):
    with TemporaryDirectory() as folder:
        path = Path(folder) / "s.tar"
        path.write_bytes(content)
        try:
            index = ShardIndex(path, scan(path))
        except ShardError:
            return
        for i in range(len(index)):
            members = index.read(i)
            assert sum(map(len, members.values())) <= len(content)
            for reader in (image_of, label_of, read_captions):
                try:
                    reader(members)
                except DataError:
                    continue
            try:
                captions_of(members, one_per_line=True)
                assert uid_of(index.key(i), members).isprintable()
            except DataError:
                continue


NAMES = st.text(
    st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=("Cs",)),
    min_size=1,
    max_size=130,
).filter(lambda name: name.strip("/"))


@settings(deadline=None, max_examples=60)
@example(names=["0/"], sizes=[0] * 4, form=tarfile.GNU_FORMAT)
@example(names=["a.png/", "\u00e9/", "a.png"], sizes=[9] * 4, form=tarfile.PAX_FORMAT)
@given(
    names=st.lists(NAMES, min_size=1, max_size=4),
    sizes=st.lists(st.integers(0, 1600), min_size=4, max_size=4),
    form=st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
)
def test_headers_are_those_that_tarfile_reads(names, sizes, form):
    """But for regular members with a slash at the end: folders to GNU tar, files to tarfile."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form) as tar:
        for name, size in zip(names, sizes, strict=False):
            entry = tarfile.TarInfo(name)
            entry.size = size
            tar.addfile(entry, io.BytesIO(bytes(size)))
    stream.seek(0)
    with tarfile.open(fileobj=stream, mode="r:") as tar:
        read = [(m.name, m.offset_data, m.size) for m in tar if m.isreg()]
    assert len(read) == len(names)
    marked = [name.endswith("/") for name in names]
    expected = [one for one, is_folder in zip(read, marked, strict=True) if not is_folder]
    found, offset, kinds = [], 0, []
    while (header := read_header(stream, offset)) is not None:
        offset = header.next
        kinds.append(header.kind)
        if header.kind == "file":
            found.append((header.name, header.offset, header.size))
    assert found == expected
    assert kinds == ["folder" if is_folder else "file" for is_folder in marked]


@pytest.mark.parametrize(
    "pax",
    [
        {"size": "-512"},
        {"size": "9" * 30},
        {"size": "1_0"},
        {"path": "../../etc/passwd"},
        {"path": "/root.png"},
        {"path": "a\0b.png"},
        {"GNU.sparse.major": "1", "GNU.sparse.name": "x.png"},
    ],
)
def test_hostile_pax_headers_are_not_followed(pax, tmp_path):
    path = tmp_path / "s.tar"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for name, headers in (("a.png", {}), ("b.png", pax), ("c.png", {})):
            entry = tarfile.TarInfo(name)
            entry.pax_headers = dict(headers)
            entry.size = 5
            tar.addfile(entry, io.BytesIO(b"12345"))
    index = ShardIndex(path, scan(path))
    assert index.problems
    if "size" in pax:  # the member's plain header says the truth
        assert [len(members["png"]) for _, members in index] == [5, 5, 5]
    else:
        assert index.keys == ["a", "c"]


def test_endless_chains_of_extended_headers_end(tmp_path):
    entry = tarfile.TarInfo("x")
    entry.type = tarfile.XHDTYPE
    chain = entry.tobuf(tarfile.GNU_FORMAT) * 5000
    with pytest.raises(HeaderError, match="more than"):
        read_header(io.BytesIO(chain), 0)


PAX_FAULTS = {
    "digits without end": b"9" * 1_000_000,
    "no blank in the second record": b"11 path=ab\n" + b"x" * 30 + b"=\n",
    "no blank at all": b"path=ab\n",
    "length of nothing": b"0 path=ab\n",
    "shorter than its own head": b"2 path=ab\n",
    "beyond the end": b"99 path=ab\n",
    "no equals sign": b"8 paths\n",
    "sign": b"+11 path=ab\n",
}


@pytest.mark.timeout(10)
@pytest.mark.parametrize("content", PAX_FAULTS.values(), ids=PAX_FAULTS)
def test_broken_pax_records_are_refused_quickly(content):
    entry = tarfile.TarInfo("x")
    entry.type, entry.size = tarfile.XHDTYPE, len(content)
    padded = content + bytes(-len(content) % 512)
    with pytest.raises(HeaderError, match="broken pax"):
        read_header(io.BytesIO(entry.tobuf(tarfile.GNU_FORMAT) + padded), 0)


@pytest.mark.timeout(10)
def test_names_of_a_megabyte_cost_no_time(tmp_path):
    path = tmp_path / "s.tar"
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
        for name in ("_" * 900_000, "/" * 900_000 + "a", "a" * 5000 + ".png", "b.png"):
            entry = tarfile.TarInfo(name)
            tar.addfile(entry, io.BytesIO())
    index = ShardIndex(path, scan(path))
    assert index.keys == ["b"]
    assert len(index.problems) == 3


@settings(deadline=None, max_examples=200)
@given(st.one_of(st.binary(max_size=300), st.text(max_size=200).map(lambda t: t.encode("utf-16"))))
def test_any_bytes_are_clean_text_or_refused(data):
    try:
        text = clean_caption(decode_text(data, name="txt").text).text
    except BadSampleError:
        return
    assert len(text.encode()) <= MAX_CAPTION_BYTES
    assert not any(ord(c) < 32 and c not in "\t\n\r" for c in text)


@settings(deadline=None, max_examples=100)
@given(st.text(st.characters(exclude_categories=("Cs",)), max_size=200))
def test_utf8_text_comes_back_unchanged(text):
    if "\0" not in text:
        assert decode_text(text.encode(), name="txt").text == text.removeprefix("\ufeff")
