"""Questions about videos, answered in words: options by letter, yes and no, pairs of clips.

Where ``video_order`` compares embeddings, this asks: a model behind an endpoint, one of
transformers, or one of ours that answers. What is asked is in ``eval.video.wording``, how an answer
is read in ``eval.respondents.outcome``; one that cannot be read counts as wrong and is counted
apart.
"""

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from data_pipelines.printable import printable
from data_pipelines.schema import JsonValue
from data_pipelines.video.sampler import FrameSampling, Sampler
from eval.capabilities import ANSWERS_CLIPS
from eval.contract import Embedder, Model
from eval.data.dataset import EvalDataset
from eval.data.rows import PICTURES
from eval.errors import EvaluationError
from eval.metrics.intervals import CLUSTERED, mean_score
from eval.process_group import ranks
from eval.respondents.outcome import Kind
from eval.results import EvalResult, Origin, PerUnit, Score, Settings
from eval.task_choices import TaskChoices
from eval.tasks import TaskFacts, registry
from eval.video.answered_scores import Marked, broken_clips, by_score, marked, remarks
from eval.video.asking_options import AskingOptions
from eval.video.clip_set import ClipSet, clips_of, cluster_numbers
from eval.video.kept_answers import answers
from eval.video.options import VideoOptions
from eval.video.packed import PackedFrames
from eval.video.reduction import as_reduced
from eval.video.scored import rows_by_kind
from eval.video.showing import MODEL, asker_of, frames_of
from eval.video.task import VideoTask
from eval.video.wording import worded_set

_TITLES = {
    r"accuracy_answered": "accuracy among answers that could be read",
    r"accuracy_duration_(.+)": r"accuracy, videos: \1",
    r"accuracy_(.+)": r"accuracy: \1",
    r"(text|video|group)_score_(.+)": r"\1 score: \2",
}


