"""OmniBench in ``vlsuite eval``: a CLIP with a sound model beside it, as the dual encoder."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from eval.contract import Benchmark, Embedder, EmbeddingModel, Need
from eval.data.dataset import EvalDataset
from eval.data.rows import PICTURES
from eval.errors import EvaluationError
from eval.omnibench.dataset import QuestionImages, in_setting
from eval.omnibench.outcomes import outcomes_of
from eval.respondents.question import SETTINGS, prompted
from eval.results import EvalResult, Settings
from eval.task_choices import TaskChoices, task_options
from eval.tasks import NOT_OF_CLASSES, TaskFacts, registry

if TYPE_CHECKING:
    from eval.respondents.dual_encoder import DualEncoder


@task_options.register("omnibench")
@dataclass(frozen=True, kw_only=True, slots=True)
class OmniBenchOptions:
    """Choices of OmniBench by dual encoder.

    Attributes:
        audio_model: run trained on 'vlsuite data sounds', or "clap:" and a folder or hub name.
        sentence_model: sentence encoder that compares texts; empty takes the text towers.
        settings: names of settings, or "all".
        question: whether the question stands before each option: "never", "fits" (where the text
            tower has room), "always".
        weights: of the picture's, the sound's and the texts' terms.
    """

    audio_model: str = ""
    sentence_model: str = ""
    settings: tuple[str, ...] = ("image_audio",)
    question: Literal["never", "fits", "always"] = "fits"
    weights: tuple[float, ...] = (1.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        if len(self.weights) != 3 or min(self.weights) < 0:
            raise EvaluationError("omnibench.weights are three numbers, none negative")


@registry.register("omnibench")
@dataclass(frozen=True, kw_only=True, slots=True)
class OmniBench:
    """Four-way questions about a picture and a sound, by cosines: a floor, not a contender.

    Args:
        dataset: the questions, its split the setting.
        options: the sound model and how the parts are put together.
        seed: of the bootstrap.
    """

    facts: ClassVar[TaskFacts] = TaskFacts(
        rows=PICTURES,
        options=OmniBenchOptions,
        only_for=NOT_OF_CLASSES,
        set_kind="omnibench",
        title="OmniBench",
        headlines=("accuracy",),
    )

    dataset: EvalDataset
    options: OmniBenchOptions
    seed: int = 0

    @staticmethod
    def missing(dataset: EvalDataset, choices: TaskChoices) -> str | None:
        """See ``TaskKind``."""
        if not isinstance(dataset.images, QuestionImages):
            return f"{dataset.title} is no OmniBench folder (dataset/*.jsonl with mm_data)"
        options = choices.of(OmniBenchOptions)
        unknown = [name for name in options.settings if name not in (*SETTINGS, "all")]
        if unknown or not options.settings:
            return (
                f"omnibench.settings is {','.join(options.settings) or 'empty'}; "
                f"choose from all, {', '.join(SETTINGS)}"
            )
        needs_sound = [name for name in _names(options) if SETTINGS[name].audio == "raw"]
        if needs_sound and not options.audio_model:
            return (
                f"setting {needs_sound[0]} has sound in it; give --set omnibench.audio_model=RUN "
                "(trained on 'vlsuite data sounds') or clap:NAME, or --set omnibench.settings=image"
            )
        return None

    @classmethod
    def build(cls, dataset: EvalDataset, choices: TaskChoices) -> Benchmark:
        """The first setting asked for; see ``TaskKind``.

        Raises:
            EvaluationError: what ``missing`` says.
        """
        return cls.build_each(dataset, choices)[0]

    @classmethod
    def build_each(cls, dataset: EvalDataset, choices: TaskChoices) -> Sequence[Benchmark]:
        """One benchmark a setting.

        Raises:
            EvaluationError: what ``missing`` says.
        """
        if (lack := cls.missing(dataset, choices)) is not None:
            raise EvaluationError(lack)
        options, seed = choices.of(OmniBenchOptions), choices.seed
        return [
            cls(dataset=in_setting(dataset, name), options=options, seed=seed)
            for name in _names(options)
        ]

    @property
    def name(self) -> str:
        """Of the task."""
        return "omnibench"

    def settings(self) -> Settings:
        """What the result depends on besides model and data."""
        options = self.options
        return {
            "setting": self.dataset.split,
            "audio_model": options.audio_model,
            "sentence_model": options.sentence_model,
            "question": options.question,
            "weights": list(options.weights),
            "seed": self.seed,
        }

    def needs(self) -> tuple[Need, ...]:
        """Every picture as it is, where the setting shows it."""
        shown = SETTINGS[self.dataset.split].image == "raw"
        return (Need(self.dataset),) if shown else ()

    def run(self, model: EmbeddingModel, embedder: Embedder) -> EvalResult:
        """Score the options of every question.

        Raises:
            EvaluationError: the sound model cannot be loaded.
            ModelError: the same.
        """
        from eval.omnibench.results import result_of
        from eval.omnibench.scoring import score_outcomes

        assert isinstance(self.dataset.images, QuestionImages)
        questions = self.dataset.images.found.questions
        setting = SETTINGS[self.dataset.split]
        encoder = self._encoder(model)
        if self.needs():
            images = embedder.images(model, self.dataset)
            for row, embed in zip(images.rows.tolist(), images.embeds, strict=True):
                encoder.remember_picture(questions[row].image, embed)
        asked = [prompted(question, setting) for question in questions]
        responses = {(r.index, r.setting): r for r in encoder.respond(asked)}
        outcomes = outcomes_of(questions, responses, setting=setting.name, parse=_never)
        scores = score_outcomes(outcomes, setting=setting.name, parser="none", seed=self.seed)
        return result_of(
            scores,
            model=model.name,
            dataset=self.dataset.name,
            revision=self.dataset.revision,
            seed=self.seed,
            environment={},
            details=self.settings() | self.dataset.remarks(self.dataset.left_out(0)),
        )

    def _encoder(self, model: EmbeddingModel) -> "DualEncoder":
        from eval.respondents.dual_encoder import DualConfig, DualEncoder
        from eval.respondents.sound_models import load_sound_model

        options = self.options
        has_sound = SETTINGS[self.dataset.split].audio != "none" and options.audio_model
        similarity = None
        if options.sentence_model:
            from eval.hub.similarity import load_similarity

            similarity = load_similarity(options.sentence_model, device=str(model.device))
        image, audio, text = options.weights
        return DualEncoder(
            model,
            load_sound_model(options.audio_model, device=model.device) if has_sound else None,
            sentences=similarity,
            sentences_name=options.sentence_model,
            config=DualConfig(
                image_weight=image, audio_weight=audio, text_weight=text, question=options.question
            ),
        )


def _names(options: OmniBenchOptions) -> list[str]:
    """Settings asked for, in the order of the benchmark."""
    return [name for name in SETTINGS if "all" in options.settings or name in options.settings]


def _never(text: str, options: Sequence[str]) -> int | None:
    """Scores need no parsing."""
    return None
