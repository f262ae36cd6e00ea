"""Questions that need the order of frames: options about a clip, and pairs of clips and sentences.

A question with options is answered by the text whose embedding is nearest to that of the clip. A
pair has two clips and two sentences that differ only in time, as in Vinoground (Zhang et al. 2024,
arXiv 2410.02763); ``eval.metrics.pair_scores`` says what its three scores are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float64

from data_pipelines.video.sampler import Sampler
from eval.capabilities import EMBEDS_CLIPS
from eval.contract import Embedder, EmbeddingModel
from eval.data.dataset import EvalDataset
from eval.data.rows import PICTURES
from eval.errors import EvaluationError
from eval.metrics.intervals import CLUSTERED, mean_score
from eval.metrics.pair_scores import (
    GROUP_CHANCE,
    TEXT_CHANCE,
    VIDEO_CHANCE,
    choice_hit,
    pair_scores,
)
from eval.results import EvalResult, Origin, PerUnit, Score, Settings
from eval.task_choices import TaskChoices
from eval.tasks import TaskFacts, registry
from eval.video.clip_set import ChoiceQuestion, ClipSet, clips_of, cluster_numbers
from eval.video.embedding import beside, embed_clips
from eval.video.options import VideoOptions
from eval.video.scored import Answered, rows_by_kind
from eval.video.task import VideoTask

_TITLES = {
    r"mean_pooled_accuracy": "mean-pooled image tower, accuracy",
    r"mean_pooled_accuracy_duration_(.+)": r"mean-pooled image tower, accuracy, videos: \1",
    r"mean_pooled_accuracy_(.+)": r"mean-pooled image tower, accuracy: \1",
    r"mean_pooled_(text|video|group)_score": r"mean-pooled image tower, \1 score",
    r"mean_pooled_(text|video|group)_score_(.+)": r"mean-pooled image tower, \1 score: \2",
    r"accuracy_duration_(.+)": r"accuracy, videos: \1",
    r"accuracy_(.+)": r"accuracy: \1",
    r"(text|video|group)_score_(.+)": r"\1 score: \2",
}


@registry.register("video_order")
@dataclass(frozen=True, kw_only=True, slots=True)
class VideoOrder(VideoTask):
    """Tell what happened from what would have shown the same frames.

    Scores: ``accuracy`` of questions with options, ``accuracy_KIND`` and, where the set has groups
    of videos by length, ``accuracy_duration_GROUP``; ``text_score``, ``video_score`` and
    ``group_score`` of pairs, by kind where there are no other questions; the same with
    ``mean_pooled_`` before them for the image tower alone, which is blind to order.
    Questions about videos that cannot be decoded are counted and in no score.

    Args:
        dataset: of videos with questions.
        options: sampler and what else concerns videos.
        num_frames: of a clip; None takes the model's own.
        named_frames: whether the name tells the number of frames.
        seed: of the intervals.
    """

    facts: ClassVar[TaskFacts] = TaskFacts(
        rows=PICTURES,
        demands=(EMBEDS_CLIPS,),
        options=VideoOptions,
        only_for=("video_order",),
        set_kind="videos",
        title="Order in videos",
        score_titles=_TITLES,
        headlines=("accuracy", "group_score"),
    )

    options: VideoOptions

    @staticmethod
    def missing(dataset: EvalDataset, choices: TaskChoices) -> str | None:
        """See ``TaskKind``."""
        found = clips_of(dataset)
        if found is None:
            return f"{dataset.title} holds no videos; give shards or a file of questions"
        if not found.choices and not found.pairs:
            if found.yes_no:
                return (
                    f"{dataset.title} asks for yes or no, which no similarity answers; use --task "
                    "video_questions with a model that answers in words"
                )
            return (
                f"no video of {dataset.title} has a false caption or options ('contrast' or "
                "'options' of json); use --task video_retrieval"
            )
        return None

    @classmethod
    def chosen(cls, choices: TaskChoices) -> dict[str, Any]:
        """See ``VideoTask``."""
        return {"options": choices.of(VideoOptions)}

    @property
    def name(self) -> str:
        """Of the task, with frames and token reduction where there are several."""
        return self.options.named("video_order", self.num_frames if self.named_frames else None)

    @property
    def _sampler(self) -> Sampler:
        return self.options.sampler_or("mirrored")

    def settings(self) -> Settings:
        """What the result depends on besides model and data."""
        return {
            "frames": self.num_frames,
            "sampler": self._sampler,
            "question": self.options.question,
            "seed": self.seed,
        } | self.options.changes()

    def run(self, model: EmbeddingModel, embedder: Embedder) -> EvalResult:
        """Embed videos and sentences, then compare.

        Raises:
            EvaluationError: no video of any question can be decoded.
        """
        found = clips_of(self.dataset)
        assert found is not None
        embedded = embed_clips(
            model,
            found,
            embedder,
            sampler=self._sampler,
            num_frames=self.num_frames,
            options=self.options,
        )
        place = {row: number for number, row in enumerate(embedded.rows.tolist())}
        texts = _Texts(found, self.options, model, embedder)
        clusters = cluster_numbers([clip.cluster or clip.key for clip in found.clips])
        by_tower: dict[str, dict[str, Score]] = {}
        chance: dict[str, float] = {}
        per_unit: dict[str, PerUnit] = {}
        for prefix, embeds in embedded.towers.items():
            own = embeds.double().numpy()
            by_tower[prefix] = {}
            answered = _choices(found, own, place, texts) | _pairs(found, own, place, texts)
            for name, one in answered.items():
                with_kinds = name == "accuracy" or not found.choices
                for full, rows in rows_by_kind(name, one, with_kinds=with_kinds).items():
                    by_tower[prefix][full] = mean_score(
                        one.hits[rows], clusters[one.clips[rows]], seed=self.seed
                    )
                    chance[f"{prefix}{full}"] = float(one.chance[rows].mean())
                per_unit[f"{prefix}{name}"] = PerUnit.pack(one.hits, one.clips)
        scores = beside(by_tower, first=("accuracy", "text_score", "video_score", "group_score"))
        if not scores:
            raise EvaluationError(
                f"no video of any question of {self.dataset.title} can be decoded"
            )
        broken = len(found) - len(embedded.rows)
        left_out = dict(self.dataset.num_skipped)
        left_out |= {"video cannot be decoded": broken} if broken else {}
        return EvalResult(
            benchmark=self.name,
            family="video",
            dataset=self.dataset.name,
            split=self.dataset.split,
            model=model.name,
            scores=scores,
            chance=chance,
            num_samples=len(embedded.rows),
            num_skipped=sum(left_out.values()),
            origin=Origin(seed=self.seed, data_revision=self.dataset.revision, interval=CLUSTERED),
            details=self.settings()
            | embedded.told
            | {
                "questions": len(found.choices),
                "questions_left_out": sum(q.clip not in place for q in found.choices),
                "pairs": len(found.pairs),
                "pairs_left_out": sum(not _is_there(q.clips, place) for q in found.pairs),
                "ties": "expected value over random orders",
            }
            | dict(found.remarks)
            | self.dataset.remarks(left_out),
            per_unit=per_unit,
        )


class _Texts:
    """Embeddings of every option and sentence, equal ones once."""

    def __init__(
        self, found: ClipSet, options: VideoOptions, model: EmbeddingModel, embedder: Embedder
    ) -> None:
        self._with_question = options.question == "always"
        told = [text for question in found.choices for text in self.of_options(question)]
        told += [text for pair in found.pairs for text in pair.texts]
        distinct = list(dict.fromkeys(told))
        embeds = embedder.texts(model, distinct).double().cpu().numpy()
        self._embeds = dict(zip(distinct, embeds, strict=True))

    def of_options(self, question: ChoiceQuestion) -> list[str]:
        """What is compared with the clip for each option."""
        before = f"{question.question} " if question.question and self._with_question else ""
        return [f"{before}{option}" for option in question.options]

    def embeds(self, texts: Sequence[str]) -> Float64[np.ndarray, "texts embed_dim"]:
        """One row a text."""
        return np.stack([self._embeds[text] for text in texts])


def _choices(
    found: ClipSet, embeds: np.ndarray, place: dict[int, int], texts: _Texts
) -> dict[str, Answered]:
    asked = [question for question in found.choices if question.clip in place]
    if not asked:
        return {}
    hits = []
    for question in asked:
        options = texts.embeds(texts.of_options(question))
        # Summed one by one: a matrix product may round equal rows differently.
        cosines = (options * embeds[place[question.clip]]).sum(axis=1)
        hits.append(choice_hit(cosines, question.answer))
    return {
        "accuracy": Answered(
            np.array(hits),
            np.array([question.clip for question in asked]),
            tuple((question.kind,) for question in asked),
            np.array([1 / len(question.options) for question in asked]),
            tuple(question.group for question in asked),
        )
    }


def _pairs(
    found: ClipSet, embeds: np.ndarray, place: dict[int, int], texts: _Texts
) -> dict[str, Answered]:
    asked = [pair for pair in found.pairs if _is_there(pair.clips, place)]
    if not asked:
        return {}
    clips = np.stack([embeds[[place[clip] for clip in pair.clips]] for pair in asked])
    said = np.stack([texts.embeds(pair.texts) for pair in asked])
    right = pair_scores((clips[:, :, None] * said[:, None]).sum(axis=-1))
    levels = {"text": TEXT_CHANCE, "video": VIDEO_CHANCE, "group": GROUP_CHANCE}
    return {
        f"{name}_score": Answered(
            hits,
            np.array([pair.clips[0] for pair in asked]),
            tuple(pair.kinds for pair in asked),
            np.full(len(asked), levels[name]),
        )
        for name, hits in right._asdict().items()
    }


def _is_there(clips: Sequence[int], place: dict[int, int]) -> bool:
    return all(clip in place for clip in clips)
