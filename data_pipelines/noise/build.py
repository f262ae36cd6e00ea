"""Writes shards with known noise, or only the captions that the same noise leaves alone."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from data_pipelines.errors import DataError, ShardError
from data_pipelines.noise.captions import CaptionPair, Captions, read_all, read_samples
from data_pipelines.noise.phrases import load_phrases
from data_pipelines.noise.plan import NoiseConfig, NoisyCaption, make_plan
from data_pipelines.noise.truth import TRUTH_NAME, truth_bytes, truth_row
from data_pipelines.options import option
from data_pipelines.schema import JsonValue, Sample
from data_pipelines.shards.find import find_shards
from data_pipelines.shards.index import ShardIndex
from data_pipelines.shards.manifest import MANIFEST_NAME, Manifest, Origin
from data_pipelines.shards.write import DEFAULT_MAX_BYTES, write_pairs
from data_pipelines.skips import Skips


@dataclass(frozen=True, kw_only=True, slots=True)
class NoiseTarget:
    """Where and how a noisy set is written.

    Args:
        out_dir: folder to write; may not hold the shards that are read.
        overwrite: replace a set that vlsuite wrote there.
        phrases: what finds noun phrases: rules (English), or spacy:MODEL where installed.
        clean_only: write only the captions that this noise leaves alone, to train an oracle on;
            they are numbered anew, and images without any are left out.
        max_samples: of one shard at most (default: as in the largest shard read).
        max_bytes: of one shard.
        created_by: the command, for the manifest.
        progress: wraps the samples of each of the two passes.
    """

    out_dir: Path = option(flag="--out", metavar="DIR")
    overwrite: bool = False
    phrases: str = option(default="rules", metavar="FINDER")
    clean_only: bool = False
    max_samples: int | None = option(default=None, flag="--shard-samples", metavar="N")
    max_bytes: int = DEFAULT_MAX_BYTES
    created_by: str = ""
    progress: Callable[[Iterable[Sample]], Iterable[Sample]] = iter

    def __post_init__(self) -> None:
        if min(self.max_samples or 1, self.max_bytes) < 1:
            raise DataError(
                f"a shard needs room: {self.max_samples} samples, {self.max_bytes} bytes asked for"
            )


class _Written(NamedTuple):
    """The captions of one image as they are written, and the lines of truth about them."""

    captions: tuple[str, ...]
    truth: tuple[str, ...]


def write_noisy(paths: Sequence[str | Path], config: NoiseConfig, target: NoiseTarget) -> Manifest:
    """Write the shards of ``paths`` again with noise dealt to their captions.

    The shards are read twice, sample by sample: once for the captions, once for the images. The
    samples come in the same order, with the same ids and the same image bytes.

    Raises:
        DataError: nothing to read, nothing clean to write, or the target cannot be written.
    """
    find = load_phrases(target.phrases)
    shards = find_shards(paths)
    _refuse_own_input(shards, target.out_dir)
    refuse_noisy(shards)
    skips = Skips()
    captions = read_all(target.progress(read_samples(paths, skips)))
    plan = make_plan(captions, config, find=find)
    written = _written(captions, plan.noisy, clean_only=target.clean_only)
    if target.clean_only:
        num_without = len({pair.uid for pair in captions.pairs} - written.keys())
        plan.counts.update({"images without a clean caption": num_without} if num_without else {})
    if not written:
        raise DataError("the noise leaves no caption clean; lower --mismatched or --partial")
    rows = (line for image in written.values() for line in image.truth)
    return write_pairs(
        _samples(target.progress(read_samples(paths, Skips())), written),
        target.out_dir,
        max_samples=target.max_samples or max(len(ShardIndex.open(path)) for path in shards),
        max_bytes=target.max_bytes,
        origin=_origin(shards, target, _details(captions, config, target, plan.counts)),
        skips=skips,
        texts={TRUTH_NAME: truth_bytes(rows)},
        overwrite=target.overwrite,
    )


def _written(
    captions: Captions, noisy: Sequence[NoisyCaption], *, clean_only: bool
) -> dict[str, _Written]:
    """By uid, in the order of the shards; without the images that are left out."""
    kept: dict[str, list[NoisyCaption]] = {}
    for pair, caption in zip(captions.pairs, noisy, strict=True):
        if not clean_only or caption.kind == "clean":
            kept.setdefault(pair.uid, []).append(caption)
    return {uid: _image(uid, found) for uid, found in kept.items()}


def _image(uid: str, found: Sequence[NoisyCaption]) -> _Written:
    truth = [
        truth_row(uid, number, kind=kind, source_uid=source.uid, source_number=source.number)
        for number, (_, kind, source) in enumerate(found)
    ]
    return _Written(tuple(caption.text for caption in found), tuple(truth))


def _samples(samples: Iterable[Sample], written: Mapping[str, _Written]) -> Iterator[Sample]:
    missing = set(written)
    for sample in samples:
        if sample.uid in written:
            missing.discard(sample.uid)
            yield replace(sample, captions=written[sample.uid].captions)
    if missing:
        raise ShardError(
            f"{len(missing)} samples were gone when the shards were read again (e.g. "
            f"{min(missing)}); run it again and leave the shards alone meanwhile"
        )


def refuse_noisy(shards: Iterable[Path]) -> None:
    """Refuse shards that had noise dealt to them: the truth of a second time would not hold.

    Raises:
        DataError: names the folder.
    """
    for folder in dict.fromkeys(path.parent for path in shards):
        if (folder / TRUTH_NAME).is_file():
            raise DataError(
                f"{folder} is noisy already ({TRUTH_NAME}), so a second truth would be wrong; name "
                "the shards it was made from"
            )


def _refuse_own_input(shards: Iterable[Path], out_dir: Path) -> None:
    for path in shards:
        if path.resolve().is_relative_to(out_dir.resolve()):
            raise DataError(f"{path} lies in --out {out_dir}; choose another folder")


def _origin(shards: Sequence[Path], target: NoiseTarget, noise: dict[str, JsonValue]) -> Origin:
    """Source, licence and attribution as the manifests beside the shards state them."""
    folders = list(dict.fromkeys(path.parent for path in shards))
    found = [Manifest.load(path).origin for path in folders if (path / MANIFEST_NAME).is_file()]

    def joined(texts: Iterable[str]) -> str:
        return "; ".join(dict.fromkeys(text for text in texts if text))

    empty = Origin()
    return Origin(
        source=joined(origin.source for origin in found) or empty.source,
        licence=joined(origin.licence for origin in found) or empty.licence,
        attribution=joined(origin.attribution for origin in found),
        created_by=target.created_by,
        details={"noise": noise},
    )


def _details(
    captions: Captions, config: NoiseConfig, target: NoiseTarget, counts: dict[str, int]
) -> dict[str, JsonValue]:
    return {
        "mismatched": config.mismatched,
        "partial": config.partial,
        "kind": config.kind,
        "permutation": config.permutation,
        "seed": config.seed,
        "phrases": target.phrases,
        "clean_only": target.clean_only,
        "counts": dict(counts),
        "captions_sha256": _digest(captions.pairs, captions.texts),
    }


def _digest(pairs: Sequence[CaptionPair], texts: Sequence[str]) -> str:
    """SHA-256 over all captions before noise, whatever the order of samples and shards."""
    lines = sorted(
        f"{uid}\t{number}\t{text}\n" for (uid, number), text in zip(pairs, texts, strict=True)
    )
    return hashlib.sha256("".join(lines).encode()).hexdigest()
