"""Tars that are cut, lie, lead out of their folder, or hold names that terminals obey."""

import io
import tarfile

import numpy as np

from benchmarks.hostile_inputs.place import OBEYED, Place, hostile, tar_of, write

_TEXT = {"000.txt": b"a red square", "001.txt": b"a blue circle"}


def _picture() -> bytes:
    from PIL import Image

    stream = io.BytesIO()
    Image.new("RGB", (32, 32), (9, 200, 60)).save(stream, "PNG")
    return stream.getvalue()


def _good() -> dict[str, bytes]:
    return {f"{n:03}.{kind}": data for n in range(4) for kind, data in
            (("png", _picture()), ("txt", b"a square"))}  # fmt: skip


@hostile("archives")
def truncated(place: Place) -> list[str]:
    write(place.inputs / "a.tar", tar_of(_good())[:3000])
    return ["data", "validate", str(place.inputs)]


@hostile("archives")
def garbage(place: Place) -> list[str]:
    noise = np.random.default_rng(0).integers(0, 256, size=1 << 20, dtype=np.uint8)
    write(place.inputs / "a.tar", noise.tobytes())
    return ["data", "validate", str(place.inputs)]


@hostile("archives")
def paths_that_lead_out(place: Place) -> list[str]:
    names = ("../../out", "/tmp/out", "a/../../../out", "..\\out", "a\0b", "~/out")
    write(place.inputs / "a.tar", tar_of({f"{n}.png": _picture() for n in names} | _good()))
    shards = str(place.inputs)
    return ["data", "build", "shards", shards, "--out", str(place.target)]


@hostile("archives")
def links_and_devices(place: Place) -> list[str]:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        kinds = (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE)
        for number, kind in enumerate(kinds):
            entry = tarfile.TarInfo(f"{number:03}.png")
            entry.type, entry.linkname = kind, "/etc/passwd"
            tar.addfile(entry)
    write(place.inputs / "a.tar", stream.getvalue() + tar_of(_good()))
    return ["data", "validate", str(place.inputs)]


@hostile("archives")
def size_of_gigabytes(place: Place) -> list[str]:
    data = bytearray(tar_of(_good()))
    data[124:136] = b"77777777777\0"
    data[148:156] = b" " * 8
    data[148:156] = f"{sum(data[:512]):06o}\0 ".encode()
    write(place.inputs / "a.tar", bytes(data))
    return ["data", "validate", str(place.inputs)]


@hostile("archives")
def sparse_pax_and_long_names(place: Place) -> list[str]:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        entry = tarfile.TarInfo("x" * 100_000 + ".png")
        entry.pax_headers = {"GNU.sparse.size": str(1 << 60), "comment": "y" * 1_000_000}
        entry.size = 4
        tar.addfile(entry, io.BytesIO(b"abcd"))
    write(place.inputs / "a.tar", stream.getvalue())
    return ["data", "validate", str(place.inputs)]


@hostile("archives")
def hundred_thousand_members(place: Place) -> list[str]:
    write(place.inputs / "a.tar", tar_of({f"{n}.txt": b"x" for n in range(100_000)}))
    return ["data", "inspect", str(place.inputs)]


@hostile("archives")
def names_that_terminals_obey(place: Place) -> list[str]:
    members = {}
    for number in range(3):
        key = f"{number}{OBEYED.replace('.', '')}"
        members |= {
            f"{key}.png": _picture(),
            f"{key}.{OBEYED}": b"x",
            f"{key}.txt": OBEYED.encode(),
        }
    write(place.inputs / f"{OBEYED}.tar".replace("/", ""), tar_of(members))
    return ["data", "validate", str(place.inputs)]


@hostile("archives")
def a_pipe_in_place_of_a_shard(place: Place) -> list[str]:
    return ["data", "validate", "pipe:touch started"]
