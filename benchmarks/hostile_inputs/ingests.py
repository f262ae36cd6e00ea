"""Lists of addresses whose servers mean harm, and lists that do."""

import gzip
import json

from benchmarks.hostile_inputs.place import OBEYED, Hostile, Place, add_many, hostile, write
from benchmarks.support.hostile_pictures import MANY_HOSTS, PICTURES, ROBOTS, robots_host

_OF_EACH = 4  # addresses


def _words(place: Place, name: str, *more: str) -> list[str]:
    """The command over a list in the inputs, patient enough for no case to take a minute."""
    return [
        "data", "ingest", str(place.inputs / name), "--out", str(place.target), "--timeout", "3",
        "--retries", "1", "--max-wait", "2", *more,
    ]  # fmt: skip


def _port(place: Place) -> str:
    return place.server.rpartition(":")[2]


def _pictures(name: str) -> Hostile:
    def make(place: Place) -> list[str]:
        urls = [f"{place.server}/{name}/{number}.jpg" for number in range(_OF_EACH)]
        write(place.inputs / "urls.txt", "\n".join(urls))
        return _words(place, "urls.txt", "--allow-private", "--no-robots")

    return make


def _robots(name: str) -> Hostile:
    def make(place: Place) -> list[str]:
        root = f"http://{robots_host(name)}:{_port(place)}/picture"
        urls = [f"{root}/{'a' * 4000}{number}.jpg" for number in range(_OF_EACH)]
        write(place.inputs / "urls.txt", "\n".join(urls))
        return _words(place, "urls.txt", "--allow-private")

    return make


add_many("ingest", {name: _pictures(name) for name in PICTURES})
add_many("ingest", {f"robots_{name}": _robots(name) for name in ROBOTS})


@hostile("ingest")
def private_address_spelled_otherwise(place: Place) -> list[str]:
    """None may be asked: a picture that is stored came from this machine."""
    hosts = (
        "127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0",
        "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "0.0.0.0",
        "\u2460\u2461\u2466.0.0.1", "127.0.0.1.", "LOCALHOST.", "[::1%25lo]", "127.0.0.1%00.org",
    )  # fmt: skip
    urls = [f"http://{host}:{_port(place)}/picture/1.jpg" for host in hosts]
    write(place.inputs / "urls.txt", "\n".join(urls))
    place.forbidden.append("*.tar")
    return _words(place, "urls.txt", "--no-robots")


@hostile("ingest")
def endless_pictures_of_many_hosts(place: Place) -> list[str]:
    """All at once: what each host may send, times the connections, is more than the memory."""
    urls = [f"http://{host}:{_port(place)}/endless_picture/1.jpg" for host in MANY_HOSTS]
    write(place.inputs / "urls.txt", "\n".join(urls))
    return _words(place, "urls.txt", "--allow-private", "--no-robots", "--retries", "0")


@hostile("ingest")
def names_that_lead_up(place: Place) -> list[str]:
    """In every column that could become one of a file."""
    rows = [
        {"url": f"{place.server}/picture/..%2f..%2f{number}.jpg", "caption": OBEYED,
         "uid": "../../precious", "key": "../../precious.txt", "../../precious.txt": "x"}
        for number in range(3)
    ]  # fmt: skip
    text = "\n".join(map(json.dumps, rows))
    write(place.inputs / "list.jsonl", text)
    more = ("--allow-private", "--no-robots", "--save-additional-columns", "../../precious.txt")
    return _words(place, "list.jsonl", *more)


@hostile("ingest")
def ids_that_lead_up(place: Place) -> list[str]:
    """An id names the members of a tar."""
    rows = ["url,uid"]
    rows += [f"{place.server}/picture/{number}.jpg,../../../precious" for number in range(3)]
    write(place.inputs / "list.csv", "\n".join(rows))
    return _words(place, "list.csv", "--allow-private", "--no-robots", "--uid-col", "uid")


@hostile("ingest")
def addresses_of_other_kinds(place: Place) -> list[str]:
    """Files, programs, users, control characters."""
    urls = (
        "file:///etc/passwd", "pipe:cat /etc/passwd", "ftp://127.0.0.1/x", "http://", "http://[",
        f"http://user:word@127.0.0.1:{_port(place)}/picture/1.jpg", "http://127.0.0.1:99999/x",
        f"http://127.0.0.1:{_port(place)}\\@example.org/", "http://a b/", "javascript:alert(1)",
        "data:image/jpeg;base64,/9j/", "http://" + "a" * 70_000, f"http://{OBEYED}/x",
        "http://xn--0/", "http://" + "a." * 300 + "org/", "//127.0.0.1/x", "http://127.0.0.1:0/",
    )  # fmt: skip
    write(place.inputs / "urls.txt", "\n".join(urls))
    place.forbidden.append("*.tar")
    return _words(place, "urls.txt", "--allow-private", "--no-robots")


@hostile("ingest")
def one_line_without_end(place: Place) -> list[str]:
    """In a packed list."""
    write(place.inputs / "urls.txt.gz", gzip.compress(b"http://a/" + b"a" * (300 << 20)))
    return _words(place, "urls.txt.gz", "--no-robots")


@hostile("ingest")
def deep_json(place: Place) -> list[str]:
    """A list that is nested a million times."""
    write(place.inputs / "list.json", "[" * 1_000_000)
    return _words(place, "list.json", "--no-robots")
