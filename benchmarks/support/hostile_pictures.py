"""What servers of pictures answer that mean harm to those who fetch lists of addresses.

The first part of the path names the answer; ``robots.txt`` is answered by the address of the host,
of which loopback has many: ``robots_host`` says which.
"""

import gzip
import io
import struct
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from PIL import Image

_PIECE = b"\0" * (1 << 16)
_LARGEST = 2 << 30  # bytes; what one reader would have taken by then shows
_SECONDS = 20.0  # of answers that drip
_C1 = "\x1b[31m\x9b2J"

Reply = Callable[[Any], None]


def _jpeg() -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (64, 64), (200, 30, 30)).save(stream, "JPEG")
    return stream.getvalue()


_JPEG = _jpeg()


def _raw(handler: Any, *lines: str, body: bytes = b"", status: str = "200 OK") -> None:
    """By hand: the standard library would not send some of it."""
    head = "\r\n".join([f"HTTP/1.1 {status}", *lines])
    handler.wfile.write(head.encode("latin-1", "replace") + b"\r\n\r\n" + body)


def _sized(handler: Any, body: bytes, *lines: str, status: str = "200 OK") -> None:
    _raw(handler, *lines, f"Content-Length: {len(body)}", body=body, status=status)


def _to(location: str) -> Reply:
    return lambda handler: _sized(handler, b"", f"Location: {location}", status="302 Found")


def _on(handler: Any) -> None:
    """To the next of an endless row of addresses."""
    number = int(handler.path.rpartition("/")[2].partition(".")[0] or 0)
    _to(f"/redirect_on/{number + 1}.jpg")(handler)


