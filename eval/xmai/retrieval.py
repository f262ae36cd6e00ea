"""Retrieval before and after attributes are inserted into captions.

The measurement of XMAI (arXiv 2306.11065): mean reciprocal rank of a caption's own image, text to
image, in shuffled galleries of 1,000 caption-image pairs, the incomplete last one dropped, ties
optimistic (their public notebook, read). Ours as well: the full gallery, both directions, recall
at 1, 5 and 10, other tie rules, and only the captions that truly changed, all with paired
intervals. The gallery of texts holds the captions of the file, all before or all after.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from eval.contract import Benchmark, Embedder, EmbeddingModel, Need
from eval.data.dataset import EvalDataset
from eval.data.rows import CAPTIONED, no_captions
from eval.errors import EvaluationError
from eval.metrics.clustered_table import ClusteredTable
from eval.metrics.intervals import CLUSTERED
from eval.metrics.tied_ranking import TieRule, galleries_of_pairs, rivals_of_own
from eval.results import EvalResult, Origin, Score, Settings
from eval.task_choices import TaskChoices, task_options
from eval.tasks import NOT_OF_CLASSES, TaskFacts, registry
from eval.xmai.rows import NamedFile, Rows, join_captions, open_perturbed, scorer_of, seen_rows

RECALL_AT = (1, 5, 10)
#: Pairs in a published gallery.
PUBLISHED_SIZE = 1000

_SIDES = ("before", "after")
_DIRECTIONS = ("text_to_image", "image_to_text")


class _Vectors(NamedTuple):
    """Unit vectors on one device: every picture once, every caption before and after."""

    images: Float[Tensor, "images embed_dim"]
    texts: dict[str, Float[Tensor, "rows embed_dim"]]
    owners: Int64[np.ndarray, " rows"]


class _Ranks(NamedTuple):
    """Ranks of one kind of gallery, with what each query belongs to; NaN: not in any gallery."""

    ranks: Float64[np.ndarray, " queries"]
    images: Int64[np.ndarray, " queries"]
    is_changed: np.ndarray


@task_options.register("attribute_insertions")
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


@registry.register("attribute_insertions")
@dataclass(frozen=True, kw_only=True, slots=True)
class AttributeInsertions:
    """Retrieval with inserted attributes (XMAI): MRR and recalls before, after, and their fall.

    Scores are called DIRECTION_FIGURE_SIDE: text_to_image_mrr_before, _after and _drop (before
    minus after). ``batched_`` ones come from the galleries of 1,000 pairs, ``_drop_changed`` ones
    only from queries whose caption changed (image to text: any of its captions).

    Args:
        dataset: with captions.
        file: the perturbed captions of one method.
        rows: the same, joined with the data set.
        options: galleries, tie rule and prefix.
        seed: of the bootstrap.
    """

    facts: ClassVar[TaskFacts] = TaskFacts(
        rows=CAPTIONED,
        options=InsertionOptions,
        only_for=NOT_OF_CLASSES,
        score_words={"mrr": "MRR"},
    )

    dataset: EvalDataset
    file: NamedFile
    rows: Rows
    options: InsertionOptions
    seed: int = 0

    @staticmethod
    def missing(dataset: EvalDataset, choices: TaskChoices) -> str | None:
        """See ``TaskKind``."""
        if (lack := no_captions(dataset)) is not None:
            return lack
        if not choices.of(InsertionOptions).captions:
            return (
                "attribute_insertions needs perturbed captions: --set "
                "attribute_insertions.captions=FILE (of 'vlsuite xmai perturb')"
            )
        if choices.of(InsertionOptions).batch_size < 0:
            return "attribute_insertions.batch_size must be at least 1, or 0 for 1,000"
        return None

    @classmethod
    def build_each(cls, dataset: EvalDataset, choices: TaskChoices) -> Sequence[Benchmark]:
        """One benchmark a file.

        Raises:
            EvaluationError: see ``build``; or two files hold the same method.
        """
        files = choices.of(InsertionOptions).captions
        if not files:
            return (cls.build(dataset, choices),)
        options = [replace(choices.of(InsertionOptions), captions=(file,)) for file in files]
        built = tuple(cls.build(dataset, choices.having(own)) for own in options)
        methods = [benchmark.file.method for benchmark in built]
        if len(set(methods)) < len(methods):
            raise EvaluationError(
                f"several files of perturbed captions hold the method {_repeated(methods)}; "
                "evaluate them in separate commands with their own --out"
            )
        return built

    @classmethod
    def build(cls, dataset: EvalDataset, choices: TaskChoices) -> "AttributeInsertions":
        """See ``TaskKind``.

        Raises:
            EvaluationError: what ``missing`` says, or a file that does not belong to the data set.
        """
        if (lack := cls.missing(dataset, choices)) is not None:
            raise EvaluationError(lack)
        options = choices.of(InsertionOptions)
        file = open_perturbed(options.captions[0])
        rows = join_captions(file, dataset)
        return cls(dataset=dataset, file=file, rows=rows, options=options, seed=choices.seed)

    @property
    def name(self) -> str:
        """Of the task and of the method, which each has its own result."""
        return f"attribute_insertions:{self.file.method}"

    def settings(self) -> Settings:
        """What the result depends on besides model and data."""
        return {
            "method": self.file.method,
            "captions": self.file.digest,
            "batch_size": self.options.batch_size,
            "ties": self.options.ties,
            "prefix": self.options.prefix,
            "seed": self.seed,
        }

    def needs(self) -> tuple[Need, ...]:
        """See ``Benchmark``."""
        return (Need(self.dataset),)

    def run(self, model: EmbeddingModel, embedder: Embedder) -> EvalResult:
        """Embed pictures and both forms of the captions, rank, compare.

        Raises:
            EvaluationError: nothing can be decoded, or a gallery is larger than the file.
        """
        pictures = embedder.images(model, self.dataset)
        rows = seen_rows(self.rows, pictures.rows)
        vectors = _Vectors(
            pictures.embeds.to(model.device),
            {side: self._texts(model, embedder, getattr(rows, side)) for side in _SIDES},
            np.searchsorted(pictures.rows, rows.images),
        )
        size = self.options.batch_size or min(PUBLISHED_SIZE, len(rows.captions))
        galleries = galleries_of_pairs(len(rows.captions), size=size)
        scores = self._scores(vectors, rows, galleries)
        left_out = self.dataset.left_out(pictures.num_skipped)
        return EvalResult(
            benchmark=self.name,
            family="xmai",
            dataset=self.dataset.name,
            split=self.dataset.split,
            model=model.name,
            scores=scores,
            chance={},
            num_samples=len(np.unique(rows.images)),
            num_skipped=sum(left_out.values()),
            origin=Origin(
                seed=self.seed,
                data_revision=self.dataset.revision,
                interval=f"{CLUSTERED}; drops: paired",
            ),
            details=self.settings()
            | self._remarks(model, rows, len(pictures.rows), galleries)
            | self.dataset.remarks(left_out),
        )

    def _texts(self, model: EmbeddingModel, embedder: Embedder, texts: list[str]) -> Tensor:
        prefixed = [self.options.prefix + text for text in texts]
        return embedder.texts(model, prefixed).to(model.device)

    def _scores(
        self, vectors: _Vectors, rows: Rows, galleries: list[Int64[np.ndarray, " size"]]
    ) -> dict[str, Score]:
        scores: dict[str, Score] = {}
        for direction in _DIRECTIONS:
            for prefix in ("", "batched_"):
                found = {
                    side: self._ranks(vectors, rows, direction, side, galleries if prefix else None)
                    for side in _SIDES
                }
                scores |= _figures(f"{prefix}{direction}", found, seed=self.seed)
        owners = torch.from_numpy(vectors.owners).to(vectors.images.device)
        columns = {side: _cosines(vectors.texts[side], vectors.images[owners]) for side in _SIDES}
        table = ClusteredTable(columns, rows.images, seed=self.seed)
        scores |= {f"cosine_{side}": table.score(side, unit="number") for side in _SIDES}
        scores["cosine_drop"] = table.difference(
            "before", "after", unit="number", lower_is_better=True
        )
        table = ClusteredTable(
            {"changed": rows.is_changed.astype(np.float64)}, rows.images, seed=self.seed
        )
        scores["changed_share"] = table.score("changed")
        return scores

    def _ranks(
        self,
        vectors: _Vectors,
        rows: Rows,
        direction: str,
        side: str,
        galleries: list[Int64[np.ndarray, " size"]] | None,
    ) -> _Ranks:
        """Of every query of a direction; ``galleries`` None means the full one."""
        texts, owners = vectors.texts[side], vectors.owners
        if galleries is None:
            return _full_ranks(vectors, texts, rows, direction, self.options.ties)
        ranks = np.full(len(owners), np.nan)
        for pairs in galleries:
            chosen = torch.from_numpy(pairs).to(texts.device)
            groups = torch.from_numpy(owners[pairs]).to(texts.device)
            ends = (texts[chosen], vectors.images[groups])
            queries, gallery = ends if direction == "text_to_image" else ends[::-1]
            rivals = rivals_of_own(queries, gallery, groups, groups)
            ranks[pairs] = rivals.ranks(self.options.ties)
        return _Ranks(ranks, owners, rows.is_changed)

    def _remarks(
        self,
        model: EmbeddingModel,
        rows: Rows,
        num_images: int,
        galleries: list[Int64[np.ndarray, " size"]],
    ) -> Settings:
        name, fingerprint = scorer_of(self.file.content.header)
        return {
            "num_captions": len(rows.captions),
            "num_changed": int(rows.is_changed.sum()),
            "num_repeated_captions": rows.num_repeated,
            "full_gallery": {"images": num_images, "captions": len(rows.captions)},
            "batched_galleries": {"size": len(galleries[0]), "number": len(galleries)},
            "scorer": name,
            "scorer_is_victim": fingerprint == model.fingerprint if fingerprint else None,
        }


def _full_ranks(
    vectors: _Vectors, texts: Tensor, rows: Rows, direction: str, ties: TieRule
) -> _Ranks:
    owners = torch.from_numpy(vectors.owners).to(texts.device)
    everything = torch.arange(len(vectors.images), device=texts.device)
    if direction == "text_to_image":
        rivals = rivals_of_own(texts, vectors.images, owners, everything)
        return _Ranks(rivals.ranks(ties), vectors.owners, rows.is_changed)
    queries = np.unique(vectors.owners)
    chosen = torch.from_numpy(queries).to(texts.device)
    rivals = rivals_of_own(vectors.images[chosen], texts, chosen, owners)
    changed = np.isin(queries, vectors.owners[rows.is_changed])
    return _Ranks(rivals.ranks(ties), queries, changed)


def _figures(name: str, found: dict[str, _Ranks], *, seed: int) -> dict[str, Score]:
    """MRR and recalls of both sides, and the fall on all queries and on changed ones."""
    columns: dict[str, Float64[np.ndarray, " queries"]] = {}
    figures = ["mrr", *(f"recall_at_{k}" for k in RECALL_AT)]
    for side, own in found.items():
        values = [1.0 / own.ranks, *(_hits(own.ranks, k) for k in RECALL_AT)]
        for figure, column in zip(figures, values, strict=True):
            columns[f"{figure}_{side}"] = column
            columns[f"{figure}_{side}_changed"] = np.where(own.is_changed, column, np.nan)
    table = ClusteredTable(columns, found["before"].images, seed=seed)
    scores: dict[str, Score] = {}
    for figure in figures:
        for side in _SIDES:
            scores[f"{name}_{figure}_{side}"] = table.score(f"{figure}_{side}")
        for suffix in ("", "_changed"):
            if f"{figure}_before{suffix}" in table:
                scores[f"{name}_{figure}_drop{suffix}"] = table.difference(
                    f"{figure}_before{suffix}", f"{figure}_after{suffix}", lower_is_better=True
                )
    return scores


def _hits(ranks: Float64[np.ndarray, " queries"], k: int) -> Float64[np.ndarray, " queries"]:
    return np.where(np.isnan(ranks), np.nan, (ranks <= k).astype(np.float64))


def _cosines(
    one: Float[Tensor, "rows embed_dim"], other: Float[Tensor, "rows embed_dim"]
) -> Float64[np.ndarray, " rows"]:
    return (one.double() * other.double()).sum(dim=-1).cpu().numpy()


def _repeated(names: list[str]) -> str:
    return next(name for name in names if names.count(name) > 1)
