"""Pairs of pictures and captions as studies take them: from any shards, split by their ids."""

import hashlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import replace

from PIL import Image

from data_pipelines.image_formats import open_image
from data_pipelines.noise.build import refuse_noisy
from data_pipelines.schema import Sample, is_uid, make_uid
from data_pipelines.shards.find import find_shards
from data_pipelines.shards.index import ShardIndex
from data_pipelines.shards.pairs import image_of, read_captions, uid_of
from vlsuite.errors import DataError


def pairs_of(shards: Sequence[str]) -> Iterator[Sample]:
    """First caption and picture of every usable sample, ids once.

    Raises:
        DataError: shards are missing or broken, or their captions were spoiled on purpose.
    """
    seen: set[str] = set()
    paths = find_shards(shards)
    refuse_noisy(paths)
    for path in paths:
        index = ShardIndex.open(path)
        for i in range(len(index)):
            members = index.read(i)
            try:
                image = image_of(members)
                caption = read_captions(members).texts[0]
                uid = uid_of(index.key(i), members)
            except DataError:
                continue
            uid = uid if is_uid(uid) else make_uid(path.name, index.key(i), image.data)
            if uid not in seen:
                seen.add(uid)
                yield Sample(
                    uid=uid, image=image.data, image_suffix=image.suffix, captions=(caption,)
                )


def shrunk(samples: Sequence[Sample], side: int) -> list[Sample]:
    """Pictures shrunk to a longest side, losslessly stored; smaller ones stay as they are."""
    if not side:
        return list(samples)
    found = []
    for sample in samples:
        with open_image(sample.image) as picture:
            if max(picture.size) > side:
                picture = picture.convert("RGBA")
                picture.thumbnail((side, side), Image.Resampling.LANCZOS)
                encoded = io.BytesIO()
                picture.save(encoded, format="png")
                sample = replace(sample, image=encoded.getvalue(), image_suffix="png")
        found.append(sample)
    return found


def place_of(uid: str, purpose: str) -> float:
    """A number in [0, 1) that follows from an id alone; another for each purpose."""
    digest = hashlib.blake2b(f"{purpose}/{uid}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def repeated_captions(samples: Sequence[Sample]) -> set[str]:
    """Captions that occur twice: which of their pictures is meant cannot be told."""
    seen: set[str] = set()
    twice: set[str] = set()
    for sample in samples:
        (twice if sample.captions[0] in seen else seen).add(sample.captions[0])
    return twice


def uids_digest(samples: Sequence[Sample]) -> str:
    """SHA-256 of the ids, in no order."""
    return hashlib.sha256("".join(sorted(s.uid for s in samples)).encode()).hexdigest()
