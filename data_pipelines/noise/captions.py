"""Every caption of a set of shards, as the pairs (uid, caption number) that noise is dealt to."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from data_pipelines.errors import DataError
from data_pipelines.image_formats import FORMAT_OF_SUFFIX
from data_pipelines.schema import JsonValue, Sample, is_uid, make_uid
from data_pipelines.shards.find import find_shards
from data_pipelines.shards.index import ShardIndex
from data_pipelines.shards.pairs import identity_of, image_of, read_captions, uid_of
from data_pipelines.skips import Skips

#: What the samples written here consist of besides the image; all else may repeat the caption.
_WRITTEN = frozenset({*FORMAT_OF_SUFFIX, "txt", "json"})


class CaptionPair(NamedTuple):
    """One caption of one image: permanent id, and position in the image's list of captions."""

    uid: str
    number: int


class Captions:
    """All captions of a set by (uid, number), in the order of the shards.

    They are held in memory (a few hundred bytes each); images are not.

    Args:
        pairs: no repetitions; the numbers of an image follow each other from 0.
        texts: one for each pair.
        identities: by uid, for the images that show somebody or something known by name.
    """

    def __init__(
        self, pairs: Sequence[CaptionPair], texts: Sequence[str], identities: Mapping[str, str]
    ) -> None:
        self.pairs = tuple(pairs)
        self.texts = tuple(texts)
        self._folded = tuple(text.casefold() for text in texts)
        self._groups = tuple(identities.get(pair.uid, pair.uid) for pair in pairs)
        self._own: dict[str, set[str]] = {}
        for group, folded in zip(self._groups, self._folded, strict=True):
            self._own.setdefault(group, set()).add(folded)

    def __len__(self) -> int:
        return len(self.pairs)

    def describes(self, caption: int, image: int) -> bool:
        """Whether the text of pair ``caption`` is a true caption of the image of pair ``image``.

        It is where it belongs to that image, to another image of the same identity, or equals
        one of their captions (whatever the case of the letters).
        """
        return self._folded[caption] in self._own[self._groups[image]]


def read_all(samples: Iterable[Sample]) -> Captions:
    """The captions and identities of ``samples``, whose images are let go.

    Raises:
        DataError: there is no caption at all.
    """
    pairs, texts, identities = [], [], {}
    for sample in samples:
        pairs += [CaptionPair(sample.uid, number) for number in range(len(sample.captions))]
        texts += sample.captions
        if "identity" in sample.provenance:
            # A prefix that no uid has: an identity is never taken for an image.
            identities[sample.uid] = f"identity {sample.provenance['identity']}"
    if not pairs:
        raise DataError("no sample with a usable caption in the shards; check their path")
    return Captions(pairs, texts, identities)


def read_samples(paths: Sequence[str | Path], skips: Skips) -> Iterator[Sample]:
    """Samples of shards reduced to image, captions and identity, in shard order.

    All else is left behind, since it may repeat the caption: classes, sounds, file names in the
    json. Ids that are not permanent ones become such, because they may hold words too. Captions
    are those that training reads; white space in them becomes single spaces, so that a caption
    that noise rewrote cannot be told by its spaces. Images keep their bytes.

    Args:
        skips: counts unusable and repeated samples and the members left behind.
    Raises:
        ShardError: there is no shard at one of the paths, or one cannot be read.
    """
    seen: set[str] = set()
    for path in find_shards(paths):
        index = ShardIndex.open(path)
        for problem in index.problems:
            skips.add("damaged shard", f"{path}: {problem}")
        for key, members in index:
            where = f"{path}: {key}"
            try:
                sample = _reduced(key, members)
            except DataError as error:
                skips.add("unusable members", f"{where}: {error}")
                continue
            if sample.uid in seen:
                skips.add("uid repeated", where)
                continue
            seen.add(sample.uid)
            for suffix in sorted(members.keys() - _WRITTEN):
                skips.add(f"member .{suffix} dropped", where)
            yield sample


def _reduced(key: str, members: Mapping[str, bytes]) -> Sample:
    captions = read_captions(members).texts
    image = image_of(members)
    uid = uid_of(key, members)
    identity = identity_of(members)
    provenance: dict[str, JsonValue] = {} if identity is None else {"identity": identity}
    return Sample(
        uid=uid if is_uid(uid) else make_uid("noise", uid, image.data),
        image=image.data,
        image_suffix=image.suffix,
        captions=tuple(" ".join(caption.split()) for caption in captions),
        provenance=provenance,
    )
