"""OmniBench in ``vlsuite eval``: models that respond are asked, models that embed score by cosines.

A CLIP, with a sound model beside it, answers as the dual encoder. The log of a model that is asked
lies in the store of embeddings; its answers are read by the project's own parser.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from eval.capabilities import EMBEDS_OR_RESPONDS
from eval.contract import Benchmark, Embedder, EmbeddingModel, Model, Need
from eval.data.dataset import EvalDataset
from eval.data.rows import PICTURES
from eval.errors import EvaluationError
from eval.omnibench.dataset import QuestionImages, in_setting
from eval.omnibench.kept_answers import Responses, answers
from eval.omnibench.outcomes import outcomes_of
from eval.omnibench.question_set import QuestionSet
from eval.respondents.contract import respondent_of
from eval.respondents.question import SETTINGS, Setting, prompted
from eval.results import EvalResult, Settings
from eval.task_choices import TaskChoices, task_options
from eval.tasks import NOT_OF_CLASSES, TaskFacts, registry

if TYPE_CHECKING:
    from eval.respondents.dual_encoder import DualEncoder


@task_options.register("omnibench")
@dataclass(frozen=True, kw_only=True, slots=True)
class OmniBenchOptions:
    """Choices of OmniBench; all but the settings concern models that embed.

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
    """Questions about a picture and a sound with options: asked, or by cosines as a floor.

    Args:
        dataset: the questions, its split the setting.
        options: the sound model and how the parts are put together.
        seed: of the bootstrap.
    """

    facts: ClassVar[TaskFacts] = TaskFacts(
        rows=PICTURES,
        demands=(EMBEDS_OR_RESPONDS,),
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
        shown = self._setting.image == "raw"
        return (Need(self.dataset),) if shown else ()

    def model_lacks(self, model: Model) -> str | None:
        """See ``Demanding``: a CLIP hears nothing."""
        setting = self._setting
        if setting.audio == "raw" and isinstance(model, EmbeddingModel) and not self._has_sound:
            return (
                f"setting {setting.name} has sound in it; give --set omnibench.audio_model=RUN "
                "(trained on 'vlsuite data sounds') or clap:NAME, or --set omnibench.settings=image"
            )
        return None

    def run(self, model: Model, embedder: Embedder) -> EvalResult:
        """Ask every question, or score its options.

        Raises:
            EvaluationError: the sound model cannot be loaded, or a question is left unanswered.
            ModelError: the same.
        """
        from eval.omnibench.parsers.registry import parsers
        from eval.omnibench.results import result_of
        from eval.omnibench.scoring import DEFAULT_PARSER, score_outcomes

        questions, name = self._found.questions, self._setting.name
        respondent = respondent_of(model, questions)
        if respondent is not None:
            responses = answers(model, respondent, self._found, self._setting, embedder)
            parser, parse = DEFAULT_PARSER, parsers.get(DEFAULT_PARSER)
        else:
            responses = self._by_cosines(model, embedder)
            parser, parse = "none", _never
        outcomes = outcomes_of(questions, responses, setting=name, parse=parse)
        scores = score_outcomes(outcomes, setting=name, parser=parser, seed=self.seed)
        return result_of(
            scores,
            model=model.name,
            dataset=self.dataset.name,
            revision=self.dataset.revision,
            seed=self.seed,
            environment={},
            details=self.settings() | self.dataset.remarks(self.dataset.left_out(0)),
        )

    @property
    def _found(self) -> QuestionSet:
        assert isinstance(self.dataset.images, QuestionImages)
        return self.dataset.images.found

    @property
    def _setting(self) -> Setting:
        return SETTINGS[self.dataset.split]

    @property
    def _has_sound(self) -> bool:
        return bool(self.options.audio_model)

    def _by_cosines(self, model: Model, embedder: Embedder) -> Responses:
        if not isinstance(model, EmbeddingModel):
            raise EvaluationError(f"model {model.name} cannot be asked; leave omnibench out")
        questions = self._found.questions
        encoder = self._encoder(model)
        if self.needs():
            images = embedder.images(model, self.dataset)
            for row, embed in zip(images.rows.tolist(), images.embeds, strict=True):
                encoder.remember_picture(questions[row].image, embed)
        asked = [prompted(question, self._setting) for question in questions]
        return {(r.index, r.setting): r for r in encoder.respond(asked)}

    def _encoder(self, model: EmbeddingModel) -> "DualEncoder":
        from eval.respondents.dual_encoder import DualConfig, DualEncoder
        from eval.respondents.sound_models import load_sound_model

        options = self.options
        has_sound = self._setting.audio != "none" and self._has_sound
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