@registry.register("video_questions")
@dataclass(frozen=True, kw_only=True, slots=True)
class VideoQuestions(VideoTask):
    """Questions about videos, asked of a model that answers in words.

    Scores: ``accuracy`` of questions with options or of yes and no, by kind and by length of the
    video as in ``video_order``; ``accuracy_answered`` of those whose answer could be read;
    ``text_score``, ``video_score`` and ``group_score`` of pairs, by kind where there are no other
    questions. Questions about videos that cannot be decoded are counted and in no score.

    Args:
        dataset: of videos with questions.
        options: of asking.
        video: frames, sampler and what else concerns videos.
        num_frames: of a clip; None takes the model's own.
        named_frames: whether the name tells the number of frames.
        num_examples: answers kept in the result.
        seed: of the intervals.
    """

    facts: ClassVar[TaskFacts] = TaskFacts(
        rows=PICTURES,
        demands=(ANSWERS_CLIPS,),
        options=AskingOptions,
        heeds=(VideoOptions,),
        only_for=("video_order", "video_questions"),
        set_kind="videos",
        title="Questions about videos",
        score_titles=_TITLES,
        headlines=("accuracy", "group_score"),
    )

    options: AskingOptions
    video: VideoOptions
    num_examples: int = 0

    @staticmethod
    def missing(dataset: EvalDataset, choices: TaskChoices) -> str | None:
        """See ``TaskKind``."""
        found = clips_of(dataset)
        if found is None:
            return f"{dataset.title} holds no videos; give shards or a file of questions"
        if any(isinstance(clip.source, PackedFrames) for clip in found.clips):
            return (
                f"clips of {dataset.title} are stored as frames without their times; give the "
                "videos themselves"
            )
        if not found.choices and not found.pairs and not found.yes_no:
            return (
                f"no video of {dataset.title} has a question ('contrast' or 'options' of json); "
                "use --task video_retrieval"
            )
        return None

    @classmethod
    def chosen(cls, choices: TaskChoices) -> dict[str, Any]:
        """See ``VideoTask``."""
        return {
            "options": choices.of(AskingOptions),
            "video": choices.of(VideoOptions),
            "num_examples": choices.num_examples,
        }

    @property
    def name(self) -> str:
        """Of the task, with the number of frames where there are several."""
        if self.named_frames:
            return f"video_questions:{self.num_frames}_frames"
        return "video_questions"

    @property
    def _sampler(self) -> Sampler:
        return self.video.sampler_or("mirrored")

    def settings(self) -> Settings:
        """What the result depends on besides model and data."""
        return {
            "frames": self.num_frames,
            "sampler": self._sampler,
            "max_tokens": self.options.max_tokens,
            "jpeg_quality": self.options.quality,
            "num_examples": self.num_examples,
            "seed": self.seed,
        } | self.video.reduction()

    def run(self, model: Model, embedder: Embedder) -> EvalResult:
        """Ask every question and read the answers; processes share the questions.

        Raises:
            EvaluationError: the model answers no questions about videos, or no video of any
                question can be decoded.
            UnansweredError: a question is left without an answer; what was answered is kept.
        """
        found = clips_of(self.dataset)
        assert found is not None
        model = as_reduced(model, self.video)
        frames = frames_of(model) if self.num_frames is None else self.num_frames
        sampling = FrameSampling(sampler=self._sampler, num_frames=frames)
        asker = asker_of(model, sampling, self.options, self.video)
        questions = worded_set(found)
        told: Settings = {"sampling": dict[str, JsonValue](sampling.to_json()), **asker.told()}
        responses, costs = answers(
            model,
            asker,
            found,
            questions,
            embedder,
            num_frames=frames,
            video=self.video,
            told=told,
        )
        marks = marked(questions, responses)
        of_model = costs.told({MODEL: model}, frames, {MODEL: "model"})
        cost: Settings = {"cost": of_model} if of_model else {}
        scores, chance, per_unit = self._scores(found, marks)
        if not scores:
            raise EvaluationError(
                f"no video of any question of {self.dataset.title} can be decoded"
            )
        _warn_of_cut(model, marks)
        asked = {number for question in questions for number in question.clips}
        broken = broken_clips(marks)
        left_out = dict(self.dataset.num_skipped)
        left_out |= {"video cannot be decoded": len(broken)} if broken else {}
        single = len(found.choices) + len(found.yes_no)
        return EvalResult(
            benchmark=self.name,
            family="video",
            dataset=self.dataset.name,
            split=self.dataset.split,
            model=model.name,
            scores=scores,
            chance=chance,
            num_samples=len(asked - broken),
            num_skipped=sum(left_out.values()),
            origin=Origin(seed=self.seed, data_revision=self.dataset.revision, interval=CLUSTERED),
            details=self.settings()
            | told
            | {
                "questions": single,
                "questions_left_out": sum(not mark.is_shown for mark in marks[:single]),
                "pairs": len(found.pairs),
                "pairs_left_out": sum(not broken.isdisjoint(pair.clips) for pair in found.pairs),
            }
            | cost
            | remarks(marks, num_examples=self.num_examples)
            | dict(found.remarks)
            | self.dataset.remarks(left_out),
            per_unit=per_unit,
        )

    def _scores(
        self, found: ClipSet, marks: Sequence[Marked]
    ) -> tuple[dict[str, Score], dict[str, float], dict[str, PerUnit]]:
        clusters = cluster_numbers([clip.cluster or clip.key for clip in found.clips])
        scores: dict[str, Score] = {}
        chance: dict[str, float] = {}
        per_unit: dict[str, PerUnit] = {}
        for name, one in by_score(found, marks).items():
            with_kinds = name == "accuracy" or not (found.choices or found.yes_no)
            for full, rows in rows_by_kind(name, one, with_kinds=with_kinds).items():
                own = clusters[one.clips[rows]]
                scores[full] = mean_score(one.hits[rows], own, seed=self.seed)
                chance[full] = float(one.chance[rows].mean())
            per_unit[name] = PerUnit.pack(one.hits, one.clips)
        return scores, chance, per_unit


def _warn_of_cut(model: Model, marks: Sequence[Marked]) -> None:
    """Say what counts as wrong though the model may know it."""
    if ranks().rank:
        return
    counts = Counter(mark.reading.kind for mark in marks)
    told = [f"{counts[kind]} {words}" for kind, words in _NO_ANSWER.items() if counts[kind]]
    if told:
        line = f"warning: of {len(marks)} answers of {model.name} {', '.join(told)}; they are wrong"
        print(printable(line), file=sys.stderr)


_NO_ANSWER: dict[Kind, str] = {
    "cut": "were cut before they answered (raise video_questions.max_tokens)",
    "refused": "were refused by the endpoint (does it take that many pictures?)",
    "unparsed": "choose no option, or several",
    "unanswered": "are empty",
    "filtered": "were withheld by a filter",
    "declined": "were declined",
}
