"""Videos with captions and questions, wherever they lie, as a data set of the contract."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int64, UInt64

from data_pipelines.shards.index import ShardIndex
from data_pipelines.video.frame_index import SUFFIX as INDEX_SUFFIX
from eval.data.dataset import EvalDataset, Layout, Task
from eval.data.file_digest import digest_ends
from eval.errors import EvaluationError
from eval.video.packed import PackedFrames


@runtime_checkable
class VideoSource(Protocol):
    """An encoded video."""

    def video(self) -> bytes | Path:
        """Its bytes, or the file that holds them."""
        ...

    def digest(self) -> bytes:
        """Tells videos apart."""
        ...


class VideoFile(NamedTuple):
    """A video in a file of its own; its digest is that of name, size and both ends."""

    path: Path

    def video(self) -> bytes | Path:
        """See ``VideoSource``."""
        return self.path

    def digest(self) -> bytes:
        """See ``VideoSource``."""
        digest = hashlib.sha256()
        try:
            digest_ends(digest, self.path)
        except OSError as error:
            raise EvaluationError(f"cannot read {self.path}: {error.strerror}") from error
        return digest.digest()


class VideoMember(NamedTuple):
    """A video in a shard."""

    shard: ShardIndex
    number: int
    suffix: str
    stored_digest: bytes

    def video(self) -> bytes | Path:
        """See ``VideoSource``."""
        return self.shard.read(self.number)[self.suffix]

    def with_index(self) -> tuple[bytes, bytes]:
        """The video, and the index of its frames that lies beside it; empty where none does."""
        members = self.shard.read(self.number)
        return members[self.suffix], members.get(INDEX_SUFFIX, b"")

    def digest(self) -> bytes:
        """See ``VideoSource``; of the whole content, taken when the set was opened."""
        return self.stored_digest


class EvalClip(NamedTuple):
    """A video, or a part of it, with what is said of it.

    Attributes:
        key: what it is called.
        source: the encoded video, or frames of it.
        captions: true ones; may be none.
        span: start and end in seconds, None for the whole video.
        cluster: what it shares with clips that succeed or fail together: scene, film, source.
    """

    key: str
    source: VideoSource | PackedFrames
    captions: tuple[str, ...] = ()
    span: tuple[float, float | None] | None = None
    cluster: str = ""


class ChoiceQuestion(NamedTuple):
    """One clip, several texts, one of them true.

    Attributes:
        kind: of question.
        clip: number in the set.
        options: at least two.
        answer: number of the true one.
        question: asked in words; empty where the options are sentences of their own.
        group: of videos of about one length, in words ("short", "up to 60 s"); empty where the
            set has no such groups.
    """

    kind: str
    clip: int
    options: tuple[str, ...]
    answer: int
    question: str = ""
    group: str = ""


class YesNoQuestion(NamedTuple):
    """Something asked of one clip that is so or is not; only a model that answers can be asked.

    Attributes:
        kind: of question.
        clip: number in the set.
        question: asked in words.
        answer: whether it is so.
    """

    kind: str
    clip: int
    question: str
    answer: bool


class PairQuestion(NamedTuple):
    """Two clips and two texts; the first text is true of the first clip, the second of the second.

    Attributes:
        kinds: of question; a pair may be of several.
        clips: numbers in the set.
        texts: true of each.
    """

    kinds: tuple[str, ...]
    clips: tuple[int, int]
    texts: tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class ClipSet:
    """Clips by number with the questions about them; satisfies ``StoredImages``.

    Args:
        name: what results call it.
        split: its split, "all" where it has none.
        clips: all that can be found.
        choices: questions with options.
        pairs: questions of two clips and two texts.
        yes_no: questions without options.
        left_out: what the lists name and nobody can score, by reason.
        remarks: what results say about the set besides ({"subtitles": "not shown"}).
    """

    name: str
    split: str = "all"
    clips: tuple[EvalClip, ...]
    choices: tuple[ChoiceQuestion, ...] = ()
    pairs: tuple[PairQuestion, ...] = ()
    yes_no: tuple[YesNoQuestion, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)
    remarks: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.clips)

    def key(self, i: int) -> str:
        """See ``NamedImages``."""
        return self.clips[i].key

    def read(self, i: int) -> bytes:
        """The encoded video; of stored frames, the first one."""
        source = self.clips[i].source
        if isinstance(source, PackedFrames):
            return source.first()
        video = source.video()
        return video if isinstance(video, bytes) else video.read_bytes()

    def members(self, i: int) -> Mapping[str, bytes]:
        """The video alone, by the ending of its file; of stored frames, all that is stored."""
        source = self.clips[i].source
        if isinstance(source, PackedFrames):
            return source.shard.read(source.number)
        return {"mp4": self.read(i)}

    @cached_property
    def same_as(self) -> Int64[np.ndarray, " images"]:
        """See ``StoredImages``: clips are equal where video and span are."""
        first: dict[tuple, int] = {}
        keys = [(d, c.span) for d, c in zip(self._digests, self.clips, strict=True)]
        return np.array([first.setdefault(key, i) for i, key in enumerate(keys)], dtype=np.int64)

    @cached_property
    def image_ids(self) -> UInt64[np.ndarray, " images"]:
        """See ``StoredImages``."""
        return np.array([int.from_bytes(d[:8], "big") for d in self._digests], dtype=np.uint64)

    def fingerprint(self) -> bytes:
        """Of the clips without what is said of them."""
        digest = hashlib.sha256()
        for one, clip in zip(self._digests, self.clips, strict=True):
            digest.update(one + json.dumps(clip.span).encode())
        return digest.digest()

    @cached_property
    def revision(self) -> str:
        """Of clips, captions and questions."""
        told: list[object] = [
            [(clip.key, clip.captions, clip.cluster) for clip in self.clips],
            [question[:5] for question in self.choices],
            self.pairs,
            *([self.yes_no] if self.yes_no else []),
        ]
        if any(groups := [question.group for question in self.choices]):
            told.append(groups)
        return hashlib.sha256(self.fingerprint() + json.dumps(told).encode()).hexdigest()

    @cached_property
    def _digests(self) -> tuple[bytes, ...]:
        known: dict[Path, bytes] = {}
        digests = []
        for clip in self.clips:
            if isinstance(clip.source, VideoFile):
                path = clip.source.path
                known[path] = known.get(path) or clip.source.digest()
                digests.append(known[path])
            else:
                digests.append(clip.source.digest())
        return tuple(digests)


def dataset_of(found: ClipSet, place: Path) -> EvalDataset:
    """The set as a data set of the evaluation contract.

    Args:
        place: the list or first shard, for messages.
    Raises:
        EvaluationError: it has no clip.
    """
    if not found.clips:
        reasons = ", ".join(f"{n} with {why}" for why, n in found.left_out.items()) or "none"
        raise EvaluationError(f"no usable video in {place} (left out: {reasons})")
    task: Task = "video_retrieval"
    if found.choices or found.pairs or found.yes_no:
        task = "video_order" if found.choices or found.pairs else "video_questions"
    return EvalDataset(
        layout=Layout(
            name=found.name,
            split=found.split,
            shards=(place,),
            classes=None,
            declared_task=task,
            one_per_line=False,
        ),
        task=task,
        images=found,  # pyright: ignore[reportArgumentType]  (cached properties are properties)
        labels=None,
        captions=None,
        revision=found.revision,
        num_skipped={why: count for why, count in found.left_out.items() if count},
        problems=(),
    )


def clips_of(dataset: EvalDataset) -> ClipSet | None:
    """The clips of a data set; None where it holds pictures."""
    return dataset.images if isinstance(dataset.images, ClipSet) else None


def cluster_numbers(clusters: Sequence[str]) -> Int64[np.ndarray, " clusters"]:
    """A number for each cluster, equal where the names are."""
    return np.unique(np.array(clusters, dtype=np.str_), return_inverse=True)[1].astype(np.int64)
