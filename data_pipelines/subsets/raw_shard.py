"""Tars written member by member, as they were: nothing is decoded or encoded again.

Equal samples give equal bytes: members carry a fixed time, owner and mode.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from data_pipelines.bounded_json import parsed_json
from data_pipelines.shards import tar_members
from data_pipelines.shards.atomic import replacing
from data_pipelines.shards.manifest import ShardEntry

_MOST_JSON = 1 << 24  # bytes


class RawSample(NamedTuple):
    """A sample to write.

    Attributes:
        key: without dots and slashes.
        uid: its permanent id, which the json is to say.
        members: bytes by suffix, in the order in which they are written.
    """

    key: str
    uid: str
    members: Mapping[str, bytes]


def write_raw(samples: Iterable[RawSample], path: Path) -> ShardEntry:
    """Write a shard whole or not at all.

    A key that occurs again gets a number behind it, since neighbours of one key would be read as
    one sample. Where the json says no uid, it is added.

    Raises:
        DataError: the disk refuses.
    """
    keys: set[str] = set()
    with replacing(path) as file:
        for sample in samples:
            key = _unused(sample.key, keys)
            keys.add(key)
            for suffix, data in with_uid(sample.members, sample.uid).items():
                file.write(tar_members.member(f"{key}.{suffix}", data))
        file.write(tar_members.end(file.size))
    return ShardEntry(name=path.name, samples=len(keys), bytes=file.size, sha256=file.sha256)


def with_uid(members: Mapping[str, bytes], uid: str) -> Mapping[str, bytes]:
    """The members with a json that says the uid; as they are where it does, or cannot be read."""
    data = members.get("json")
    if data is None:
        return {**members, "json": _json_of({"uid": uid})}
    try:
        fields = parsed_json(data[: _MOST_JSON + 1])
    except (ValueError, RecursionError):
        return members
    if not isinstance(fields, dict) or fields.get("uid") == uid:
        return members
    return {**members, "json": _json_of({**fields, "uid": uid})}


def _json_of(fields: Mapping[str, object]) -> bytes:
    return json.dumps(fields, ensure_ascii=False, sort_keys=True).encode("utf-8", "surrogateescape")


def _unused(key: str, keys: set[str]) -> str:
    number, found = 1, key
    while found in keys:
        found, number = f"{key}-{number}", number + 1
    return found
