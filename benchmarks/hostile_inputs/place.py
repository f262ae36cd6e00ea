"""What a hostile input is given, and the list of all of them."""

import io
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

#: Never to be seen again in anything that is shown or stored for showing.
PASSWORD = "pa55w0rd-of-loopback"

#: What a terminal would obey: colour, a title, a line begun anew, C1, direction turned, a bell.
OBEYED = "\x1b[31mred\x1b]0;title\x07\rFAKE \x9b2J \u202egnp.exe\u2066"


@dataclass(frozen=True, kw_only=True, slots=True)
class Sane:
    """Inputs that are as they should be, made once by the commands themselves.

    Attributes:
        shards: folder of one shard of pairs.
        model: exported folder of a tiny model.
        run: the run folder that it is from.
    """

    shards: Path
    model: Path
    run: Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Folders of one case.

    Attributes:
        inputs: for what the case makes.
        target: where its command may write; not made yet.
        sane: see ``Sane``.
        server: address of the server of hostile replies.
        more: variables of the command's environment.
        forbidden: patterns of files that the command must not make in the target folder.
    """

    inputs: Path
    target: Path
    sane: Sane
    server: str
    more: dict[str, str] = field(default_factory=dict)
    forbidden: list[str] = field(default_factory=list)


#: Makes the inputs and returns the words behind ``vlsuite``.
Hostile = Callable[[Place], list[str]]

#: By kind and name: "pictures: eps_named_png".
ALL: dict[str, Hostile] = {}


def hostile(kind: str) -> Callable[[Hostile], Hostile]:
    """Add a case under its kind and the name of its function."""

    def add(make: Hostile) -> Hostile:
        ALL[f"{kind}: {make.__name__}"] = make
        return make

    return add


def add_many(kind: str, made: Mapping[str, Hostile]) -> None:
    """Add cases that are alike, by name."""
    ALL.update({f"{kind}: {name}": make for name, make in made.items()})


def tar_of(members: Mapping[str, bytes]) -> bytes:
    """An uncompressed tar."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return stream.getvalue()


def write(path: Path, data: bytes | str) -> Path:
    """A file, and its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data)
    return path
