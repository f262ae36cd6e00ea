"""Writing shards: the training layout ("pairs") and the evaluation layout ("benchmark").

Equal samples give equal bytes: members carry a fixed time, owner and mode, and no manifest holds
a time stamp. Each shard appears under its name only when complete; the manifest comes last.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

from data_pipelines.errors import DataError
from data_pipelines.prompts import SIMPLE_TEMPLATES
from data_pipelines.schema import JsonValue, Sample
from data_pipelines.shards.atomic import NewFile, replacing, write_file
from data_pipelines.shards.folder import BENCHMARK_ROOT_FILES, building
from data_pipelines.shards.manifest import MANIFEST_NAME, FileEntry, Manifest, Origin, ShardEntry
from data_pipelines.shards.seen_ids import SeenIds
from data_pipelines.skips import Skips

DEFAULT_MAX_SAMPLES = 10_000
DEFAULT_MAX_BYTES = 1_000_000_000

#: Prompt templates of an evaluation folder that names none.
DEFAULT_TEMPLATES = SIMPLE_TEMPLATES

KINDS = ("classification", "retrieval")

_BLOCK = 512  # bytes; a tar member takes a header block and whole data blocks

Members = dict[str, Any]


def write_pairs(
    samples: Iterable[Sample],
    out_dir: Path,
    *,
    prefix: str = "shard",
    max_samples: int = DEFAULT_MAX_SAMPLES,
    max_bytes: int = DEFAULT_MAX_BYTES,
    origin: Origin | None = None,
    skips: Skips | None = None,
    texts: Mapping[str, bytes] | None = None,
    details: dict[str, JsonValue] | None = None,
    captions_needed: bool = True,
    overwrite: bool = False,
) -> Manifest:
    """Write a training set: ``out_dir/<prefix>-000000.tar`` and so on, then the manifest.

    It takes the name ``out_dir`` when it is complete; see ``shards.folder``.

    Members of a sample: image, ``txt`` (first caption), ``json`` (uid, all captions, provenance),
    ``cls`` where the sample has a label, and what else belongs to it (``Sample.members``).

    Args:
        samples: read once, in order; captions must not be blank.
        max_samples: of one shard.
        max_bytes: of one shard; a sample larger than this gets a shard of its own.
        origin: recorded in the manifest.
        skips: filled by the source while it is read; its counts go into the manifest.
        texts: files to put beside the shards, by name, which the manifest lists.
        details: for the manifest.
        captions_needed: whether a sample without captions is refused; pictures with boxes have
            none, and are written without ``txt``.
        overwrite: whether a set of ours in out_dir is replaced.
    Raises:
        DataError: out_dir cannot be used (see ``building``), a uid occurs twice, a sample has no
            caption, there is no sample at all, or the disk refuses.
    """
    skips = skips or Skips()
    with building(out_dir, overwrite=overwrite) as place:
        shards = _write_shards(
            samples,
            place,
            name=lambda number: f"{prefix}-{number:06d}.tar",
            members_of=_pair_members if captions_needed else _captioned_or_not,
            max_samples=max_samples,
            max_bytes=max_bytes,
        )
        files = [_write_text(place / name, content) for name, content in (texts or {}).items()]
        manifest = Manifest(
            origin=origin or Origin(),
            layout="pairs",
            shards=tuple(shards),
            files=tuple(files),
            skipped=skips.counts,
            skipped_examples=skips.examples,
            read=skips.inputs,
            details=details or {},
        )
        manifest.save(place)
    return manifest


def write_benchmark(
    samples: Iterable[Sample],
    out_dir: Path,
    *,
    split: str = "test",
    kind: str = "classification",
    class_names: Sequence[str] = (),
    templates: Sequence[str] = DEFAULT_TEMPLATES,
    shift_of: str | None = None,
    max_samples: int = DEFAULT_MAX_SAMPLES,
    max_bytes: int = DEFAULT_MAX_BYTES,
    origin: Origin | None = None,
    skips: Skips | None = None,
    overwrite: bool = False,
) -> Manifest:
    """Write one split of an evaluation folder in the layout of CLIP_benchmark.

    ``out_dir`` gets classnames.txt, zeroshot_classification_templates.txt and, for retrieval,
    dataset_type.txt; ``out_dir/<split>`` gets nshards.txt, 0.tar and so on, and the manifest.
    ``txt`` holds one caption a line. A retrieval set may have class names and labels as well; it
    then serves zero-shot classification too. ``json`` (uid, provenance) is ours; readers of the
    layout ignore it.

    Args:
        kind: "classification" or "retrieval".
        class_names: line i is the name of label i; required for classification.
        templates: prompts with the placeholder "{c}" for the class name.
        shift_of: name of the evaluation folder that this one is a shifted form of; written to
            shift_of.txt, where our reports look for it.
        overwrite: whether this split, if a set of ours, is replaced.
    Raises:
        DataError: as for write_pairs; or a label has no class name, a template no "{c}", or
            out_dir holds other class names for another split.
    """
    _check_benchmark(kind, class_names, templates)
    contents = _root_contents(kind, class_names, templates, shift_of)
    _check_root_files(out_dir, contents, split=split)
    skips = skips or Skips()
    with building(out_dir / split, overwrite=overwrite) as place:
        shards = _write_shards(
            samples,
            place,
            name=lambda number: f"{number}.tar",
            members_of=_benchmark_members(kind, num_classes=len(class_names)),
            max_samples=max_samples,
            max_bytes=max_bytes,
        )
        num_shards = _write_lines(place / "nshards.txt", [str(len(shards))])
        manifest = Manifest(
            origin=origin or Origin(),
            layout="benchmark",
            shards=tuple(shards),
            files=(num_shards,),
            skipped=skips.counts,
            skipped_examples=skips.examples,
            read=skips.inputs,
            details={"split": split, "kind": kind, "num_classes": len(class_names)},
        )
        manifest.save(place)
        _write_root_files(out_dir, contents)
    return manifest


def _write_shards(
    samples: Iterable[Sample],
    folder: Path,
    *,
    name: Callable[[int], str],
    members_of: Callable[[Sample], Members],
    max_samples: int,
    max_bytes: int,
) -> list[ShardEntry]:
    if max_samples < 1 or max_bytes < 1:
        raise DataError(f"a shard needs room: {max_samples} samples, {max_bytes} bytes asked for")
    shards: list[ShardEntry] = []
    sizes = {"max_samples": max_samples, "max_bytes": max_bytes}
    with SeenIds(folder) as seen:
        rows = _Lookahead(_checked_members(samples, members_of, seen))
        while rows.next is not None:
            path = folder / name(len(shards))
            with replacing(path) as file:
                entry = _write_one(rows, path.name, file, **sizes)
            shards.append(entry)
    if not shards:
        raise DataError(f"no sample to write to {folder}: the source is empty, or all were skipped")
    return shards


def _write_one(
    rows: "_Lookahead", name: str, file: NewFile, *, max_samples: int, max_bytes: int
) -> ShardEntry:
    # Imported here because it brings torch along, which takes seconds.
    from webdataset.writer import TarWriter

    stream = cast(BinaryIO, file)  # of which TarWriter uses nothing but write
    writer = TarWriter(stream, encoder=False, mtime=0, user="", group="", mode=0o644)
    num_samples, num_bytes = 0, 2 * _BLOCK
    while (members := rows.next) is not None and num_samples < max_samples:
        size = _tar_size(members)
        if num_samples and num_bytes + size > max_bytes:
            break
        writer.write(members)
        num_samples += 1
        num_bytes += size
        rows.advance()
    writer.close()
    return ShardEntry(name=name, samples=num_samples, bytes=file.size, sha256=file.sha256)


class _Lookahead:
    """An iterator whose next element can be looked at before it is taken."""

    def __init__(self, rows: Iterator[Members]) -> None:
        self._rows = rows
        self.next: Members | None = next(rows, None)

    def advance(self) -> None:
        self.next = next(self._rows, None)


def _checked_members(
    samples: Iterable[Sample], members_of: Callable[[Sample], Members], seen: SeenIds
) -> Iterator[Members]:
    for sample in samples:
        if not seen.add(bytes.fromhex(sample.uid)):
            raise DataError(
                f"uid {sample.uid} occurs twice ({sample.provenance.get('key', 'no key')}); "
                "a source must give each image its own key"
            )
        yield {"__key__": sample.uid, **members_of(sample)}


def _pair_members(sample: Sample) -> Members:
    if not sample.captions or not all(caption.strip() for caption in sample.captions):
        raise DataError(
            f"sample {sample.uid} has an empty caption; a source must skip and count it"
        )
    return _shared_members(sample) | {"txt": sample.captions[0].encode()}


def _captioned_or_not(sample: Sample) -> Members:
    return _pair_members(sample) if sample.captions else _shared_members(sample)


def _benchmark_members(kind: str, *, num_classes: int) -> Callable[[Sample], Members]:
    def members_of(sample: Sample) -> Members:
        if kind == "retrieval" and not sample.captions:
            raise DataError(f"sample {sample.uid} has no caption, which retrieval needs")
        if kind == "classification" and sample.label is None:
            raise DataError(f"sample {sample.uid} has no label, which classification needs")
        if sample.label is not None and not 0 <= sample.label < num_classes:
            raise DataError(
                f"sample {sample.uid} has label {sample.label}, but there are "
                f"{num_classes} class names"
            )
        lines = "\n".join(_one_line(caption) for caption in sample.captions)
        return _shared_members(sample) | ({"txt": lines.encode()} if sample.captions else {})

    return members_of


def _shared_members(sample: Sample) -> Members:
    """Image, json, what else is stored, and cls where there is a label."""
    fields = {**sample.provenance, "uid": sample.uid, "captions": list(sample.captions)}
    members = {
        sample.image_suffix: sample.image,
        "json": json.dumps(fields, ensure_ascii=False, sort_keys=True).encode(),
        **sample.members,
    }
    return members if sample.label is None else members | {"cls": str(sample.label).encode()}


def _one_line(caption: str) -> str:
    """A caption without line breaks of any kind: readers of the layout split at all of them."""
    return "\\n".join(" ".join(part.splitlines()) for part in caption.split("\n"))


def _tar_size(members: Members) -> int:
    return sum(
        _BLOCK + -(-len(data) // _BLOCK) * _BLOCK
        for suffix, data in members.items()
        if suffix != "__key__"
    )


def _check_benchmark(kind: str, class_names: Sequence[str], templates: Sequence[str]) -> None:
    if kind not in KINDS:
        raise DataError(f"unknown kind of benchmark '{kind}'; known: {', '.join(KINDS)}")
    if kind == "classification" and not class_names:
        raise DataError("a classification benchmark needs class names, one for each label")
    for text in (*class_names, *templates):
        if not text.strip() or len(text.splitlines()) != 1:
            raise DataError(f"class names and templates are single lines, not {text!r}")
    for template in templates:
        if "{c}" not in template:
            raise DataError(f"template {template!r} lacks the placeholder {{c}}")


def _root_contents(
    kind: str, class_names: Sequence[str], templates: Sequence[str], shift_of: str | None
) -> dict[str, Sequence[str]]:
    """Lines of the text files that all splits of a folder share; none for one that is not there."""
    contents = (
        class_names,
        templates if class_names else (),
        ("retrieval",) if kind == "retrieval" else (),
        (shift_of,) if shift_of else (),
    )
    return dict(zip(BENCHMARK_ROOT_FILES, contents, strict=True))


def _check_root_files(root: Path, contents: Mapping[str, Sequence[str]], *, split: str) -> None:
    """Another split may not contradict them."""
    names = sorted(path.parent.name for path in root.glob(f"*/{MANIFEST_NAME}"))
    other_split = next((n for n in names if n != split and not n.startswith(".")), None)
    for name, lines in contents.items():
        path = root / name
        stored = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        if other_split and stored != list(lines):
            raise DataError(
                f"{path} of split '{other_split}' differs from what this split needs; "
                "choose another folder"
            )


def _write_root_files(root: Path, contents: Mapping[str, Sequence[str]]) -> None:
    for name, lines in contents.items():
        if lines:
            _write_lines(root / name, lines)
        else:
            (root / name).unlink(missing_ok=True)


def _write_lines(path: Path, lines: Sequence[str]) -> FileEntry:
    return _write_text(path, "".join(line + "\n" for line in lines).encode())


def _write_text(path: Path, content: bytes) -> FileEntry:
    file = write_file(path, content)
    return FileEntry(name=path.name, bytes=file.size, sha256=file.sha256)
