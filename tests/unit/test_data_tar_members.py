"""Members of a tar are byte for byte what Python's tarfile writes."""

import io
import tarfile

from data_pipelines.shards import tar_members

MEMBERS = [
    ("0123.jpg", b"x" * 1234),
    ("0123.txt", b""),
    ("a" * 96 + ".txt", b"y" * 512),
    ("b" * 140 + ".json", b"{}"),
    ("\u00e4\u4e2d.png", b"z" * 513),
]


def _by_tarfile(members):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        for name, data in members:
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return stream.getvalue()


def test_the_same_bytes_as_tarfile():
    for count in range(len(MEMBERS) + 1):
        found = b"".join(tar_members.member(*one) for one in MEMBERS[:count])
        assert found + tar_members.end(len(found)) == _by_tarfile(MEMBERS[:count])


def test_ends_of_all_lengths():
    for blocks in range(1, 45):
        members = [("m", b"x" * (512 * blocks))]
        found = tar_members.member(*members[0])
        assert found + tar_members.end(len(found)) == _by_tarfile(members)
