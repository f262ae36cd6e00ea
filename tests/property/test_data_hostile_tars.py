"""Damaged tars give samples, problems or a ShardError: no other error, no bytes beyond the file."""

import io
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from data_pipelines.errors import DataError, ShardError
from data_pipelines.shards.index import ShardIndex
from data_pipelines.shards.pairs import captions_of, image_of, label_of
from data_pipelines.shards.scan import scan


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


@settings(deadline=None, max_examples=100)
@given(
    changes=st.lists(
        st.tuples(st.integers(0, len(TAR) - 1), st.binary(min_size=1, max_size=40)), max_size=6
    ),
    length=st.integers(0, len(TAR)),
)
def test_damaged_tars_are_read_safely(changes, length):
    content = bytearray(TAR)
    for place, data in changes:
        content[place : place + len(data)] = data
    with TemporaryDirectory() as folder:
        path = Path(folder) / "s.tar"
        path.write_bytes(content[:length])
        try:
            index = ShardIndex(path, scan(path))
        except ShardError:
            return
        for i in range(len(index)):
            members = index.read(i)
            assert sum(map(len, members.values())) <= length
            for reader in (image_of, label_of):
                try:
                    reader(members)
                except DataError:
                    continue
            try:
                captions_of(members, one_per_line=True)
            except DataError:
                continue
