"""Existing WebDataset shards, of anyone's making, written anew with permanent ids."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from data_pipelines.bounded_files import media_bytes
from data_pipelines.errors import DataError
from data_pipelines.image_formats import FORMAT_OF_SUFFIX
from data_pipelines.images import skip_image, storable
from data_pipelines.looks import holds
from data_pipelines.options import option
from data_pipelines.schema import JsonValue, Sample, is_uid, make_uid
from data_pipelines.shards.find import find_shards
from data_pipelines.shards.index import ShardIndex
from data_pipelines.shards.pairs import captions_of, fields_of, image_of, label_of
from data_pipelines.shards.seen_ids import SeenIds
from data_pipelines.skips import Skips
from data_pipelines.sources.source import Source, sources
from data_pipelines.text_lines import lines_of

_UNDERSTOOD = frozenset({*FORMAT_OF_SUFFIX, "txt", "json", "cls"})


@sources.register("shards")
@dataclass(frozen=True, kw_only=True)
class ExistingShards(Source):
    """Settings of the shards."""

    HELP: ClassVar[str] = "WebDataset shards, written anew: other sizes, ids, evaluation layout"
    EXAMPLE: ClassVar[str] = (
        "vlsuite data build shards 'old/{00000..00011}.tar' --shard-samples 5000 --out data/new"
    )

    shards: tuple[str, ...] = option(
        "tar, folder of tars, or pattern such as 'old/{00000..00011}.tar'; several are read in "
        "their order",
        positional=True,
        metavar="SHARDS",
        formerly="--shards",
    )
    class_names_file: Path | None = option(
        "file with one class name a line, line i for label i (for --layout benchmark)",
        default=None,
    )
    captions_per_line: bool = option(
        "each line of txt is a caption, as in evaluation folders", default=False
    )

    @classmethod
    def fits(cls, path: Path) -> bool:
        """See ``Source``."""
        return path.suffix.lower() == ".tar" or holds(path, (".tar",))

    def samples(self, skips: Skips) -> Iterator[Sample]:
        """Samples in shard order; a uid in ``json`` is kept, others are made of shard and key."""
        with SeenIds() as seen:
            yield from self._samples(seen, skips)

    def _samples(self, seen: SeenIds, skips: Skips) -> Iterator[Sample]:
        for path in find_shards(self.shards):
            index = ShardIndex.open(path)
            for problem in index.problems:
                skips.add("damaged shard", f"{path}: {problem}")
            for i in range(len(index)):
                where = f"{path}: {index.key(i)}"
                sample = self._sample(index.key(i), path, index.read(i), skips)
                if sample is not None and seen.add(bytes.fromhex(sample.uid)):
                    yield sample
                elif sample is not None:
                    skips.add("uid repeated", where)

    def class_names(self) -> Sequence[str]:
        """Lines of the file of class names."""
        if self.class_names_file is None:
            return ()
        try:
            return lines_of(media_bytes(self.class_names_file).decode("utf-8-sig"))
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"cannot read {self.class_names_file}: {error}") from error

    def _sample(
        self, key: str, path: Path, members: Mapping[str, bytes], skips: Skips
    ) -> Sample | None:
        where = f"{path}: {key}"
        try:
            captions = captions_of(members, one_per_line=self.captions_per_line)
            label = label_of(members)
            fields = fields_of(members)
            encoded = image_of(members)
        except DataError as error:
            skips.add("unusable members", f"{where}: {error}")
            return None
        if not captions and label is None:
            skips.add("no caption", where)
            return None
        try:
            image = storable(encoded.data)
        except DataError as error:
            skip_image(error, where, skips)
            return None
        for suffix in members.keys() - _UNDERSTOOD:
            skips.add(f"member .{suffix} dropped", where)
        uid, captioned = fields.pop("uid", None), fields.pop("captions", None)
        extra: dict[str, JsonValue] = {}
        if isinstance(captioned, dict):
            extra["source_captions"] = captioned
        if not (isinstance(uid, str) and is_uid(uid)):
            extra |= {} if uid is None else {"source_uid": uid}
            uid = make_uid("shards", f"{path.name}/{key}", image.data)
        return Sample(
            uid=uid,
            image=image.data,
            image_suffix=image.suffix,
            captions=captions,
            label=label,
            provenance={"source": "shards", "shard": path.name, "key": key, **fields, **extra},
        )
