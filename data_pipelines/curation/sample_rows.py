"""One stored sample to its row of the table, whatever is wrong with it."""

import hashlib
from collections.abc import Mapping
from typing import Any

from data_pipelines.curation.caption_facts import caption_facts
from data_pipelines.curation.columns import GOOD
from data_pipelines.curation.opt_outs import data_mining_of, robots_tag_of
from data_pipelines.curation.perceptual_hash import perceptual_hash
from data_pipelines.curation.picture_facts import kind_of, picture_facts
from data_pipelines.curation.scan_settings import ScanSettings
from data_pipelines.errors import BadSampleError, DataError
from data_pipelines.schema import JsonValue
from data_pipelines.shards.stored_sample import StoredSample, printable

#: EXIF orientations whose picture lies on its side.
_ON_ITS_SIDE = (5, 6, 7, 8)

_LARGEST = 2**31 - 1


def row_of(sample: StoredSample, name: str, settings: ScanSettings) -> dict[str, Any]:
    """All columns but ``shard``, ``row`` and ``key``; those without a value may be left out.

    Args:
        name: what stands for the uid of a sample whose json is broken (``ShardIndex.name``).
    """
    try:
        found = {"uid": sample.uid, **_original(sample)}
    except BadSampleError as error:
        found = {"uid": printable(name), "verdict": error.kind}
    picture = _picture(sample, settings)
    caption = _caption(sample, settings)
    verdict = found.get("verdict", picture["verdict"])
    return {**_sized(found, picture), **caption, "verdict": verdict}


def _picture(sample: StoredSample, settings: ScanSettings) -> dict[str, Any]:
    try:
        image = sample.image
    except BadSampleError as error:
        return {"verdict": error.kind}
    facts = picture_facts(image.data, decode=settings.decode)
    row: dict[str, Any] = {
        **facts._asdict(),
        "bytes": len(image.data),
        "sha256": hashlib.sha256(image.data).digest(),
        "data_mining": data_mining_of(image.data),
    }
    if settings.phash != "none" and facts.verdict == GOOD:
        try:
            found = perceptual_hash(image.data, facts, decoding=settings.phash)
            row |= {"phash": found.bits, "phash_path": found.path}
        except DataError as error:
            row["verdict"] = kind_of(error, image.data)
    return row


def _caption(sample: StoredSample, settings: ScanSettings) -> dict[str, Any]:
    try:
        texts = sample.captions.texts
        stored = sample.stored_caption
    except BadSampleError as error:
        return {"caption_verdict": error.kind, "captions": 0}
    row = {
        "caption_verdict": GOOD,
        "captions": len(texts),
        "caption": texts[0],
        **caption_facts(texts[0], stored)._asdict(),
    }
    if settings.identifier:
        language = settings.identifier.identify(stored)
        row |= {"language": language.code, "language_score": language.score}
    return row


def _original(sample: StoredSample) -> dict[str, Any]:
    """What the json of a downloaded sample says: its address, the set that it came from, what its
    server forbade, its size before it was scaled."""
    try:
        fields: Mapping[str, JsonValue] = sample.fields
    except DataError:
        return {}
    sides = (fields.get("original_width"), fields.get("original_height"))
    found: dict[str, Any] = {"robots_tag": robots_tag_of(fields)}
    for name in ("url", "source"):
        if isinstance(told := fields.get(name), str) and told:
            found[name] = printable(told)
    if all(type(side) is int and 0 < side <= _LARGEST for side in sides):
        found |= {"original_width": sides[0], "original_height": sides[1]}
    return found


def _sized(found: dict[str, Any], picture: dict[str, Any]) -> dict[str, Any]:
    """With the original size, which is that of the picture itself where nothing else is known."""
    row = {**picture, **found}
    if "original_width" not in row and row.get("width") and row.get("height"):
        sides = (row["width"], row["height"])
        if row.get("orientation") in _ON_ITS_SIDE:
            sides = (sides[1], sides[0])
        row |= {"original_width": sides[0], "original_height": sides[1]}
    if row.get("original_width"):
        sides = (row["original_width"], row["original_height"])
        row["aspect"] = max(sides) / min(sides)
    return row
