"""What a user can choose about evaluation tasks; each task takes what concerns it.

``vlsuite eval --set corruptions.severities=1,3,5`` changes a field here.
"""

from dataclasses import dataclass, field
from typing import Literal

from eval.data.dataset import EvalDataset
from eval.errors import EvaluationError


@dataclass(frozen=True, kw_only=True, slots=True)
class CorruptionOptions:
    """Choices of the corruption tasks.

    Attributes:
        kinds: names of corruptions, or "all" for the 15, "extra" for the other 4.
        severities: some of 1 to 5.
        constants: "imagenet-c" (224 px frames), "cifar-c" (32 px), or "auto" by picture size.
        frost_dir: folder with the six frost pictures of ImageNet-C; empty draws our own.
        max_images: use a seeded choice of so many images; 0 uses all.
    """

    kinds: tuple[str, ...] = ("all", "extra")
    severities: tuple[int, ...] = (1, 2, 3, 4, 5)
    constants: str = "auto"
    frost_dir: str = ""
    max_images: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class PerturbationOptions:
    """Choices of the ImageNet-P style sequences.

    Attributes:
        kinds: names of perturbations, or "all".
        num_frames: pictures in a sequence, the clean one included.
        max_images: use a seeded choice of so many images; 0 uses all.
    """

    kinds: tuple[str, ...] = ("all",)
    num_frames: int = 10
    max_images: int = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class TranslationOptions:
    """Choices of the translation and rescaling task.

    Attributes:
        rics_side: side in pixels of the picture that RICS chooses its crop from, as a multiple
            of the model's input.
        max_images: use a seeded choice of so many images; 0 uses all.
    """

    rics_side: float = 1.125
    max_images: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class AttackOptions:
    """Choices of the adversarial task.

    Attributes:
        kind: "apgd-ce", "apgd" (cross-entropy, then targeted) or "autoattack".
        eps: largest change of a pixel, in 255ths.
        steps: of each APGD run.
        max_images: use a seeded choice of so many images; 0 uses all.
    """

    kind: str = "apgd"
    eps: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0)
    steps: int = 100
    max_images: int = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class OodOptions:
    """Choices of out-of-distribution detection.

    Attributes:
        template: the one prompt of MCM.
        neighbour: k of the kNN score.
    """

    template: str = "a photo of a {c}"
    neighbour: int = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class CaptioningOptions:
    """Choices of the captioning task.

    Attributes:
        max_tokens: longest caption, in the model's own tokens.
        num_beams: of beam search; 1 is greedy.
        prompt: text before every caption; empty gives none.
        max_images: use a seeded choice of so many images; 0 uses all.
    """

    max_tokens: int = 30
    num_beams: int = 5
    prompt: str = ""
    max_images: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class VqaOptions:
    """Choices of visual question answering.

    Attributes:
        max_tokens: longest answer, in the model's own tokens.
        max_images: use a seeded choice of so many samples; 0 uses all.
    """

    max_tokens: int = 10
    max_images: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class RerankOptions:
    """Choices of retrieval with matching.

    Attributes:
        candidates: best entries by cosine that matching puts in a new order, for each query.
        similarity: what is added to the matching log-odds: "logit", the cosine times the model's
            own logit scale, or "cosine", as BLIP-2 does it.
        max_images: use a seeded choice of so many images; 0 uses all.
    """

    candidates: int = 128
    similarity: Literal["logit", "cosine"] = "logit"
    max_images: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class InsertionOptions:
    """Choices of retrieval with inserted attributes.

    Attributes:
        captions: files of perturbed captions (``vlsuite xmai perturb``), one a method.
        batch_size: pairs in a shuffled gallery; 0 takes 1,000, as published, or all if fewer.
        ties: whether entries with an equal score are ahead ("pessimistic"), behind ("optimistic",
            as published) or half of them.
        prefix: text before each caption; published figures have "This is ".
    """

    captions: tuple[str, ...] = ()
    batch_size: int = 0
    ties: Literal["optimistic", "average", "pessimistic"] = "average"
    prefix: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class EntailmentOptions:
    """Choices of entailment with inserted attributes.

    Attributes:
        hypotheses: files of perturbed hypotheses, one a method: of ``vlsuite xmai perturb``, or
            CSV with columns label, hypothesis and modified in the order of the data set.
        judge: what decides: "answers" (the model is asked), "matching" (log-odds), "cosine";
            "auto" takes the first of these that the model can do.
        max_tokens: longest answer, in the model's own tokens.
        predictions: JSON lines with row, before and after (labels) of a model that is not of this
            suite; they are scored instead of the model given.
    """

    hypotheses: tuple[str, ...] = ()
    judge: Literal["auto", "answers", "matching", "cosine"] = "auto"
    max_tokens: int = 5
    predictions: str = ""


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Companions:
    """Other data sets that some tasks need beside the one they are measured on.

    Attributes:
        ood: sets whose pictures show none of the classes.
        bases: unshifted sets that shifted ones are compared with; by name.
        bank: in-distribution pictures for kNN detection; None takes half of the set itself.
        backgrounds: pictures for background edits; None draws plain ones.
    """

    ood: tuple[EvalDataset, ...] = ()
    bases: tuple[EvalDataset, ...] = ()
    bank: EvalDataset | None = None
    backgrounds: EvalDataset | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskRequest:
    """Choices for building tasks.

    Args:
        templates: prompts with ``{c}``; None takes the data set's own, else the set "simple".
        captions_per_image: use the first so many captions of an image; None uses all.
        num_examples: examples of each direction kept for the report.
        seed: of bootstrap intervals, random draws and the choice of examples.
        factors_file: annotations for the factors task, JSON lines; empty reads each json member.
        companions: other data sets.
    """

    templates: tuple[str, ...] | None = None
    captions_per_image: int | None = None
    num_examples: int = 0
    seed: int = 0
    factors_file: str = ""
    corruptions: CorruptionOptions = field(default_factory=CorruptionOptions)
    perturbations: PerturbationOptions = field(default_factory=PerturbationOptions)
    translation: TranslationOptions = field(default_factory=TranslationOptions)
    attack: AttackOptions = field(default_factory=AttackOptions)
    ood: OodOptions = field(default_factory=OodOptions)
    captioning: CaptioningOptions = field(default_factory=CaptioningOptions)
    vqa: VqaOptions = field(default_factory=VqaOptions)
    retrieval_rerank: RerankOptions = field(default_factory=RerankOptions)
    attribute_insertions: InsertionOptions = field(default_factory=InsertionOptions)
    insertion_entailment: EntailmentOptions = field(default_factory=EntailmentOptions)
    omnibench: OmniBenchOptions = field(default_factory=OmniBenchOptions)
    companions: Companions = field(default_factory=Companions)

    def __post_init__(self) -> None:
        if self.captions_per_image is not None and self.captions_per_image < 1:
            raise EvaluationError(
                f"captions_per_image is {self.captions_per_image}; give at least 1"
            )
        if self.num_examples < 0:
            raise EvaluationError(f"num_examples is {self.num_examples}; it must not be negative")
