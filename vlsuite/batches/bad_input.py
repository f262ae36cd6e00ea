"""What happens to a sample that cannot be used: stop, leave it out, or set it aside."""

import hashlib
import io
import json
import os
import re
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Literal, NamedTuple

from data_pipelines.bounded_json import MOST_LINE, parsed_record
from data_pipelines.shards.atomic import TEMPORARY_SUFFIX, make_folder
from data_pipelines.shards.pairs import printable
from vlsuite.batches.batch import Skipped
from vlsuite.errors import BadSampleError, DataError

Policy = Literal["raise", "skip", "quarantine"]

#: Copies are kept until the folder holds this much; the counting goes on.
MAX_QUARANTINE_BYTES = 10 * 10**9
MAX_QUARANTINE_FILES = 100_000

_RECOUNT_EVERY = 64  # copies; other processes fill the same folder
_HARMLESS = re.compile(r"[^A-Za-z0-9._-]")


class SampleAddress(NamedTuple):
    """Where a sample lies: name of its shard, its number in it, its key."""

    shard: str
    row: int
    key: str


class BadInputHandler:
    """Applies one policy to every bad sample; may be sent to worker processes.

    Args:
        policy: "raise" ends the run, "skip" counts, "quarantine" also keeps a copy.
        folder: of the copies; needed by "quarantine".
        max_bytes: of all copies, about: each process counts what the others wrote now and then.
        max_files: of all copies, in the same sense.
    """

    def __init__(
        self,
        policy: Policy,
        *,
        folder: Path | None = None,
        max_bytes: int = MAX_QUARANTINE_BYTES,
        max_files: int = MAX_QUARANTINE_FILES,
    ) -> None:
        if policy == "quarantine" and folder is None:
            raise DataError("quarantine needs a folder for the copies; name one, or use skip")
        self.policy = policy
        self.folder = folder
        self._quarantine = folder and Quarantine(folder, max_bytes=max_bytes, max_files=max_files)

    def handle(
        self, error: DataError, address: SampleAddress, members: Mapping[str, bytes] | None
    ) -> Skipped:
        """What the batch reports about the sample.

        Args:
            error: why it cannot be used.
            members: its bytes by suffix; None where they cannot be read.
        Raises:
            DataError: the policy is "raise", or the copy cannot be written (disk full).
        """
        kind = error.kind if isinstance(error, BadSampleError) else "unreadable"
        if self.policy == "raise":
            raise DataError(
                f"{error} (sample {printable(address.key)}, number {address.row} of "
                f"{address.shard}); mend it, or set data.on_bad=skip to leave such samples out"
            ) from error
        skipped = Skipped(
            uid=printable(address.key), shard=address.shard, kind=kind, reason=str(error)
        )
        if self.policy == "quarantine" and self._quarantine:
            self._quarantine.keep(skipped, address, members or {})
        return skipped


class Quarantine:
    """Copies of bad samples, one small WebDataset tar each, complete or absent.

    ``<shard>-<row>.tar`` holds the members and ``reason.json``. Names are made of the shard's
    name and numbers; the sample's own key and suffixes stand in reason.json only. The same
    sample gets the same name again, so a repeated run adds nothing.

    Args:
        folder: made when the first sample comes.
        max_bytes, max_files: no more copies once the folder holds as much.
    """

    def __init__(self, folder: Path, *, max_bytes: int, max_files: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._max_files = max_files
        self._num_bytes = self._num_files = 0
        self._until_recount = 0
        self._said_full = False

    def keep(self, skipped: Skipped, address: SampleAddress, members: Mapping[str, bytes]) -> None:
        """Write the copy of one sample, unless it is there or the folder is full.

        Raises:
            DataError: the folder cannot be written.
        """
        make_folder(self._folder)
        path = self._path_of(address)
        if path.exists() or self._is_full(sum(map(len, members.values()))):
            return
        content = _packed(path.stem, skipped, address, members)
        _write_once(path, content)
        self._num_bytes += len(content)
        self._num_files += 1

    def _path_of(self, address: SampleAddress) -> Path:
        """The sample's own file; a shard of the same name elsewhere gets another."""
        stem = _HARMLESS.sub("_", Path(address.shard).stem).strip(".")[:100] or "shard"
        name = f"{stem}-{address.row:08d}"
        path = self._folder / f"{name}.tar"
        if not path.exists() or _key_in(path, f"{name}.reason.json") == printable(address.key):
            return path
        told_apart = f"{address.shard}\0{address.key}".encode("utf-8", "surrogateescape")
        return self._folder / f"{name}-{hashlib.sha256(told_apart).hexdigest()[:8]}.tar"

    def _is_full(self, size: int) -> bool:
        if self._until_recount == 0:
            sizes = _file_sizes(self._folder)
            self._num_bytes, self._num_files = sum(sizes), len(sizes)
            self._until_recount = _RECOUNT_EVERY
        self._until_recount -= 1
        fits = self._num_bytes + size <= self._max_bytes and self._num_files < self._max_files
        if not fits and not self._said_full:
            self._said_full = True
            print(
                f"quarantine {self._folder} is full ({self._num_files} files, "
                f"{self._num_bytes / 1e9:.1f} GB): further bad samples are counted, not copied",
                file=sys.stderr,
            )
        return not fits


def _file_sizes(folder: Path) -> list[int]:
    sizes = []
    for entry in os.scandir(folder):
        with suppress(FileNotFoundError):  # another process just renamed it
            sizes.append(entry.stat().st_size)
    return sizes


def _packed(
    stem: str, skipped: Skipped, address: SampleAddress, members: Mapping[str, bytes]
) -> bytes:
    """The tar: members under harmless names, then reason.json."""
    names: dict[str, str] = {}
    for number, suffix in enumerate(members):
        name = _HARMLESS.sub("_", suffix)[:60].strip(".")
        if not name or name in names or name == "reason.json":
            name = f"{number}.{name}".rstrip(".")
        names[name] = suffix
    reason = {
        "kind": skipped.kind,
        "reason": printable(skipped.reason),
        "shard": printable(address.shard),
        "row": address.row,
        "key": printable(address.key),
        "suffixes": {name: printable(suffix) for name, suffix in names.items()},
    }
    contents = {name: members[suffix] for name, suffix in names.items()}
    contents["reason.json"] = json.dumps(reason, indent=1).encode()
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, data in contents.items():
            entry = tarfile.TarInfo(f"{stem}.{name}")
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return stream.getvalue()


def _write_once(path: Path, content: bytes) -> None:
    """Complete or absent, whichever of several processes comes first."""
    temporary = None
    try:
        descriptor, temporary = tempfile.mkstemp(
            dir=path.parent, prefix=f".{path.stem}.", suffix=TEMPORARY_SUFFIX
        )
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except OSError as error:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        raise DataError(
            f"cannot keep a copy of a bad sample in {path.parent}: {error.strerror or error}; "
            "free space there, or set data.on_bad=skip"
        ) from error


def _key_in(path: Path, name: str) -> str | None:
    """The key that a copy's reason.json names; None where it cannot be read."""
    try:
        with tarfile.open(path) as tar, tar.extractfile(name) or io.BytesIO() as stream:
            return parsed_record(stream.read(MOST_LINE)).get("key")
    except (OSError, ValueError, KeyError, tarfile.TarError):
        return None
