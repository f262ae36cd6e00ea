"""A data set of the Hugging Face library, from disk or by its name on the Hub."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from data_pipelines.bounded_files import media_bytes
from data_pipelines.errors import DataError
from data_pipelines.images import skip_image, storable
from data_pipelines.options import option
from data_pipelines.schema import Sample, make_uid
from data_pipelines.skips import Skips
from data_pipelines.sources.source import Source, sources

_SPLIT = re.compile(r"(train|test|validation|valid|val|dev)([-_.].*)?$")


@sources.register("huggingface")
@dataclass(frozen=True, kw_only=True)
class HuggingFaceDataset(Source):
    """Settings of the data set."""

    HELP: ClassVar[str] = (
        "a data set of the Hugging Face library: saved, Parquet tables, or of the Hub (extra "
        "'huggingface')"
    )
    EXAMPLE: ClassVar[str] = (
        "vlsuite data build huggingface saved/flickr --caption-column captions --out data/flickr"
    )

    dataset: str = option(
        "folder written by save_to_disk, Parquet table or folder of such tables (the Hub is not "
        "asked for either), or a name on the Hub",
        positional=True,
        metavar="DATASET",
        formerly="--dataset",
    )
    config: str | None = option("configuration of the data set", default=None)
    split: str = option(
        "which split to read; with --layout benchmark also the name of the split written",
        default="train",
        formerly="--subset",
    )
    image_column: str = option("column of the images", default="image")
    caption_column: str | None = option(
        "column of the captions: text or lists of text (default: none, when there are labels)",
        default=None,
    )
    label_column: str | None = option("column of class labels", default=None)
    template: str = option(
        "caption made of a label where there is none; {c} is the class", default="a photo of a {c}"
    )

    def __post_init__(self) -> None:
        if self.caption_column is None and self.label_column is None:
            raise DataError("name the captions by --caption-column, or labels by --label-column")

    @classmethod
    def fits(cls, path: Path) -> bool:
        """See ``Source``."""
        return is_saved(path)

    def samples(self, skips: Skips) -> Iterator[Sample]:
        """Rows in order; the uid depends on the data set's name, the row and the image."""
        rows, names = self._rows(), self.class_names()
        for number, row in enumerate(rows):
            where = f"row {number}"
            label = self._label(row)
            captions = self._captions(row, label, names)
            if not captions:
                skips.add("empty caption", where)
                continue
            data = _image_bytes(row[self.image_column])
            if data is None:
                skips.add("missing image file", where)
                continue
            try:
                image = storable(data)
            except DataError as error:
                skip_image(error, where, skips)
                continue
            yield Sample(
                uid=make_uid("huggingface", f"{self.dataset}/{self.split}/{number}", image.data),
                image=image.data,
                image_suffix=image.suffix,
                captions=captions,
                label=label,
                provenance={"source": "huggingface", "key": f"{self.split}/{number}"},
            )

    def class_names(self) -> Sequence[str]:
        """Names of the label column, where it has them."""
        if self.label_column is None:
            return ()
        feature = self._rows().features[self.label_column]
        names = getattr(feature, "names", None)
        if not names:
            raise DataError(
                f"column '{self.label_column}' of {self.dataset} holds no class labels "
                f"({type(feature).__name__}); choose another --label-column"
            )
        return list(names)

    def _label(self, row: dict[str, Any]) -> int | None:
        label = row[self.label_column] if self.label_column else None
        return label if isinstance(label, int) and label >= 0 else None

    def _captions(
        self, row: dict[str, Any], label: int | None, names: Sequence[str]
    ) -> tuple[str, ...]:
        if self.caption_column is not None:
            cell = row[self.caption_column]
            texts = cell if isinstance(cell, list) else [cell]
            return tuple(text.strip() for text in texts if isinstance(text, str) and text.strip())
        return () if label is None else (self.template.replace("{c}", names[label]),)

    def _rows(self) -> Any:
        """The wanted split with undecoded images, whose columns are checked."""
        try:
            import datasets
        except ImportError as error:
            raise DataError(
                f"the huggingface source needs the package {error.name}; install the extra: "
                "pip install 'vlsuite[huggingface]'"
            ) from error
        loaded = self._load(datasets)
        if isinstance(loaded, datasets.DatasetDict):
            if self.split not in loaded:
                found = ", ".join(map(str, loaded))
                raise DataError(
                    f"{self.dataset} has no split '{self.split}'; splits: {found}; "
                    "choose by --split"
                )
            loaded = loaded[self.split]
        wanted = (self.image_column, self.caption_column, self.label_column)
        for column in wanted:
            if column is not None and column not in loaded.column_names:
                raise DataError(
                    f"{self.dataset} has no column '{column}'; columns: "
                    f"{', '.join(loaded.column_names)}"
                )
        return loaded.cast_column(self.image_column, datasets.Image(decode=False))

    def _load(self, datasets: Any) -> Any:
        path = Path(self.dataset)
        try:
            if path.is_dir() and is_saved(path):
                return datasets.load_from_disk(self.dataset)
            if path.exists() or looks_local(self.dataset):
                files = [str(file) for file in local_tables(path, self.split)]
                # streamed, so that no second copy of the pictures is written to a cache
                return datasets.load_dataset(
                    "parquet", data_files=files, split="train", streaming=True
                )
            return datasets.load_dataset(self.dataset, self.config, split=self.split)
        except DataError:
            raise
        except Exception as error:  # the library raises all kinds for the user's mistakes
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise DataError(f"cannot load data set {self.dataset}: {reason}") from error


def is_saved(folder: Path) -> bool:
    """Whether ``save_to_disk`` wrote it."""
    return any((folder / name).is_file() for name in ("dataset_dict.json", "state.json"))


def looks_local(name: str) -> bool:
    """Whether a name can only mean a path: names on the Hub are NAME or OWNER/NAME."""
    return name.startswith(("/", ".", "~")) or name.endswith(".parquet") or name.count("/") > 1


def local_tables(place: Path, split: str) -> list[Path]:
    """The Parquet tables of one split: ``train-00000-of-00002.parquet``, or a folder ``train``.

    Where no table is called after any split, all of them.

    Raises:
        DataError: nothing there, no table, or none of that split.
    """
    if place.is_file():
        return [place]
    if not place.is_dir():
        raise DataError(f"data set {place} does not exist; check the path")
    found = sorted(place.rglob("*.parquet"))
    if not found:
        raise DataError(
            f"{place} was not written by save_to_disk (no state.json) and holds no .parquet table; "
            "check the path"
        )
    splits = {path: _split_of(path.relative_to(place)) for path in found}
    named = {name for name in splits.values() if name}
    if not named:
        return found
    if split not in named:
        raise DataError(
            f"{place} has no split '{split}'; splits: {', '.join(sorted(named))}; choose by --split"
        )
    return [path for path in found if splits[path] == split]


def _split_of(path: Path) -> str:
    """The split that a table's name or folder tells; empty where neither does."""
    for part in (path.stem, *reversed(path.parts[:-1])):
        name = _SPLIT.match(part)
        if name:
            return "validation" if name[1] in ("val", "valid", "dev") else name[1]
    return ""


def _image_bytes(cell: Any) -> bytes | None:
    """Encoded bytes of an undecoded image: stored in the row, or in a file it names."""
    if not isinstance(cell, dict):
        return None
    if cell.get("bytes") is not None:
        return cell["bytes"]
    try:
        return media_bytes(Path(cell["path"])) if cell.get("path") else None
    except OSError:
        return None
