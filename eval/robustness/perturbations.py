"""Perturbation sequences made in memory: how often does the answer change from frame to frame?

Hendrycks and Dietterich 2019, arXiv 1903.12261, section 4.2 (ImageNet-P). Sequences are those of
``eval.robustness.perturbation_frames``, the measures those of ``eval.metrics.perturbation_flips``.
By default fewer frames are made than were published: consecutive ones, as far apart as published,
with the unchanged picture in the middle where a sequence has it.
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from data_pipelines.texts import listed
from eval.contract import Embedder, EmbeddingModel, ImageEmbeddings, Need
from eval.data.dataset import EvalDataset
from eval.data.subset import chosen_images
from eval.data.views import View
from eval.errors import EvaluationError
from eval.metrics.effective_trials import SHARE
from eval.metrics.intervals import CLUSTERED, cluster_bootstrap_score, mean_score
from eval.metrics.perturbation_flips import PERTURBATIONS, flip_probability, top5_distance
from eval.metrics.ranking import best_entries
from eval.results import EvalResult, Origin, PerUnit, Score, Settings
from eval.robustness.corruptions import constants_for
from eval.robustness.perturbation_frames import NOISE, SWEEPS, PerturbationSet, view_of
from eval.task_choices import TaskChoices, task_options
from eval.tasks import TaskFacts, registry
from eval.zero_shot.prompted import PromptedTask
from eval.zero_shot.templates import no_classes

_TOP = 5
#: Of the top-5 distance: all five classes left the first five.
_MOST_DISTANCE = 15.0
_IMAGES_AT_A_TIME = 2**12
_NO_MFR = (
    "mFR divides by AlexNet's flip rates on the published films, of which there is no copy here; "
    "sequences made in memory must not be mixed with figures from the films"
)


@task_options.register("perturbations")
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


@registry.register("perturbations")
@dataclass(frozen=True, kw_only=True, slots=True)
class Perturbations(PromptedTask):
    """Flip probability and top-5 distance under ImageNet-P's ten perturbations.

    Args:
        dataset: the chosen images, with class names.
        templates: prompts with ``{c}``.
        kinds: names of perturbations.
        num_frames: frames of each sequence; published lengths are the most there are.
        constants: of which published set.
        seed: of noise, flakes and the bootstrap.
    """

    facts: ClassVar[TaskFacts] = TaskFacts(
        uses=("classes",),
        options=PerturbationOptions,
        title="Perturbation sequences",
        headlines=("mean_flip_probability",),
    )

    kinds: tuple[str, ...]
    num_frames: int
    constants: PerturbationSet

    @staticmethod
    def missing(dataset: EvalDataset, choices: TaskChoices) -> str | None:
        """See ``TaskKind``."""
        return no_classes(dataset) or _problem(choices.of(PerturbationOptions))

    @classmethod
    def chosen(cls, dataset: EvalDataset, choices: TaskChoices) -> dict[str, Any]:
        """See ``PromptedTask``; small pictures take the constants of CIFAR-10-P."""
        options = choices.of(PerturbationOptions)
        is_small = constants_for(dataset, "auto") == "cifar-c"
        return {
            "dataset": chosen_images(dataset, options.max_images, seed=choices.seed),
            "kinds": kinds_of(options.kinds),
            "num_frames": options.num_frames,
            "constants": "cifar-p" if is_small else "imagenet-p",
        }

    @property
    def name(self) -> str:
        """Of the task."""
        return "perturbations"

    def settings(self) -> Settings:
        """What the result depends on besides model and data."""
        numbers = {kind: self._numbers(kind) for kind in self.kinds}
        return {
            "source": "memory",
            "templates": list(self.templates),
            "constants": self.constants,
            "frames": {kind: [own.start, own.stop - 1] for kind, own in numbers.items()},
            "seed": self.seed,
        }

    def needs(self) -> tuple[Need, ...]:
        """See ``Benchmark``."""
        views = [view for kind in self.kinds for view in self._views(kind)]
        return (Need(self.dataset, tuple({view.key: view for view in views}.values())),)

    def run(self, model: EmbeddingModel, embedder: Embedder) -> EvalResult:
        """Rank the classes in every frame, and compare frames."""
        prototypes = self.class_embeds(model, embedder).to(model.device)
        rows, top_classes = self._top_classes(model, embedder, prototypes)
        flipped: dict[str, np.ndarray] = {}
        for kind, best in top_classes.items():
            is_changed = _is_changed(best[..., 0], is_noise=kind in NOISE)
            flipped[f"flip_probability_{kind}"] = is_changed.mean(axis=1)
        scores = self._scores(top_classes, has_top5=len(self.class_names) >= _TOP)
        left_out = self.dataset.left_out(len(self.dataset) - len(rows))
        return EvalResult(
            benchmark=self.name,
            family="robustness",
            dataset=self.dataset.name,
            split=self.dataset.split,
            model=model.name,
            scores=scores,
            chance={},
            num_samples=len(rows),
            num_skipped=sum(left_out.values()),
            origin=Origin(
                seed=self.seed,
                data_revision=self.dataset.revision,
                interval=f"{CLUSTERED}, each with its whole sequence",
            ),
            details=self.settings() | {"note": _NO_MFR} | self.dataset.remarks(left_out),
            per_unit={name: PerUnit.pack(values, rows) for name, values in flipped.items()}
            | {
                "mean_flip_probability": PerUnit.pack(np.mean(list(flipped.values()), axis=0), rows)
            },
        )

    def _top_classes(
        self, model: EmbeddingModel, embedder: Embedder, prototypes: Tensor
    ) -> tuple[Int64[np.ndarray, " images"], dict[str, Int64[np.ndarray, "images frames top"]]]:
        """Pictures that every frame could be made of; by kind, the best classes in each frame."""
        found: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
        rows = np.arange(len(self.dataset))
        for kind in self.kinds:
            for view in self._views(kind):
                images = embedder.images(model, self.dataset, view)
                found.setdefault(kind, []).append((images.rows, _ranked(images, prototypes)))
                rows = np.intersect1d(rows, images.rows)
        if not len(rows):
            raise EvaluationError(f"no image of {self.dataset.title} makes a whole sequence")
        common = {
            kind: np.stack([best[np.searchsorted(own, rows)] for own, best in frames], axis=1)
            for kind, frames in found.items()
        }
        return rows, common

    def _scores(
        self, top_classes: dict[str, Int64[np.ndarray, "images frames top"]], *, has_top5: bool
    ) -> dict[str, Score]:
        flips: dict[str, np.ndarray] = {}
        scores: dict[str, Score] = {}
        for kind, best in top_classes.items():
            is_noise = kind in NOISE
            is_changed = _is_changed(best[..., 0], is_noise=is_noise)
            flips[kind] = is_changed.mean(axis=1)
            owners = np.repeat(np.arange(len(best)), is_changed.shape[1])
            drawn = cluster_bootstrap_score(is_changed.ravel(), owners, seed=self.seed)
            value = flip_probability(best[..., 0], is_noise=is_noise)
            scores[f"flip_probability_{kind}"] = replace(
                drawn, value=value, n=len(best), lower_is_better=True
            )
            if has_top5:
                scores[f"top5_distance_{kind}"] = self._mean(
                    np.array([top5_distance(own[None], is_noise=is_noise) for own in best]),
                    unit="number",
                )
        mean = self._mean(np.mean(list(flips.values()), axis=0), unit="share")
        return {"mean_flip_probability": mean} | scores

    def _mean(self, values: Float64[np.ndarray, " images"], *, unit: str) -> Score:
        bounds = SHARE if unit == "share" else (0.0, _MOST_DISTANCE)
        return mean_score(
            values,
            np.arange(len(values)),
            seed=self.seed,
            unit=unit,
            bounds=bounds,
            lower_is_better=True,
        )

    def _numbers(self, kind: str) -> range:
        return SWEEPS[self.constants][kind].numbers(self.num_frames)

    def _views(self, kind: str) -> list[View]:
        numbers = self._numbers(kind)
        return [view_of(kind, number, self.constants, seed=self.seed) for number in numbers]


def kinds_of(asked: Sequence[str]) -> tuple[str, ...]:
    """Names of perturbations, "all" spelled out, each once."""
    names = [
        name for word in listed(asked) for name in (PERTURBATIONS if word == "all" else (word,))
    ]
    return tuple(dict.fromkeys(names))


def _is_changed(predicted: Int64[np.ndarray, "images frames"], *, is_noise: bool) -> np.ndarray:
    before = predicted[:, :1] if is_noise else predicted[:, :-1]
    return predicted[:, 1:] != before


def _ranked(images: ImageEmbeddings, prototypes: Tensor) -> Int64[np.ndarray, "images top"]:
    count = min(_TOP, len(prototypes))
    best = [
        best_entries(part.to(prototypes.device), prototypes, count=count).cpu()
        for part in images.embeds.split(_IMAGES_AT_A_TIME)
    ]
    return torch.cat(best).numpy()


def _problem(options: PerturbationOptions) -> str | None:
    """What is wrong with the choices, None where nothing."""
    unknown = [name for name in kinds_of(options.kinds) if name not in PERTURBATIONS]
    if unknown or not options.kinds:
        name = unknown[0] if unknown else ""
        close = difflib.get_close_matches(name, ("all", *PERTURBATIONS), n=3, cutoff=0.4)
        return (
            f"perturbations.kinds has '{name}'; "
            f"{'closest' if close else 'known'}: {', '.join(close or ('all', *PERTURBATIONS))}"
        )
    if options.num_frames < 2:
        return "perturbations.num_frames must be at least 2; sequences compare frames"
    if options.max_images < 0:
        return "perturbations.max_images must not be negative; 0 uses all"
    return None
