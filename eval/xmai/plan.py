"""A method of perturbing from names alone, built in the process that runs it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from eval.contract import EmbeddingModel
from eval.errors import EvaluationError
from eval.hub.similarity import Similarity, load_similarity
from eval.xmai.attack import AttackPlan
from eval.xmai.attributes import load_groups
from eval.xmai.candidates import Rules, Truth, check_truth, load_adjectives
from eval.xmai.chunks import CaptionSource, Chunk, Method
from eval.xmai.crossmodal import PREFIX, ClipScorer, embed_pictures
from eval.xmai.insertion import AttributeInserter, InsertionSettings, Tools
from eval.xmai.matching import Matcher, Mode, load_nouns
from eval.xmai.objective import parse_weights
from eval.xmai.people import load_blocked
from eval.xmai.perturbing import PerturberMethod
from eval.xmai.proposals import load_proposer
from eval.xmai.records import PerturbedCaption
from eval.xmai.tagger import TEMPLATE, Around, ClipTagger

Compat = Literal["none", "upstream"]

#: Pictures whose mean calibrates a tagger, spread evenly over the set.
_PRIOR_PICTURES = 256


@dataclass(frozen=True, kw_only=True, slots=True)
class MethodSpec:
    """All that a method is made from; every field goes into the header of its file.

    Args:
        method: "xmai", "random_attribute", or a name of ``eval.xmai.perturbers``.
        seed: of methods that draw.
        scorer, tagger: of ``eval.opening.open_embedding_model``; None: not used.
        masked_lm: "vocabulary", or a masked language model (folder or hub id).
        nouns: "rules" or "spacy:MODEL".
        matching: see ``eval.xmai.matching``.
        threshold: of matching, -1 to 1.
        similarity: see ``eval.hub.similarity``.
        weights: see ``eval.xmai.objective.parse_weights``.
        blocked: see ``eval.xmai.people.load_blocked``.
        groups: file of attribute groups; None: the built-in ones.
        around: what the tagger reads with a word, the caption or the noun alone.
        template: of the tagger's prompts without a caption.
        prefix: of the sentences that the scorer reads.
        compat: "upstream" keeps the published behaviour, faults and all.
        share: of the words that the text-only methods change, 0 to 1.
        wordnet: folder of WordNet's files; None: where nltk or the system keeps them.
        textattack_python: interpreter that has TextAttack; None: this one.
        device: where models compute.
    """

    method: str = "xmai"
    seed: int = 0
    scorer: str | None = None
    tagger: str | None = None
    masked_lm: str = "vocabulary"
    nouns: str = "rules"
    matching: Mode = "mix"
    threshold: float = 0.7
    similarity: str = "characters"
    weights: str = "paper"
    k: int = 3
    truth: Truth = "detected"
    confidence: float = 0.5
    support: float = 0.5
    max_insertions: int = 3
    blocked: str = "people"
    groups: str | None = None
    template: str = TEMPLATE
    around: Around = "caption"
    prefix: str = PREFIX
    compat: Compat = "none"
    share: float = 0.2
    wordnet: str | None = None
    textattack_python: str | None = None
    device: str = field(default="cpu")

    def settings(self) -> dict[str, Any]:
        """For the header and for telling runs apart; where it computes is no part of it."""
        where = ("device", "textattack_python")
        return {key: value for key, value in asdict(self).items() if key not in where}

    def __call__(self, source: CaptionSource) -> Method:
        """Build the method; loads its models.

        Raises:
            UserError: a model is missing or a setting is wrong.
        """
        if self.method == "xmai":
            if self.compat == "upstream":
                return _upstream_method(self)
            return _InsertionMethod(self, source)
        if self.method == "random_attribute":
            from eval.xmai.random_attribute import RandomAttribute

            return RandomAttribute(
                _matcher(self, load_similarity(self.similarity, device=self.device)),
                seed=self.seed,
                blocked=load_blocked(self.blocked),
            )
        return PerturberMethod(self.method, self.seed, self.perturber_options())

    def perturber_options(self) -> Any:
        """What the text-only methods are built from."""
        from eval.xmai.perturbers.contract import PerturberOptions

        return PerturberOptions(
            share=self.share,
            masked_lm=self.masked_lm,
            wordnet=self.wordnet,
            device=self.device,
            textattack_python=self.textattack_python,
        )


def plan_of(spec: MethodSpec, source: CaptionSource, out: Path, *, workers: int) -> AttackPlan:
    """The plan of a run; settings are checked before anything is loaded.

    Raises:
        EvaluationError: a setting is wrong.
    """
    _check(spec)
    return AttackPlan(source=source, build=spec, settings=spec.settings(), out=out, workers=workers)


def _check(spec: MethodSpec) -> None:
    parse_weights(spec.weights)
    load_blocked(spec.blocked)
    check_truth(spec.truth, has_tagger=spec.tagger is not None or spec.method != "xmai")
    load_groups(Path(spec.groups) if spec.groups else None)
    for name, value, least in (("k", spec.k, 1), ("max_insertions", spec.max_insertions, 0)):
        if value < least:
            raise EvaluationError(f"{name} is {value}; it must be at least {least}")
    for name, value in (
        ("confidence", spec.confidence), ("support", spec.support), ("share", spec.share),
    ):  # fmt: skip
        if not 0 <= value <= 1:
            raise EvaluationError(f"{name} is {value}; it must be between 0 and 1")


class _InsertionMethod:
    """Attribute insertion with the models that a spec names."""

    def __init__(self, spec: MethodSpec, source: CaptionSource) -> None:
        loaded = _Models(spec.device)
        self._similarity = load_similarity(spec.similarity, device=spec.device)
        self._proposer = load_proposer(spec.masked_lm, device=spec.device)
        self._scorer = (
            ClipScorer(loaded.clip(spec.scorer), prefix=spec.prefix) if spec.scorer else None
        )
        self._tagger = load_tagger(spec, loaded.clip(spec.tagger), source) if spec.tagger else None
        self.needs_pictures = self._scorer is not None or self._tagger is not None
        self._inserter = _inserter(spec, self._tools(spec))

    @property
    def models(self) -> dict[str, dict[str, str]]:
        """See ``Method``."""
        roles = {
            "scorer": self._scorer,
            "tagger": self._tagger,
            "masked_lm": self._proposer,
        }
        named = {
            role: {"name": model.name, "fingerprint": model.fingerprint}
            for role, model in roles.items()
            if model is not None
        }
        return named | {"similarity": {"name": self._similarity.name, "fingerprint": ""}}

    def perturb(self, chunk: Chunk) -> Sequence[PerturbedCaption]:
        """See ``Method``."""
        return self._inserter.perturb(chunk)

    def _tools(self, spec: MethodSpec) -> Tools:
        rules = Rules(
            blocked=load_blocked(spec.blocked),
            adjectives=load_adjectives(spec.nouns),
            at_most=4 * spec.k,
        )
        return Tools(
            matcher=_matcher(spec, self._similarity),
            proposer=self._proposer,
            rules=rules,
            similarity=self._similarity,
            scorer=self._scorer,
            tagger=self._tagger,
        )


def _inserter(spec: MethodSpec, tools: Tools) -> AttributeInserter:
    settings = InsertionSettings(
        k=spec.k,
        weights=parse_weights(spec.weights),
        truth=spec.truth,
        confidence=spec.confidence,
        support=spec.support,
        max_insertions=spec.max_insertions,
        around=spec.around,
    )
    return AttributeInserter(tools, settings)


def _upstream_method(spec: MethodSpec) -> Method:
    from eval.hub.loading import fingerprint_of, load_masked_lm
    from eval.xmai.upstream.algorithm import UpstreamInserter, UpstreamSettings
    from eval.xmai.upstream.method import TransformersTokenModel, UpstreamMethod

    if spec.masked_lm == "vocabulary":
        raise EvaluationError(
            "--compat upstream takes its words from a language model: --masked-lm bert-base-cased, "
            "or the folder of one"
        )
    tokenizer, model = load_masked_lm(spec.masked_lm, device=spec.device)
    similarity = load_similarity(spec.similarity, device=spec.device)
    inserter = UpstreamInserter(
        TransformersTokenModel(tokenizer, model),
        nouns=load_nouns(spec.nouns),
        similarity=similarity,
        attribute_similarity=similarity,
        settings=UpstreamSettings(
            weights=parse_weights(spec.weights),
            k=spec.k,
            threshold=spec.threshold,
            mode=spec.matching,
        ),
    )
    clip = _Models(spec.device).clip(spec.scorer) if spec.scorer else None
    scorer = ClipScorer(clip, prefix=spec.prefix) if clip else None
    fingerprint = fingerprint_of(model, tokenizer)
    return UpstreamMethod(
        inserter,
        scorer,
        {"masked_lm": {"name": spec.masked_lm, "fingerprint": fingerprint}}
        | ({"scorer": {"name": scorer.name, "fingerprint": scorer.fingerprint}} if scorer else {}),
    )


def _matcher(spec: MethodSpec, similarity: Similarity) -> Matcher:
    return Matcher(
        load_nouns(spec.nouns),
        mode=spec.matching,
        similarity=similarity,
        threshold=spec.threshold,
    )


def load_tagger(spec: MethodSpec, model: EmbeddingModel, source: CaptionSource) -> ClipTagger:
    """A tagger that is calibrated on pictures of the source."""
    groups = load_groups(Path(spec.groups) if spec.groups else None)
    mean = mean_embed(model, source)
    return ClipTagger(model, mean, groups=groups, template=spec.template)


def mean_embed(model: EmbeddingModel, source: CaptionSource) -> Float[np.ndarray, " embed_dim"]:
    """Mean of the unit vectors of up to 256 pictures, spread evenly over the source."""
    count = min(_PRIOR_PICTURES, len(source))
    rows = np.unique(np.linspace(0, max(len(source) - 1, 0), count).astype(int)).tolist()
    pictures = [
        picture
        for row in rows
        for picture in source.chunk(row, row + 1, with_pictures=True).pictures
    ]
    embeds, is_good = embed_pictures(model, pictures)
    return embeds[is_good].mean(axis=0) if any(is_good) else np.zeros(model.embed_dim)


class _Models:
    """Contrastive models by name, each loaded once though it may have two roles."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._loaded: dict[str, EmbeddingModel] = {}

    def clip(self, spec: str) -> EmbeddingModel:
        """See ``open_embedding_model``."""
        from eval.opening import open_embedding_model

        if spec not in self._loaded:
            self._loaded[spec] = open_embedding_model(spec, device=self._device)
        return self._loaded[spec]
