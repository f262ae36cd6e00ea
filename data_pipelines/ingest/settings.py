"""What an ingest reads, fetches and stores; light to import, for the command line.

Options that img2dataset has too are called as they are there.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from data_pipelines.errors import ConfigError
from data_pipelines.options import option
from data_pipelines.schema import JsonValue

#: Directives of ``X-Robots-Tag`` that opt a picture out.
DIRECTIVES = ("noai", "noimageai", "noindex", "noimageindex")

#: Rows of the list that make a shard.
ROWS_OF_A_SHARD = 10_000

_HASHES = ("md5", "sha256", "sha512")
_RESERVED = frozenset((
    *("row", "uid", "url", "caption", "captions", "status", "error", "http_status", "final_url"),
    *("bytes", "sha256", "format", "original_width", "original_height", "width", "height"),
    *("mended", "key", "source"),
))  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ListSettings:
    """Which rows there are.

    Args:
        input_format: of the lists: auto (by their suffixes, .gz behind them or not) or one for all.
        url_col: column of the addresses.
        caption_col: column of the captions; where a list has none, pictures are stored without.
        uid_col: column of ids of 32 hexadecimal digits, as DataComp has them (default: made from
            address and caption).
        save_additional_columns: columns that are stored with each picture and in the table,
            separated by commas.
        verify_hash: column and kind of a digest that the bytes must have, such as sha256,sha256.
        columns: names of all columns of CSV or TSV lists whose first line is data.
        quoting: whether cells of CSV and TSV may be quoted: rfc4180, none, or auto (rfc4180 for
            .csv, none for .tsv).
        number_sample_per_shard: rows of the list that make a shard.
    """

    input_format: Literal["auto", "txt", "csv", "tsv", "json", "jsonl", "parquet"] = "auto"
    url_col: str = "url"
    caption_col: str = "caption"
    uid_col: str = ""
    save_additional_columns: tuple[str, ...] = ()
    verify_hash: tuple[str, ...] = option(default=(), metavar="COLUMN,KIND")
    columns: tuple[str, ...] = ()
    quoting: Literal["auto", "rfc4180", "none"] = "auto"
    number_sample_per_shard: int = ROWS_OF_A_SHARD

    def __post_init__(self) -> None:
        if self.number_sample_per_shard < 1:
            raise ConfigError("--number-sample-per-shard must be 1 or more")
        if self.verify_hash and (len(self.verify_hash) != 2 or self.verify_hash[1] not in _HASHES):
            raise ConfigError(
                f"--verify-hash takes a column and one of {', '.join(_HASHES)}, with a comma "
                "between: --verify-hash sha256,sha256"
            )
        taken = [name for name in self.save_additional_columns if name.lower() in _RESERVED]
        if taken:
            raise ConfigError(
                f"--save-additional-columns: '{taken[0]}' is a name that the shards use themselves;"
                " rename the column in the list"
            )

    def identity(self) -> dict[str, JsonValue]:
        """What the rows depend on."""
        return {
            "input_format": self.input_format,
            "url_col": self.url_col,
            "caption_col": self.caption_col,
            "uid_col": self.uid_col,
            "save_additional_columns": list(self.save_additional_columns),
            "verify_hash": list(self.verify_hash),
            "columns": list(self.columns),
            "quoting": self.quoting,
            "number_sample_per_shard": self.number_sample_per_shard,
        }


Filter = Literal["nearest", "bilinear", "bicubic", "area", "lanczos"]


@dataclass(frozen=True, kw_only=True)
class PictureSettings:
    """How pictures are stored; the defaults are DataComp's.

    Args:
        image_size: pixels of the side that resize_mode speaks of.
        resize_mode: no; keep_ratio (shorter side), keep_ratio_largest (longer side), center_crop
            (shorter side, then a square), border (longer side, then a white square).
        resize_only_if_bigger: leave smaller pictures at their size (default: they are left).
        upscale_interpolation: filter for smaller pictures.
        downscale_interpolation: filter for larger ones; area is nearly the mean of what it covers.
        encode_format: of the stored pictures.
        encode_quality: 1 to 100 of jpg and webp; of png 0 to 9, how long it tries.
        skip_reencode: store the bytes as they came where nothing about the picture had to change
            and their format is jpg, png or webp.
        min_image_size: pixels of the shorter side; smaller pictures are dropped.
        max_image_area: pixels; larger pictures are dropped before they are decoded.
        max_aspect_ratio: longer side over shorter side; others are dropped.
    """

    image_size: int = 512
    resize_mode: Literal["no", "keep_ratio", "keep_ratio_largest", "center_crop", "border"] = (
        "keep_ratio_largest"
    )
    resize_only_if_bigger: bool = True
    upscale_interpolation: Filter = "lanczos"
    downscale_interpolation: Filter = "area"
    encode_format: Literal["jpg", "png", "webp"] = "jpg"
    encode_quality: int = 95
    skip_reencode: bool = False
    min_image_size: int = 0
    max_image_area: float = float("inf")
    max_aspect_ratio: float = float("inf")

    def __post_init__(self) -> None:
        if not 1 <= self.image_size <= 16_384:
            raise ConfigError("--image-size must be 1 to 16384 pixels")
        low, high = (0, 9) if self.encode_format == "png" else (1, 100)
        if not low <= self.encode_quality <= high:
            raise ConfigError(
                f"--encode-quality {self.encode_quality} of {self.encode_format}: give {low} to "
                f"{high}"
            )

    def identity(self) -> dict[str, JsonValue]:
        """What the stored pictures depend on."""
        return {
            name: value if value != float("inf") else None
            for name in self.__dataclass_fields__
            for value in (getattr(self, name),)
        }


@dataclass(frozen=True, kw_only=True)
class FetchSettings:
    """How servers are asked.

    Args:
        user_agent_token: our name to servers, which robots.txt and X-Robots-Tag may speak of.
        contact: address of a page or a mailbox, told to servers beside the name.
        robots: ask each host's robots.txt before the first request to it, and heed it (default: it
            is heeded).
        disallowed_header_directives: of X-Robots-Tag, separated by commas; a picture with one of
            them is not stored. "none" heeds none (TDM-Reservation neither).
        allow_private: ask private, loopback and link-local addresses too.
        ignore_ssl_certificate: take any certificate.
        max_bytes: of a picture; reading stops there.
        timeout: seconds for a request, from connection to last byte.
        retries: more tries after timeouts, broken connections, 429 and 5xx.
        max_wait: seconds; a longer Retry-After or Crawl-delay is not waited for.
        connections: requests under way at once, in each worker.
        host_connections: requests to one host at once, in all workers together.
        host_rate: requests to one host a second, in all workers together; 0 sets no limit.
    """

    user_agent_token: str = "vlsuite"
    contact: str = ""
    robots: bool = True
    disallowed_header_directives: tuple[str, ...] = DIRECTIVES
    allow_private: bool = False
    ignore_ssl_certificate: bool = False
    max_bytes: int = 32 << 20
    timeout: float = 10.0
    retries: int = 2
    max_wait: float = 30.0
    connections: int = 128
    host_connections: int = 16
    host_rate: float = 100.0

    def __post_init__(self) -> None:
        token = self.user_agent_token
        if not token or not all(c.isascii() and (c.isalnum() or c in "-_") for c in token):
            raise ConfigError(
                f"--user-agent-token '{token}' is no name for robots.txt; use letters, digits, - "
                "and _"
            )
        if not self.contact.isprintable() or not self.contact.isascii():
            raise ConfigError("--contact is sent in a header: use plain ASCII characters")
        for name, least in (("max_bytes", 1), ("connections", 1), ("host_connections", 1)):
            if getattr(self, name) < least:
                raise ConfigError(f"--{name.replace('_', '-')} must be {least} or more")
        if not self.timeout > 0:
            raise ConfigError(f"--timeout {self.timeout:g}: give seconds, more than 0")
        for name in ("retries", "max_wait", "host_rate"):
            if not getattr(self, name) >= 0:
                flag = f"--{name.replace('_', '-')}"
                raise ConfigError(f"{flag} {getattr(self, name):g}: give 0 or more")

    @cached_property
    def directives(self) -> frozenset[str]:
        """Directives that opt out, in lower case."""
        given = frozenset(name.strip().lower() for name in self.disallowed_header_directives)
        return frozenset() if given == {"none"} else given

    def identity(self) -> dict[str, JsonValue]:
        """What becomes of a row depends on these; the others are patience."""
        return {
            "user_agent_token": self.user_agent_token,
            "robots": self.robots,
            "disallowed_header_directives": sorted(self.directives),
            "allow_private": self.allow_private,
            "ignore_ssl_certificate": self.ignore_ssl_certificate,
            "max_bytes": self.max_bytes,
        }


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """How a run goes about it; nothing of it shows in what is written.

    Args:
        workers: processes that share the shards.
        min_success: share of a shard's rows that must give a picture; a shard of 100 rows and more
            below it is not done: the next run tries its failed rows again.
        retry_failed: fetch the failed rows of finished shards again, and only those.
        retry_status: with retry_failed, only rows of these statuses ("timeout,http 503").
        overwrite: drop what another list or other settings wrote to the folder.
    """

    workers: int = 1
    min_success: float = 0.1
    retry_failed: bool = False
    retry_status: tuple[str, ...] = option(default=(), metavar="STATUS,STATUS")
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise ConfigError("--workers must be 1 or more")
        if not 0 <= self.min_success <= 1:
            raise ConfigError("--min-success is a share, 0 to 1")
        if self.retry_status and not self.retry_failed:
            raise ConfigError("--retry-status chooses rows for --retry-failed: add that")


def list_paths(paths: tuple[str, ...]) -> list[Path]:
    """Lists behind paths: files as they are, folders for the lists in them, sorted by name.

    Raises:
        ConfigError: a path leads to no list.
    """
    found: list[Path] = []
    for one in map(Path, paths):
        inside = sorted(p for p in one.iterdir() if format_of(p)) if one.is_dir() else [one]
        if not inside or not one.exists():
            raise ConfigError(
                f"no list at {one}: name files or folders of txt, csv, tsv, json, jsonl or parquet "
                "(.gz behind it or not)"
            )
        found += inside
    return found


def format_of(path: Path) -> str:
    """Format of a list by its suffix; empty where that says none."""
    name = path.name.lower().removesuffix(".gz")
    suffix = name.rpartition(".")[2] if "." in name else ""
    known = ("txt", "csv", "tsv", "json", "jsonl", "parquet")
    return {"ndjson": "jsonl"}.get(suffix, suffix if suffix in known else "")
