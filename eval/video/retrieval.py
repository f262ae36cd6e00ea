"""Text-video retrieval in both directions, ties broken at random in expectation.

Definitions of Frozen in Time's evaluation (Bain et al. 2021, arXiv 2104.00650, section 4.2) with
two departures. Its published code places a right video ahead of all that tie with it, so constant
embeddings reach 100 %; here they reach chance. And it selects the checkpoint on the list that it
reports; here nothing is selected.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from data_pipelines.video.sampler import Sampler
from eval.capabilities import EMBEDS_CLIPS
from eval.contract import Embedder, EmbeddingModel
from eval.data.dataset import EvalDataset
from eval.data.rows import PICTURES
from eval.metrics.chance import chance_of_any_own
from eval.metrics.effective_trials import no_limits
from eval.metrics.expected_ranking import LevelEntries, level_entries
from eval.metrics.intervals import CLUSTERED, mean_score, scored
from eval.metrics.resampling import image_weights, resampled_limits
from eval.results import EvalResult, Example, Origin, PerUnit, Score, Settings
from eval.task_choices import TaskChoices
from eval.tasks import TaskFacts, registry
from eval.video.clip_set import ClipSet, clips_of, cluster_numbers
from eval.video.embedding import ClipEmbeddings, beside, embed_clips
from eval.video.examples import best_and_worst
from eval.video.options import VideoOptions
from eval.video.task import VideoTask

RECALL_AT = (1, 5, 10)

_TITLES = {
    r"mean_pooled_(text_to_video|video_to_text)_recall_at_(\d+)": (
        r"mean-pooled image tower, \1 R@\2"
    ),
    r"mean_pooled_(text_to_video|video_to_text)_(.+)": r"mean-pooled image tower, \1 \2",
}


class _Captions(NamedTuple):
    """All captions of the clips that could be decoded.

    Attributes:
        texts: each its own query.
        owners: number of its clip among the embedded ones.
        clip_clusters: of each embedded clip.
    """

    texts: list[str]
    owners: Int64[np.ndarray, " captions"]
    clip_clusters: Int64[np.ndarray, " clips"]


@registry.register("video_retrieval")
@dataclass(frozen=True, kw_only=True, slots=True)
class VideoRetrieval(VideoTask):
    """Find the video of a caption, and a caption of a video.

    Scores: text_to_video_recall_at_k, video_to_text_recall_at_k for k = 1, 5, 10 and the median
    ranks; the same with ``mean_pooled_`` before them for the image tower alone, wherever the model
    has a way of its own with clips. Every caption is a query of its own; videos without captions
    and videos that cannot be decoded are counted, and in no gallery.

    Args:
        dataset: of videos with captions.
        options: sampler and what else concerns videos.
        num_frames: of a clip; None takes the model's own.
        named_frames: whether the name tells the number of frames.
        captions_per_video: use the first so many; None uses all.
        num_examples: captions kept for the report, with the videos they find.
        seed: of the intervals.
    """

    facts: ClassVar[TaskFacts] = TaskFacts(
        rows=PICTURES,
        demands=(EMBEDS_CLIPS,),
        uses=("captions_per_image",),
        options=VideoOptions,
        only_for=("video_retrieval", "video_order"),
        set_kind="videos",
        title="Text-video retrieval",
        score_titles=_TITLES,
        headlines=("text_to_video_recall_at_1", "video_to_text_recall_at_1"),
    )

    options: VideoOptions
    captions_per_video: int | None = None
    num_examples: int = 0

    @staticmethod
    def missing(dataset: EvalDataset, choices: TaskChoices) -> str | None:
        """See ``TaskKind``."""
        found = clips_of(dataset)
        if found is None:
            return f"{dataset.title} holds no videos; give shards or a list of videos"
        if not any(clip.captions for clip in found.clips):
            return f"no video of {dataset.title} has a caption; use --task video_order"
        return None

    @classmethod
    def chosen(cls, choices: TaskChoices) -> dict[str, Any]:
        """See ``VideoTask``."""
        return {
            "options": choices.of(VideoOptions),
            "captions_per_video": choices.captions_per_image,
            "num_examples": choices.num_examples,
        }

    @property
    def name(self) -> str:
        """Of the task, with frames and token reduction where there are several."""
        return self.options.named("video_retrieval", self.num_frames if self.named_frames else None)

    @property
    def _sampler(self) -> Sampler:
        return self.options.sampler_or("segments")

    def settings(self) -> Settings:
        """What the result depends on besides model and data."""
        return {
            "frames": self.num_frames,
            "sampler": self._sampler,
            "captions_per_video": self.captions_per_video,
            "num_examples": self.num_examples,
            "seed": self.seed,
        } | self.options.changes()

    def run(self, model: EmbeddingModel, embedder: Embedder) -> EvalResult:
        """Embed videos and captions, then rank each against the other."""
        found = _captioned(self.dataset)
        embedded = embed_clips(
            model,
            found,
            embedder,
            sampler=self._sampler,
            num_frames=self.num_frames,
            options=self.options,
        )
        captions = _captions(found, embedded, self.captions_per_video)
        texts = embedder.texts(model, captions.texts).to(model.device)
        by_tower: dict[str, dict[str, Score]] = {}
        per_unit: dict[str, PerUnit] = {}
        examples: tuple[Example, ...] = ()
        for prefix, embeds in embedded.towers.items():
            own = _ranked(embeds.to(model.device), texts, captions.owners)
            by_tower[prefix] = _scores(own, captions, seed=self.seed)
            per_unit |= _per_unit(prefix, own, captions, embedded.rows)
            if not prefix:
                examples = best_and_worst(
                    captions.texts,
                    texts,
                    [found.clips[row] for row in embedded.rows.tolist()],
                    embeds.to(model.device),
                    captions.owners,
                    ranks=own.text_to_video.ranks(),
                    count=self.num_examples,
                    seed=self.seed,
                )
        left_out = dict(self.dataset.num_skipped)
        without = sum(not clip.captions for clip in _all_clips(self.dataset).clips)
        broken = len(found) - len(embedded.rows)
        left_out |= {"no caption": without} if without else {}
        left_out |= {"video cannot be decoded": broken} if broken else {}
        return EvalResult(
            benchmark=self.name,
            family="video",
            dataset=self.dataset.name,
            split=self.dataset.split,
            model=model.name,
            scores=beside(by_tower),
            chance=_chance(captions.owners, list(embedded.towers)),
            num_samples=len(embedded.rows),
            num_skipped=sum(left_out.values()),
            origin=Origin(seed=self.seed, data_revision=self.dataset.revision, interval=CLUSTERED),
            details=self.settings()
            | embedded.told
            | {
                "num_captions": len(captions.texts),
                "num_repeated_captions": len(captions.texts) - len(set(captions.texts)),
                "ties": "expected value over random orders",
            }
            | self.dataset.remarks(left_out),
            examples=examples,
            per_unit=per_unit,
        )


def _all_clips(dataset: EvalDataset) -> ClipSet:
    found = clips_of(dataset)
    assert found is not None
    return found


def _captioned(dataset: EvalDataset) -> ClipSet:
    """The clips with captions alone."""
    found = _all_clips(dataset)
    kept = tuple(clip for clip in found.clips if clip.captions)
    if len(kept) == len(found):
        return found
    return ClipSet(name=found.name, split=found.split, clips=kept)


def _captions(found: ClipSet, embedded: ClipEmbeddings, most: int | None) -> _Captions:
    clips = [found.clips[row] for row in embedded.rows.tolist()]
    own = [clip.captions[:most] for clip in clips]
    return _Captions(
        [text for group in own for text in group],
        np.repeat(np.arange(len(own)), [len(group) for group in own]),
        cluster_numbers([clip.cluster or clip.key for clip in clips]),
    )


class _Ranked(NamedTuple):
    text_to_video: LevelEntries
    video_to_text: LevelEntries


def _ranked(videos: Tensor, texts: Tensor, owners: Int64[np.ndarray, " captions"]) -> _Ranked:
    groups = torch.from_numpy(owners)
    numbers = torch.arange(len(videos))
    return _Ranked(
        level_entries(texts, videos, groups, numbers),
        level_entries(videos, texts, numbers, groups),
    )


def _scores(own: _Ranked, captions: _Captions, *, seed: int) -> dict[str, Score]:
    clusters = {
        "text_to_video": captions.clip_clusters[captions.owners],
        "video_to_text": captions.clip_clusters,
    }
    gallery = {
        "text_to_video": len(captions.clip_clusters),
        "video_to_text": len(captions.texts),
    }
    scores = {}
    for direction, entries in own._asdict().items():
        for k in RECALL_AT:
            scores[f"{direction}_recall_at_{k}"] = mean_score(
                entries.hits(k), clusters[direction], seed=seed
            )
        scores[f"{direction}_median_rank"] = median_rank(
            entries.ranks(), clusters[direction], gallery=gallery[direction], seed=seed
        )
    return scores


def median_rank(
    ranks: Float64[np.ndarray, " queries"],
    clusters: Int64[np.ndarray, " queries"],
    *,
    gallery: int,
    seed: int,
) -> Score:
    """Median of the ranks, with a bootstrap over clusters.

    Args:
        ranks: 1 being the top; no whole numbers where there are ties.
        clusters: number of the cluster of each rank.
        gallery: entries that are ranked.
        seed: of the draws.
    """
    numbers, places = np.unique(clusters, return_inverse=True)
    value, count = float(np.median(ranks)), len(numbers)
    if count < 2:
        limits = no_limits("one cluster of videos")
    else:
        order = np.argsort(ranks, kind="stable")
        resampled = np.array(
            [
                _weighted_median(ranks[order], weights[places[order]])
                for weights in image_weights(count, seed=seed)
            ]
        )
        bounds = (1.0, float(gallery))
        limits = resampled_limits(value, resampled, units=float(count), bounds=bounds)
    return scored(value, limits, len(ranks), unit="number", lower_is_better=True)


def _weighted_median(
    ranks: Float64[np.ndarray, " queries"], weights: Int64[np.ndarray, " queries"]
) -> float:
    """Median of ascending ranks that occur as often as their weights say."""
    ends = np.cumsum(weights)
    total = int(ends[-1])
    if not total:
        return float(np.median(ranks))
    middle = np.searchsorted(ends, [(total - 1) // 2, total // 2], side="right")
    return float(ranks[middle].mean())


def _per_unit(
    prefix: str, own: _Ranked, captions: _Captions, rows: Int64[np.ndarray, " clips"]
) -> dict[str, PerUnit]:
    owners = {"text_to_video": rows[captions.owners], "video_to_text": rows}
    return {
        f"{prefix}{direction}_recall_at_{k}": PerUnit.pack(entries.hits(k), owners[direction])
        for direction, entries in own._asdict().items()
        for k in RECALL_AT
    }


def _chance(owners: Int64[np.ndarray, " captions"], prefixes: Sequence[str]) -> dict[str, float]:
    own_counts = np.bincount(owners)
    one = np.ones(1, dtype=np.int64)
    levels = {}
    for prefix in prefixes:
        for k in RECALL_AT:
            levels[f"{prefix}text_to_video_recall_at_{k}"] = chance_of_any_own(
                one, gallery_size=len(own_counts), k=k
            )
            levels[f"{prefix}video_to_text_recall_at_{k}"] = chance_of_any_own(
                own_counts, gallery_size=len(owners), k=k
            )
    return levels
