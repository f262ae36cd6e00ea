"""Every sample of a set of shards looked at: decodes, pairing, ids, text, tar ends, checksums.

Nothing is changed. Each kind of problem is counted, with the first cases by shard and member.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

from data_pipelines.detection.checking import BoxCheck
from data_pipelines.end_with_parent import end_with_parent
from data_pipelines.errors import DataError, ShardError
from data_pipelines.image_formats import FORMAT_OF_SUFFIX, SUFFIX_OF_FORMAT
from data_pipelines.images import check_image
from data_pipelines.shards.find import find_shards
from data_pipelines.shards.index import ShardIndex
from data_pipelines.shards.manifest import MANIFEST_NAME, Manifest
from data_pipelines.shards.pairs import captions_of, image_of, label_of, printable, uid_of
from data_pipelines.skips import Skips
from data_pipelines.video_shards.checking import check_moving_content, has_moving_content


@dataclass(frozen=True, kw_only=True, slots=True)
class ValidationReport:
    """What was looked at and what is wrong with it.

    Args:
        num_without_uid: samples without a uid in their json, which are named by shard and key; no
            problem, but such a sample cannot be followed through resharding.
        num_shared: samples that another of the folders holds as well, such as training samples in
            a test; no problem where it is meant.
        problems: number of cases of each kind of problem.
        examples: the first cases of each kind: shard, member, detail.
    """

    num_shards: int
    num_samples: int
    num_without_uid: int
    num_shared: int
    problems: dict[str, int]
    examples: dict[str, list[str]]

    @property
    def is_valid(self) -> bool:
        """Whether no problem was found."""
        return not self.problems


class _ShardFindings(NamedTuple):
    """One shard's share of a report; ``uids`` are those of the samples, with their keys."""

    num_samples: int
    num_without_uid: int
    uids: list[tuple[str, str]]
    cases: list[tuple[str, str]]


def validate(
    paths: Iterable[str | Path],
    *,
    workers: int = 1,
    progress: Callable[[Iterable], Iterable] = iter,
) -> ValidationReport:
    """Check every sample of the shards behind ``paths`` (see ``find_shards``).

    Args:
        workers: processes that share the shards.
        progress: wraps the shards as they are finished.
    Raises:
        ShardError: a path leads to no shard.
        MissingDecoderError: there are videos, and this machine cannot read any.
    """
    shards = find_shards(paths)
    problems = Skips()
    for where, detail in _manifest_differences(shards):
        problems.add("differs from its manifest", f"{where}: {detail}")
    folders: dict[str, Path] = {}
    seen: set[tuple[str, Path]] = set()
    totals: Counter[str] = Counter()
    for path, findings in zip(shards, progress(_findings(shards, workers)), strict=True):
        totals["samples"] += findings.num_samples
        totals["without uid"] += findings.num_without_uid
        for kind, where in findings.cases:
            problems.add(kind, where)
        for uid, key in findings.uids:
            first = folders.setdefault(uid, path.parent)
            if (uid, path.parent) in seen:
                problems.add("uid repeated in its folder", f"{path}: {key}")
            elif first != path.parent:
                totals["shared"] += 1
            seen.add((uid, path.parent))
    return ValidationReport(
        num_shards=len(shards),
        num_samples=totals["samples"],
        num_without_uid=totals["without uid"],
        num_shared=totals["shared"],
        problems=problems.counts,
        examples=problems.examples,
    )


def _findings(shards: Sequence[Path], workers: int) -> Iterable[_ShardFindings]:
    if workers <= 1 or len(shards) == 1:
        yield from map(_check_shard, shards)
        return
    # Spawned, not forked: the caller may run threads.
    with ProcessPoolExecutor(
        workers, mp_context=get_context("spawn"), initializer=end_with_parent
    ) as pool:
        yield from pool.map(_check_shard, shards)


def _check_shard(path: Path) -> _ShardFindings:
    try:
        index = ShardIndex.open(path)
    except ShardError as error:
        return _ShardFindings(0, 0, [], [("unreadable shard", str(error))])
    cases = [("damaged shard", f"{path}: {problem}") for problem in index.problems]
    one_per_line = _is_benchmark_split(path)
    boxes = BoxCheck.beside(path)
    cases += [("unreadable categories.json", boxes.problem)] if boxes.problem else []
    uids: list[tuple[str, str]] = []
    num_own = 0
    for i in range(len(index)):
        key, members = index.key(i), index.read(i)
        where = f"{path}: {key}"
        found = _check(members, one_per_line, boxes)
        cases += [(kind, f"{where}: {detail}") for kind, detail in found]
        try:
            uid = uid_of(index.name(i), members)
        except DataError:
            continue  # counted above as a broken json
        num_own += uid != printable(index.name(i))
        uids.append((uid, key))
    return _ShardFindings(len(index), len(index) - num_own, uids, cases)


def _check(
    members: Mapping[str, bytes], one_per_line: bool, boxes: BoxCheck
) -> list[tuple[str, str]]:
    """Kind and detail of each problem of one sample."""
    is_moving = has_moving_content(members)
    problems = check_moving_content(members) if is_moving else []
    if not is_moving or any(suffix in FORMAT_OF_SUFFIX for suffix in members):
        problems += _check_image(members)
    problems += boxes.check(members)
    try:
        label = label_of(members)
    except DataError as error:
        problems.append(("broken label", str(error)))
        label = 0
    try:
        captions = captions_of(members, one_per_line=one_per_line)
    except DataError as error:
        return [*problems, ("broken caption", str(error))]
    if not captions and label is None and not boxes.is_expected:
        problems.append(("no caption and no label", f"members {', '.join(members)}"))
    elif not captions and "txt" in members:
        problems.append(("empty caption", f"members {', '.join(members)}"))
    if any(_has_control_characters(caption) for caption in captions):
        problems.append(("control characters in a caption", repr(captions[0][:80])))
    return problems


def _check_image(members: Mapping[str, bytes]) -> list[tuple[str, str]]:
    try:
        image = image_of(members)
    except DataError as error:
        return [("no image", str(error))]
    try:
        info = check_image(image.data)
    except DataError as error:
        kind, _, detail = str(error).partition(": ")
        return [(kind, detail)]
    if SUFFIX_OF_FORMAT.get(info.format) != image.suffix:
        return [("suffix of another format", f"{info.format} stored as .{image.suffix}")]
    return []


def _has_control_characters(text: str) -> bool:
    return any(ord(c) < 32 and c not in "\t\n\r" for c in text) or "\x7f" in text


def _is_benchmark_split(path: Path) -> bool:
    return (path.parent / "nshards.txt").is_file()


def _manifest_differences(shards: Sequence[Path]) -> list[tuple[str, str]]:
    """Differences of each folder with a manifest from what that manifest says."""
    differences = []
    for folder in sorted({path.parent for path in shards}):
        if not (folder / MANIFEST_NAME).is_file():
            continue
        try:
            lines = Manifest.load(folder).verify(folder)
        except ShardError as error:
            lines = [str(error)]
        differences += [(str(folder), line) for line in lines]
    return differences
