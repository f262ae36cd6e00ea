"""One way to pictures with boxes: shards of ours, or an annotation file beside its pictures.

    for sample in open_detection_set(Path("data/coco/val"), skips=skips).samples(): ...

What is accepted as PATH:

=====================  =====================================================================
a folder of shards     tars with ``categories.json`` beside them (``vlsuite data build
                       detection``); every picture with its boxes
a folder with a JSON   one COCO or LVIS JSON, and beside it a tar of pictures, several tars,
                       or the pictures themselves, in folders or not
a JSON                 the same; the pictures lie beside it, or where ``images`` says
=====================  =====================================================================
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

from data_pipelines.detection.annotations import Annotations
from data_pipelines.detection.listed import AnnotationFile, ListedPicture, read_annotation_file
from data_pipelines.detection.pictures import Pictures, open_pictures, problems_of
from data_pipelines.detection.stored import of_fields
from data_pipelines.detection.vocabulary import VOCABULARY_NAME, Vocabulary
from data_pipelines.errors import BadSampleError, DataError
from data_pipelines.image_formats import FORMAT_OF_SUFFIX
from data_pipelines.schema import EncodedImage
from data_pipelines.shards.find import find_shards
from data_pipelines.shards.index import ShardIndex
from data_pipelines.shards.manifest import MANIFEST_NAME
from data_pipelines.shards.stored_sample import StoredSample
from data_pipelines.skips import Skips


class DetectionSample(NamedTuple):
    """One picture and what is marked in it.

    Attributes:
        uid: permanent id; of a picture beside an annotation file its id there, as text.
        image: encoded; its size, turned upright, is that of the annotations.
    """

    uid: str
    image: EncodedImage
    annotations: Annotations


@runtime_checkable
class DetectionSet(Protocol):
    """Pictures with boxes in a fixed order."""

    @property
    def vocabulary(self) -> Vocabulary:
        """What labels are rows of."""
        ...

    @property
    def problems(self) -> tuple[str, ...]:
        """Damage found in tars, one line each: what lay there is missing."""
        ...

    def __len__(self) -> int:
        """Number of pictures, before any is read."""
        ...

    def annotations(self) -> Iterator[Annotations]:
        """Of every picture that is there, in order, without reading pixels."""
        ...

    def samples(self) -> Iterator[DetectionSample]:
        """Every picture that can be read, in order; what cannot is counted."""
        ...

    def sample(self, number: int) -> DetectionSample:
        """One picture of ``len(self)``; safe to call from several threads.

        Raises:
            BadSampleError: it cannot be read; nothing is counted.
        """
        ...


def open_detection_set(
    path: Path,
    *,
    skips: Skips,
    images: Path | None = None,
    split: str = "auto",
) -> DetectionSet:
    """Open what PATH holds; see the module.

    Args:
        skips: filled with what is left out, at once or while samples are read.
        images: folder or tar of the pictures of a JSON; None looks beside it.
        split: groups of the names (``data_pipelines.detection.splits``); for a JSON only, shards
            have theirs in ``categories.json``.
    Raises:
        DataError: there is no such set, or it cannot be read.
    """
    json_file = _annotation_file(path)
    if json_file is None:
        if images is not None or split != "auto":
            raise DataError(
                f"{path} holds shards, which have their pictures and groups: leave out images and "
                "split, or give the annotation JSON"
            )
        return ShardedDetectionSet(path, skips=skips)
    listed = read_annotation_file(json_file, skips, split=split)
    return ListedDetectionSet(listed, open_pictures(images or json_file.parent), skips=skips)


def is_detection_set(path: Path) -> bool:
    """Whether ``open_detection_set`` would take a path, told by the names of files alone."""
    if path.is_dir():
        return (path / VOCABULARY_NAME).is_file() or len(_json_files(path)) == 1
    return path.suffix == ".json" and path.is_file()


class ShardedDetectionSet:
    """Shards with ``categories.json`` beside them.

    Args:
        path: the folder, or one of its tars.
        skips: filled while samples are read.
    """

    def __init__(self, path: Path, *, skips: Skips) -> None:
        folder = path if path.is_dir() else path.parent
        self.vocabulary = Vocabulary.load(folder)
        self._indexes = [ShardIndex.open(shard) for shard in find_shards([path])]
        self._skips = skips

    def __len__(self) -> int:
        return sum(map(len, self._indexes))

    @property
    def problems(self) -> tuple[str, ...]:
        """See ``DetectionSet``."""
        return problems_of(self._indexes)

    def annotations(self) -> Iterator[Annotations]:
        """See ``DetectionSet``."""
        for _, found in self._read():
            yield found

    def samples(self) -> Iterator[DetectionSample]:
        """See ``DetectionSet``."""
        for sample, annotations in self._read():
            yield DetectionSample(sample.uid, sample.image, annotations)

    def sample(self, number: int) -> DetectionSample:
        """See ``DetectionSet``."""
        for index in self._indexes:
            if number < len(index):
                break
            number -= len(index)
        sample = StoredSample(index.key(number), index.read(number), name=index.name(number))
        try:
            return DetectionSample(
                sample.uid, sample.image, of_fields(sample.fields, self.vocabulary)
            )
        except BadSampleError:
            raise
        except DataError as error:
            raise BadSampleError("broken json", str(error)) from error

    def _read(self) -> Iterator[tuple[StoredSample, Annotations]]:
        for index in self._indexes:
            for number, (key, members) in enumerate(index):
                sample = StoredSample(key, members, name=index.name(number))
                try:
                    found = of_fields(sample.fields, self.vocabulary)
                    sample.image  # noqa: B018  refuses a sample without a picture
                except BadSampleError as error:
                    self._skips.add(error.kind, f"{index.path}: {key}: {error}")
                    continue
                except DataError as error:
                    self._skips.add("broken json", f"{index.path}: {key}: {error}")
                    continue
                yield sample, found


class ListedDetectionSet:
    """An annotation file and its pictures.

    Args:
        skips: pictures that are not there are counted in it at once.
    Raises:
        DataError: none of the pictures is there.
    """

    def __init__(self, listed: AnnotationFile, pictures: Pictures, *, skips: Skips) -> None:
        self.vocabulary = listed.vocabulary
        self._pictures = pictures
        self._skips = skips
        self._found: list[tuple[str, ListedPicture]] = []
        for one in listed.pictures:
            place = pictures.find(one.names)
            if place is None:
                skips.add("missing picture", one.names[0])
            else:
                self._found.append((place, one))
        if not self._found:
            damage = f" ({pictures.problems[0]})" if pictures.problems else ""
            raise DataError(
                f"none of the {len(listed.pictures):,} listed pictures is there, such as "
                f"{listed.pictures[0].names[0]}{damage}; give the folder or tar that holds them "
                "(--images)"
            )

    def __len__(self) -> int:
        return len(self._found)

    @property
    def problems(self) -> tuple[str, ...]:
        """See ``DetectionSet``."""
        return self._pictures.problems

    def annotations(self) -> Iterator[Annotations]:
        """See ``DetectionSet``."""
        for _, one in self._found:
            yield one.annotations

    def samples(self) -> Iterator[DetectionSample]:
        """See ``DetectionSet``."""
        for name, data, annotations in self.files():
            suffix = FORMAT_OF_SUFFIX[name.rpartition(".")[2].lower()]
            image = EncodedImage(suffix, data)
            yield DetectionSample(str(annotations.picture_id), image, annotations)

    def sample(self, number: int) -> DetectionSample:
        """See ``DetectionSet``."""
        place, one = self._found[number]
        image = EncodedImage(
            FORMAT_OF_SUFFIX[place.rpartition(".")[2].lower()], self._pictures.read(place)
        )
        return DetectionSample(str(one.annotations.picture_id), image, one.annotations)

    def files(self) -> Iterator[tuple[str, bytes, Annotations]]:
        """Name and bytes of every picture that can be read, with what is marked in it."""
        for place, one in self._found:
            try:
                data = self._pictures.read(place)
            except BadSampleError as error:
                self._skips.add(error.kind, f"{place}: {error}")
                continue
            yield place, data, one.annotations


def _annotation_file(path: Path) -> Path | None:
    """The JSON of a set of that form; None where there are shards."""
    if path.is_file():
        return path if path.suffix == ".json" else None
    if not path.is_dir():
        raise DataError(f"{path} does not exist; give shards, a JSON, or the folder of either")
    if (path / VOCABULARY_NAME).is_file():
        return None
    found = _json_files(path)
    parts = sorted(one.parent.name for one in path.glob(f"*/{VOCABULARY_NAME}"))
    if not found and parts:
        raise DataError(
            f"{path} holds several sets ({', '.join(parts)}); name one: {path / parts[0]}"
        )
    if len(found) > 1:
        names = ", ".join(one.name for one in found[:4])
        raise DataError(f"{path} holds several JSON files ({names}); name the one that is meant")
    return found[0] if found else None


def _json_files(folder: Path) -> list[Path]:
    return [one for one in sorted(folder.glob("*.json")) if one.name != MANIFEST_NAME]