def _endless(handler: Any, start: bytes, *lines: str) -> None:
    _raw(handler, *lines, "Connection: close", body=start)
    for _ in range(_LARGEST // len(_PIECE)):
        handler.wfile.write(_PIECE)


def _chunks(handler: Any, chunk: bytes) -> None:
    _raw(handler, "Transfer-Encoding: chunked")
    size = b"%x\r\n" % len(_JPEG)
    handler.wfile.write(size + _JPEG + b"\r\n")
    for _ in range(_LARGEST // max(len(chunk), 1 << 10)):
        handler.wfile.write(chunk)


def _line_without_end(handler: Any) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
    for _ in range(_LARGEST // len(_PIECE)):
        handler.wfile.write(b"x" * len(_PIECE))


def _lines_without_end(handler: Any) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    for number in range(_LARGEST // 4000):
        handler.wfile.write(b"X-%d: %s\r\n" % (number, b"y" * 4000))


def _interim(handler: Any) -> None:
    for _ in range(1 << 22):
        handler.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n" * 64)


def _drip(handler: Any, data: bytes) -> None:
    end = time.monotonic() + _SECONDS
    for byte in data:
        if time.monotonic() > end:
            return
        handler.wfile.write(bytes([byte]))
        handler.wfile.flush()
        time.sleep(0.05)


def _drip_body(handler: Any) -> None:
    _raw(handler, f"Content-Length: {len(_JPEG)}")
    _drip(handler, _JPEG)


def _packed_bomb() -> bytes:
    """Unpacks to 256 MiB that begin as a picture does."""
    pack = zlib.compressobj(9, wbits=31)
    parts = [pack.compress(_JPEG)]
    parts += [pack.compress(b"\0" * (1 << 20)) for _ in range(256)]
    return b"".join([*parts, pack.flush()])


def _packed(handler: Any, body: bytes, coding: str = "gzip") -> None:
    _sized(handler, body, f"Content-Encoding: {coding}")


def _packed_and_on(handler: Any) -> None:
    """Endless bytes behind the end of a packed body."""
    _endless(handler, gzip.compress(_JPEG), "Content-Encoding: gzip")


def _empty_blocks(handler: Any) -> None:
    """A packed body that never ends and unpacks to nothing."""
    _raw(handler, "Content-Encoding: deflate", "Connection: close", body=b"\x78\x9c")
    block = b"\x00\x00\x00\xff\xff" * 4096
    for _ in range(_LARGEST // len(block)):
        handler.wfile.write(block)


def _png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + crc

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(b"\0" * (1 << 22), 9)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


def _told(handler: Any, *lines: str) -> None:
    _sized(handler, _JPEG, *lines)


#: To a request for a picture, by the first part of its path.
PICTURES: dict[str, Reply] = {
    "redirect_loop": lambda h: _to(h.path)(h),
    "redirect_on": _on,
    "redirect_file": _to("file:///etc/passwd"),
    "redirect_other_kind": _to("gopher://127.0.0.1:70/1"),
    "redirect_user": _to("http://user:word@127.0.0.1/x.jpg"),
    "redirect_obeyed": _to(f"http://127.0.0.1/{_C1}"),
    "redirect_long": _to("http://127.0.0.1/" + "a" * 1_000_000),
    "redirect_up": _to("/../../../../../../etc/passwd"),
    "redirect_no_address": _to("http://[::1/x"),
    "endless_picture": lambda h: _endless(h, _JPEG),
    "endless_text": lambda h: _endless(h, b"<html>"),
    "endless_chunks": lambda h: _chunks(h, b"10000\r\n" + _PIECE + b"\r\n"),
    "endless_chunk_notes": lambda h: _chunks(h, b"1;" + b"n" * 8000 + b"\r\nx\r\n"),
    "endless_chunk_size": lambda h: _chunks(h, b"f" * (1 << 16)),
    "endless_header_line": _line_without_end,
    "endless_header_lines": _lines_without_end,
    "endless_interim": _interim,
    "drip_body": _drip_body,
    "drip_header": lambda h: _drip(h, b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 10_000),
    "length_short": lambda h: _raw(h, "Content-Length: 20", body=_JPEG),
    "length_long": lambda h: _raw(h, "Content-Length: 99999", body=_JPEG),
    "length_huge": lambda h: _raw(h, f"Content-Length: {10**30}", body=_JPEG),
    "length_negative": lambda h: _raw(h, "Content-Length: -5", body=_JPEG),
    "length_word": lambda h: _raw(h, "Content-Length: many", body=_JPEG),
    "length_twice": lambda h: _raw(h, "Content-Length: 20", "Content-Length: 30", body=_JPEG),
    "packed_bomb": lambda h: _packed(h, _packed_bomb()),
    "packed_twice": lambda h: _packed(h, gzip.compress(gzip.compress(_JPEG)), "gzip, gzip"),
    "packed_and_on": _packed_and_on,
    "packed_empty_blocks": _empty_blocks,
    "packed_broken": lambda h: _packed(h, gzip.compress(_JPEG)[:-9] + b"\xff" * 9),
    "packed_unknown": lambda h: _packed(h, _JPEG, "x" * 8000),
    "html_as_jpeg": lambda h: _sized(h, b"<!DOCTYPE html>" * 999, "Content-Type: image/jpeg"),
    "html_behind_magic": lambda h: _sized(h, b"\xff\xd8\xff" + b"<html>" * 9999),
    "program_as_png": lambda h: _sized(h, b"\x7fELF" + b"\0" * 9999, "Content-Type: image/png"),
    "picture_of_gigapixels": lambda h: _sized(h, _png(60_000, 60_000)),
    "picture_without_height": lambda h: _sized(h, _png(60_000, 0)),
    "status_obeyed": lambda h: _sized(h, b"", status=f"200 {_C1}"),
    "status_none": lambda h: h.wfile.write(b"\x1b[31m\0\0\0" * 100),
    "status_huge": lambda h: _sized(h, b"", status="99999999999999999999 x"),
    "opt_out_obeyed": lambda h: _told(h, f"X-Robots-Tag: {_C1}: noai"),
    "name_up": lambda h: _told(h, 'Content-Disposition: attachment; filename="../../precious.txt"'),
    "retry_for_ever": lambda h: _sized(h, b"", f"Retry-After: {10**40}", status="503 x"),
    "retry_never": lambda h: _sized(h, b"", "Retry-After: -1e999", status="429 x"),
    "cookies": lambda h: _told(h, *(f"Set-Cookie: a{n}={'b' * 3000}" for n in range(90))),
    "closed": lambda h: None,
}  # fmt: skip


def _robots(text: str | bytes) -> Reply:
    data = text.encode() if isinstance(text, str) else text
    return lambda handler: _sized(handler, data, "Content-Type: text/plain")


def _lines(line: str, number: int) -> str:
    return "".join(line.format(n) for n in range(number))


def _hundred_megabytes(handler: Any) -> None:
    line = b"Disallow: /private/folder/of/some/length\n"
    body = b"User-agent: *\n" + line * (100_000_000 // len(line))
    _sized(handler, body)


#: To a request for robots.txt, by the name of the case.
ROBOTS: dict[str, Reply] = {
    "100_megabytes": _hundred_megabytes,
    "endless": lambda h: _endless(h, b"User-agent: *\nDisallow:\n"),
    "packed_bomb": lambda h: _packed(h, gzip.compress(b"Disallow: /a\n" * (1 << 22))),
    "packed_and_on": lambda h: _endless(
        h, gzip.compress(b"User-agent: *\n"), "Content-Encoding: gzip"
    ),
    "agents_by_rules": _robots(
        _lines("User-agent: a{}\n", 16_000) + _lines("Disallow: /b{}\n", 16_000)
    ),
    "wild_rules": _robots("User-agent: *\n" + _lines("Disallow: /*a*a*a*b{}$\n", 20_000)),
    "one_wild_rule": _robots("User-agent: *\nDisallow: /" + "*a" * 200_000 + "$\n"),
    "no_text": _robots(bytes(range(256)) * 1000),
    "delay_for_ever": _robots(f"User-agent: *\nCrawl-delay: {10**300}\n"),
    "delay_no_number": _robots("User-agent: *\nCrawl-delay: nan\nCrawl-delay: -9\n"),
    "redirect_loop": _to("/robots.txt"),
    "redirect_private": _to("http://169.254.169.254/robots.txt"),
    "drip": lambda h: _drip(h, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nDisallow:"),
    "closed": lambda h: None,
}  # fmt: skip


def robots_host(name: str) -> str:
    """The address on loopback whose robots.txt is that of the case."""
    return f"127.0.1.{1 + list(ROBOTS).index(name)}"


#: Hosts that all send endless pictures at once.
MANY_HOSTS = [f"127.0.2.{1 + number}" for number in range(160)]


def answer(handler: Any) -> bool:
    """Answer a request if it is one of these; whether it was."""
    host = handler.headers.get("Host", "").partition(":")[0]
    name = handler.path.split("/")[1].partition("?")[0]
    found = PICTURES.get(name)
    if name == "robots.txt":
        cases = {robots_host(case): reply for case, reply in ROBOTS.items()}
        found = cases.get(host)
    if name == "picture":
        found = _told
    if found is None:
        return False
    handler.close_connection = True
    with suppress(OSError):
        found(handler)
    return True
