"""Shards on remote storage, read through a bounded cache of whole files on local disk.

Anything that fsspec can open works: s3://, gs://, hf://, https://, memory:// and others. The
cache may be shared by any number of processes: a shard is downloaded once, appears whole or not
at all, and the least recently used ones make room. A file that is open while it is removed stays
readable.
"""

import errno
import io
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import braceexpand

from data_pipelines.errors import DataError, ShardError
from data_pipelines.printable import MASK
from data_pipelines.shards.scan import ShardLayout, scan
from data_pipelines.shards.shard_cache import ShardCache
from data_pipelines.shards.sidecar import (
    SUFFIX,
    Stamp,
    cache_name,
    load_layout,
    save_layout,
)

T = TypeVar("T")

#: Tries of each transfer, and seconds before the second; the wait doubles each time.
ATTEMPTS, FIRST_WAIT = 5, 0.5

_TOUCH_EVERY = 30.0  # seconds
_PIECE = 8 << 20  # bytes of one request
_MOST_INDEX = 8 << 20  # bytes of a sidecar beyond those of its shard
_WILDCARDS = "*?["
_VERSION_FIELDS = ("ETag", "etag", "mtime", "LastModified", "last_modified", "updated", "created")

#: Extras of this distribution that read addresses of a scheme.
_EXTRAS = {"http": "http", "https": "http", "s3": "s3"}

# Why another try would end the same way.
_FINAL = (FileNotFoundError, PermissionError, IsADirectoryError, NotImplementedError)

_touched: dict[Path, float] = {}


class RemoteShard(NamedTuple):
    """A shard as its storage describes it."""

    url: str
    stamp: Stamp


@dataclass(frozen=True, slots=True)
class CachedShard:
    """A remote shard and the cache that holds its copy."""

    shard: RemoteShard
    cache: ShardCache

    @property
    def path(self) -> Path:
        """Where the copy lies when it is there."""
        return self.cache.path_of(self._name)

    @property
    def url(self) -> str:
        """Where it comes from."""
        return self.shard.url

    @property
    def file_name(self) -> str:
        """Of its path, without what an address may carry besides: a query, a signature."""
        return urlsplit(self.url).path.rpartition("/")[2] or self.url.rpartition("/")[2]

    @property
    def stamp(self) -> Stamp:
        """What tells this content from another."""
        return self.shard.stamp

    @property
    def index_path(self) -> Path:
        """Where its index is stored."""
        return self.cache.folder / "index" / f"{cache_name(self.url)}.npz"

    def fetch(self) -> Path:
        """Make sure that the copy is there, and mark it as used now.

        Raises:
            ShardError: the download fails for good.
            DataError: the cache folder is full or cannot be written.
        """
        path = self.cache.hold(self._name, self.stamp.size, self._download)
        _touched[path] = time.monotonic()
        return path

    def keep(self) -> None:
        """Mark a copy in use, so that others leave the cache first."""
        now = time.monotonic()
        if now - _touched.get(self.path, -_TOUCH_EVERY) >= _TOUCH_EVERY:
            _touched[self.path] = now
            with suppress(FileNotFoundError):
                os.utime(self.path)

    def layout(self) -> ShardLayout:
        """Where its samples lie: as stored on this machine, else as stored beside the shard (if
        made for one of the same size), else by downloading it once.

        Raises:
            ShardError: the download fails for good, or it is no uncompressed tar.
            DataError: the cache folder is full or cannot be written.
        """
        sidecar = self.index_path
        layout = load_layout(sidecar, size=self.stamp.size, stamp=self.stamp)
        if layout is None:
            layout = self._layout_beside() or scan(self.fetch())
            with suppress(OSError):
                sidecar.parent.mkdir(parents=True, exist_ok=True)
            save_layout(sidecar, layout, self.stamp)
        return layout

    @property
    def _name(self) -> str:
        version = cache_name(self.url, str(self.stamp.size), str(self.stamp.tag))
        letters = (c if c.isalnum() or c in "._-" else "_" for c in self.file_name)
        return f"{version[:16]}-{''.join(letters)[-100:]}"

    def _download(self, target: Path) -> None:
        _retrying(lambda: _copy(self.url, target, self.stamp.size), self.url)

    def _layout_beside(self) -> ShardLayout | None:
        filesystem, path = _filesystem(self.url)
        try:
            size = _retrying(lambda: filesystem.info(path + SUFFIX), self.url).get("size")
            if not isinstance(size, int) or not 0 < size <= self.stamp.size + _MOST_INDEX:
                return None
            content = _retrying(lambda: _start(filesystem, path + SUFFIX, size), self.url)
        except ShardError:
            return None  # few storages have one
        name = self.url + SUFFIX
        layout = load_layout(io.BytesIO(content), size=self.stamp.size, name=name)
        if layout is None:
            return None
        # It may be older than the shard, which is not here to tell: the version that the storage
        # tells counts too.
        told = cache_name(layout.content, str(self.stamp.size), str(self.stamp.tag))
        return layout._replace(content=told)


def _start(filesystem: Any, path: str, size: int) -> bytes:
    with filesystem.open(path, "rb", block_size=_PIECE) as source:
        return source.read(size)


