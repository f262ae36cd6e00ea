"""The manifest beside a set of shards: what is in them, from where, under which licence.

It is written last, so a folder with a manifest is complete. It holds no time stamps: the same
input gives the same manifest.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from importlib import metadata
from pathlib import Path, PurePosixPath

from data_pipelines.bounded_json import read_json
from data_pipelines.errors import ShardError
from data_pipelines.field_types import check_fields
from data_pipelines.printable import json_text, masked_values
from data_pipelines.schema import JsonValue
from data_pipelines.shards.atomic import write_file
from data_pipelines.skips import Skips

MANIFEST_NAME = "manifest.json"

#: Raised when the meaning of a field changes; newer manifests are refused.
FORMAT_VERSION = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardEntry:
    """One tar: path relative to the manifest, samples, bytes, SHA-256 in hexadecimal."""

    name: str
    samples: int
    bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class FileEntry:
    """One text file that belongs to the set: path relative to the manifest, bytes, SHA-256."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """Where the samples of a set come from.

    Args:
        source: name of the collection.
        licence: of the images and captions, as its owners state it.
        attribution: text that must accompany copies; empty where none is asked for.
        created_by: the command that wrote the folder, without its output path.
        details: settings and counts of the source (seed, splits).
    """

    source: str = "unnamed"
    licence: str = "not stated"
    attribution: str = ""
    created_by: str = ""
    details: dict[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """Contents and origin of a folder of shards.

    Args:
        layout: "pairs" (training), "benchmark" (evaluation) or "collection" (folders of both).
        shards: in order.
        files: text files beside the shards (class names, prompt templates).
        skipped: number of inputs left out, by reason.
        skipped_examples: the first of them.
        read: number of inputs looked at, by kind, where the source counts them.
        details: of the layout (split, kind, number of classes).
        tool_version: of the package that wrote the folder.
    """

    origin: Origin
    layout: str
    shards: tuple[ShardEntry, ...]
    files: tuple[FileEntry, ...] = ()
    skipped: dict[str, int] = field(default_factory=dict)
    skipped_examples: dict[str, list[str]] = field(default_factory=dict)
    read: dict[str, int] = field(default_factory=dict)
    details: dict[str, JsonValue] = field(default_factory=dict)
    tool_version: str = field(default_factory=lambda: tool_version())

    @property
    def num_samples(self) -> int:
        """Samples in all shards."""
        return sum(shard.samples for shard in self.shards)

    @property
    def num_bytes(self) -> int:
        """Bytes of all shards."""
        return sum(shard.bytes for shard in self.shards)

    def save(self, folder: Path) -> None:
        """Write ``folder/manifest.json`` by way of a temporary file.

        Raises:
            DataError: the folder cannot be written.
        """
        head = {"format_version": FORMAT_VERSION, "tool": "vlsuite"}
        totals = {"samples": self.num_samples, "bytes": self.num_bytes, "shards": len(self.shards)}
        text = json.dumps(
            head | masked_values(asdict(self)) | {"totals": totals}, indent=1, ensure_ascii=False
        )
        write_file(folder / MANIFEST_NAME, (json_text(text) + "\n").encode())

    @classmethod
    def load(cls, folder: Path) -> "Manifest":
        """Read ``folder/manifest.json``.

        Raises:
            ShardError: it is missing, broken, or of a newer format.
        """
        path = folder / MANIFEST_NAME
        try:
            stored = read_json(path)
        except FileNotFoundError:
            raise ShardError(
                f"{folder} has no {MANIFEST_NAME}: its build was interrupted, or the shards come "
                "from elsewhere; build it again, or name the .tar files themselves"
            ) from None
        except (OSError, ValueError) as error:
            raise ShardError(f"{path} cannot be read: {error}") from error
        return _from_json(path, stored)

    def verify(self, folder: Path) -> list[str]:
        """Differences between the manifest and the files in ``folder``, one line each."""
        differences = []
        for entry in (*self.shards, *self.files):
            path = folder / entry.name
            if not path.is_file():
                differences.append(f"{entry.name}: missing")
            elif path.stat().st_size != entry.bytes:
                size = path.stat().st_size
                differences.append(f"{entry.name}: {size} bytes, manifest says {entry.bytes}")
            elif sha256_of(path) != entry.sha256:
                differences.append(f"{entry.name}: content differs from the manifest (sha256)")
        return differences


def sha256_of(path: Path) -> str:
    """SHA-256 of a file in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def tool_version() -> str:
    """Version of the installed package, "unknown" in a bare source tree."""
    try:
        return metadata.version("vlsuite")
    except metadata.PackageNotFoundError:
        return "unknown"


def _from_json(path: Path, stored: object) -> Manifest:
    if not isinstance(stored, dict) or stored.get("tool") != "vlsuite":
        raise ShardError(f"{path} is not a manifest written by vlsuite")
    if stored.get("format_version") != FORMAT_VERSION:
        raise ShardError(
            f"{path} has format {stored.get('format_version')}, this version reads "
            f"{FORMAT_VERSION}; update vlsuite or build the data again"
        )
    fields = {k: v for k, v in stored.items() if k not in ("format_version", "tool", "totals")}
    try:
        fields["origin"] = Origin(**fields["origin"])
        fields["shards"] = tuple(ShardEntry(**entry) for entry in fields["shards"])
        fields["files"] = tuple(FileEntry(**entry) for entry in fields["files"])
        manifest = Manifest(**fields)
        check_fields(manifest)
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise ShardError(f"{path} lacks or misnames a field: {error}") from error
    for entry in (*manifest.shards, *manifest.files):
        name = PurePosixPath(entry.name)
        if name.is_absolute() or ".." in name.parts:
            raise ShardError(f"{path} names a file outside its folder: {entry.name}")
    return manifest


def joined_manifest(
    manifests: Mapping[str, Manifest], origin: Origin, skips: Skips, *, with_files: bool = False
) -> Manifest:
    """One manifest of several folders, its entries named relative to their common root.

    Args:
        manifests: by folder below the root.
        skips: of all of them.
        with_files: list the files beside the shards too.
    """
    return Manifest(
        origin=origin,
        layout="collection",
        shards=tuple(
            replace(shard, name=f"{name}/{shard.name}")
            for name, manifest in manifests.items()
            for shard in manifest.shards
        ),
        files=tuple(
            replace(file, name=f"{name}/{file.name}")
            for name, manifest in manifests.items()
            for file in (manifest.files if with_files else ())
        ),
        skipped=skips.counts,
        skipped_examples=skips.examples,
    )
