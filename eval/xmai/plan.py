"""A method of perturbing from names alone, built in the process that runs it."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float

from data_pipelines import plugins
from eval.contract import EmbeddingModel
from eval.errors import EvaluationError
from eval.hub.similarity import Similarity, fingerprint_of, load_similarity
from eval.xmai.attack import AttackPlan
from eval.xmai.attributes import load_groups
from eval.xmai.candidates import Rules, check_truth, load_adjectives
from eval.xmai.chunks import CaptionSource, Chunk, Method
from eval.xmai.crossmodal import ClipScorer, embed_pictures
from eval.xmai.insertion import AttributeInserter, InsertionSettings, Tools
from eval.xmai.matching import Matcher, load_nouns
from eval.xmai.methods import methods
from eval.xmai.objective import parse_weights
from eval.xmai.people import load_blocked
from eval.xmai.perturbers.contract import PerturberOptions
from eval.xmai.perturbing import PerturberMethod
from eval.xmai.proposals import load_proposer
from eval.xmai.random_attribute import RandomAttribute
from eval.xmai.records import PerturbedCaption
from eval.xmai.specs import MethodSpec
from eval.xmai.tagger import ClipTagger

#: Pictures whose mean calibrates a tagger, spread evenly over the set.
_PRIOR_PICTURES = 256


def build_method(source: CaptionSource, spec: MethodSpec, imports: Sequence[str] = ()) -> Method:
    """Build the method that a spec names; loads its models.

    Args:
        source: the captions.
        spec: names everything.
        imports: files and modules that register components, for a process that has not got them.
    Raises:
        UserError: a model is missing or a setting is wrong.
    """
    plugins.import_all(list(imports))
    if spec.method in methods.names():
        return methods.get(spec.method)(spec, source)
    return PerturberMethod(spec.method, spec.seed, perturber_options(spec))


def perturber_options(spec: MethodSpec) -> PerturberOptions:
    """What the text-only methods are built from."""
    return PerturberOptions(
        share=spec.share,
        masked_lm=spec.masked_lm,
        wordnet=spec.wordnet,
        device=spec.device,
        textattack_python=spec.textattack_python,
    )


def plan_of(spec: MethodSpec, source: CaptionSource, out: Path, *, workers: int) -> AttackPlan:
    """The plan of a run; settings are checked before anything is loaded.

    Raises:
        EvaluationError: a setting is wrong.
    """
    _check(spec)
    build = partial(build_method, spec=spec, imports=tuple(plugins.imported()))
    settings = spec.settings()
    return AttackPlan(source=source, build=build, settings=settings, out=out, workers=workers)


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


@methods.register("xmai")
def _xmai(spec: MethodSpec, source: CaptionSource) -> Method:
    return _upstream_method(spec) if spec.compat == "upstream" else _InsertionMethod(spec, source)


@methods.register("random_attribute")
def _random_attribute(spec: MethodSpec, source: CaptionSource) -> Method:
    del source
    return RandomAttribute(
        _matcher(spec, load_similarity(spec.similarity, device=spec.device)),
        seed=spec.seed,
        blocked=load_blocked(spec.blocked),
    )


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
        similarity = self._similarity
        told = {"name": similarity.name, "fingerprint": fingerprint_of(similarity)}
        return named | {"similarity": told}

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
    from eval.hub import loading
    from eval.xmai.upstream.algorithm import UpstreamInserter, UpstreamSettings
    from eval.xmai.upstream.method import TransformersTokenModel, UpstreamMethod

    if spec.masked_lm == "vocabulary":
        raise EvaluationError(
            "--compat upstream takes its words from a language model: --masked-lm bert-base-cased, "
            "or the folder of one"
        )
    tokenizer, model = loading.load_masked_lm(spec.masked_lm, device=spec.device)
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
    fingerprint = loading.fingerprint_of(model, tokenizer)
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