def is_remote(pattern: str) -> bool:
    """Whether a pattern names remote storage."""
    return "://" in pattern


def find_remote(pattern: str) -> list[RemoteShard]:
    """The shards behind a URL with braces and wildcards, or a folder's, in the order named.

    Web servers list no files, so https:// takes braces only.

    Raises:
        ShardError: nothing is found, the storage cannot be reached, or its package is missing.
    """
    if f"//{MASK}@" in pattern:
        raise ShardError(
            f"{pattern}: its user and password are not in this folder (they are stored in "
            "credentials.json of the run alone); name the whole address with --set data.train=..."
        )
    try:
        urls = list(braceexpand.braceexpand(pattern))
    except ValueError:
        raise ShardError(f"{pattern} has unbalanced braces; write {{000000..000012}}") from None
    with ThreadPoolExecutor(16) as pool:
        found = [shard for shards in pool.map(_find_one, urls) for shard in shards]
    if not found:
        raise ShardError(f"no shard (.tar) at {pattern}; check the address")
    return list(dict.fromkeys(found))


def _find_one(url: str) -> list[RemoteShard]:
    if not any(c in url for c in _WILDCARDS):
        if url.endswith(".tar"):
            filesystem, path = _filesystem(url)
            info = _retrying(lambda: filesystem.info(path), url)
            if url.startswith("https://") and str(info.get("url")).startswith("http://"):
                raise ShardError(
                    f"{url} leads to {info['url']}, which anybody on the way can change; name that "
                    "address if it is meant"
                )
            return [_described(url, info)]
        url = f"{url.rstrip('/')}/*.tar"
    if url.startswith(("http://", "https://")):
        raise ShardError(f"{url}: web servers list no files; name shards with {{000000..000012}}")
    filesystem, path = _filesystem(url)
    listed = _retrying(lambda: filesystem.glob(path, detail=True), url)
    return [
        _described(filesystem.unstrip_protocol(name), listed[name])
        for name in sorted(listed)
        if name.endswith(".tar")
    ]


def _described(url: str, info: dict[str, Any]) -> RemoteShard:
    size = info.get("size")
    if size is None:
        raise ShardError(f"{url}: the server does not tell its size; copy it to local disk")
    version = next((info[field] for field in _VERSION_FIELDS if info.get(field)), "")
    if isinstance(version, datetime):
        version = version.isoformat()
    if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size < 1 << 62:
        raise ShardError(f"{url}: the server tells no possible size; copy it to local disk")
    return RemoteShard(url, Stamp(size, int(cache_name(str(version))[:15], 16)))


def _filesystem(url: str) -> tuple[Any, str]:
    from fsspec.core import url_to_fs

    try:
        return url_to_fs(url)
    except (ImportError, ValueError) as error:
        reason = " ".join(str(error).split())
        scheme = url.partition("://")[0]
        extra = _EXTRAS.get(scheme)
        package = f"vlsuite[{extra}]" if extra else f"the package that reads {scheme}://"
        raise ShardError(
            f"cannot open {url}: {reason}; install {package} (addresses are read through fsspec)"
        ) from error


def _copy(url: str, target: Path, size: int) -> None:
    """Fill a file that has its full length already: the cache counts that as taken."""
    filesystem, path = _filesystem(url)
    copied = 0
    # A web server may answer a part with the whole or with another part: one answer from its start.
    piece_size = 0 if url.startswith(("http://", "https://")) else _PIECE
    with filesystem.open(path, "rb", block_size=piece_size) as source, target.open("r+b") as stream:
        while piece := source.read(_PIECE):
            copied += len(piece)
            if copied > size:  # a server may send without end
                break
            stream.write(piece)
    if copied != size:
        raise EOFError(f"{copied} bytes arrived of {size}")


def _retrying(action: Callable[[], T], url: str) -> T:
    """The result of a transfer, tried again after errors that may pass."""
    last: Exception | None = None
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(FIRST_WAIT * 2 ** (attempt - 1))
        try:
            return action()
        except _FINAL as error:
            if not _may_pass(error):
                raise ShardError(
                    f"cannot read {url}: {_reason(error)}; check the address"
                ) from error
            last = error
        except DataError:
            raise
        except Exception as error:  # storage packages have families of their own
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise DataError(
                    f"no space for a copy of {url}; free some, or set data.cache_dir"
                ) from error
            last = error
    raise ShardError(
        f"cannot read {url} after {ATTEMPTS} tries: {_reason(last)}; check the network and resume"
    ) from last


def _may_pass(error: Exception) -> bool:
    """Whether a file that is "not found" may be there: fsspec says so of all troubles of HTTP."""
    cause = error.__cause__
    if cause is None or isinstance(cause, FileNotFoundError | ValueError):
        return False
    status = getattr(cause, "status", None)
    return status is None or status >= 500 or status in (408, 425, 429)


def _reason(error: BaseException | None) -> str:
    """What went wrong; the cause of an error that is nothing but a name."""
    cause = error.__cause__ if isinstance(error, FileNotFoundError) else None
    told = cause or error
    text = " ".join(str(told).split())[:200]
    return text if text and cause is None else f"{type(told).__name__} {text}".strip()
