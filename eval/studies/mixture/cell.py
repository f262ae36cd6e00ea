"""One run of the study: train on a mixture, and measure all tests as training goes on."""

import io
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Bool

from data_pipelines.bounded_json import read_object
from data_pipelines.shards.atomic import make_folder, write_file
from eval.contract import Embedder, EmbeddingModel
from eval.data.dataset import EvalDataset
from eval.data.folders import open_dataset
from eval.embedding.decode import CachingDecoder, StreamingDecoder
from eval.embedding.embedder import RememberingEmbedder, StreamingEmbedder
from eval.embedding.nearest_class import top1_hits
from eval.errors import EvaluationError
from eval.studies.mixture.sets import StudyFolders
from eval.studies.mixture.settings import Cell, MixtureStudyConfig
from eval.studies.training import train_anew
from eval.task_choices import TaskChoices
from eval.zero_shot.retrieval import cosine_places, gallery_of
from eval.zero_shot.templates import no_classes, templates_for
from vlsuite.batches.data_config import DataConfig
from vlsuite.batches.transforms import AugmentConfig
from vlsuite.engine.config import CheckpointConfig, LoggingConfig, TrainConfig, ValidationConfig
from vlsuite.engine.duration import Duration
from vlsuite.engine.optim import OptimConfig
from vlsuite.engine.run_folder import describe_environment, write_json
from vlsuite.models.dual_encoder.config import OpenClipConfig

RESULT, ARRAYS = "cell.json", "cell.npz"

_RECIPE = "mixture-study"
_CACHE_BYTES = 2**29

Hits = Bool[np.ndarray, " pictures"]


def is_done(folders: StudyFolders, cell: Cell, config: MixtureStudyConfig) -> bool:
    """Whether a run is finished, under these settings."""
    path = folders.cell(cell) / RESULT
    try:
        return path.is_file() and read_object(path).get("digest") == config.digest
    except (OSError, ValueError):
        return False


def train_cell(config: MixtureStudyConfig, folders: StudyFolders, cell: Cell) -> None:
    """Train on a mixture, and write which test pictures were right at each evaluation."""
    started = time.perf_counter()
    folder, curve = folders.cell(cell), Curve.over(config, folders)
    state = train_anew(run_config(config, folders, cell), folder / "run", [curve], recipe=_RECIPE)
    arrays = {name: np.stack(found) for name, found in curve.hits.items()}
    stream = io.BytesIO()
    named: dict[str, Any] = {f"hits_{name}": found for name, found in arrays.items()}
    np.savez_compressed(stream, **named)
    make_folder(folder)
    write_file(folder / ARRAYS, stream.getvalue())
    sizes = folders.sizes
    write_json(
        folder / RESULT,
        {
            "shares": [list(share) for share in cell.mixture.shares],
            "seed": cell.seed,
            "digest": config.digest,
            "settings": config.stored,
            "passes": {
                name: share * state.samples_seen / sizes[name]
                for name, share in cell.mixture.shares
            },
            "pairs": sizes,
            "tests": {
                name: {"chance": chance_of(dataset), "has_classes": has_classes(dataset)}
                for name, dataset in curve.tests.items()
            },
            "samples_seen": state.samples_seen,
            "sources_seen": dict(state.counts.sources),
            "steps": state.step,
            "seconds": time.perf_counter() - started,
            "environment": describe_environment(seed=cell.seed),
        },
    )


def run_config(config: MixtureStudyConfig, folders: StudyFolders, cell: Cell) -> TrainConfig:
    """A small CLIP from random weights; mixtures differ in their data alone."""
    shares = cell.mixture.shares
    steps = max(1, config.samples // config.batch_size)
    return TrainConfig(
        model=OpenClipConfig(name=config.architecture, tokenizer=str(folders.tokenizer)),
        data=DataConfig(
            train=tuple(str(folders.train(name)) for name, _ in shares),
            weights=tuple(share for _, share in shares),
            num_workers=0,
            caption="first",
            augment=AugmentConfig(crop_scale=(0.75, 1.0), flip_probability=0.5),
        ),
        optim=OptimConfig(lr=config.lr, warmup_steps=max(1, steps // 10)),
        duration=Duration(f"{steps}steps"),
        validation=ValidationConfig(every=Duration(f"{max(1, steps // config.evaluations)}steps")),
        global_batch_size=config.batch_size,
        seed=cell.seed,
        threads=config.threads,
        logging=LoggingConfig(every=Duration("50steps")),
        checkpoint=CheckpointConfig(every=Duration("1e9samples"), keep=1),
    )


@dataclass(slots=True)
class Curve:
    """What is right on each test, whenever training asks; pictures are decoded once.

    Attributes:
        tests: by name.
        hits: of each test, one array an evaluation.
    """

    tests: dict[str, EvalDataset]
    hits: dict[str, list[Hits]] = field(default_factory=dict)
    _embedder: Embedder | None = None

    @classmethod
    def over(cls, config: MixtureStudyConfig, folders: StudyFolders) -> "Curve":
        """The tests of a study.

        Raises:
            UserError: a data set cannot be opened, or has neither classes nor captions.
        """
        paths = {**config.tests, **{name: str(folders.test(name)) for name in config.sources}}
        tests = {name: open_dataset(path) for name, path in paths.items()}
        for dataset in tests.values():
            has_classes(dataset)
        return cls(tests)

    def __call__(self, model: EmbeddingModel) -> list[dict[str, Any]]:
        if self._embedder is None:
            decoder = StreamingDecoder(batch_size=256, workers=1)
            self._embedder = StreamingEmbedder(
                decoder=CachingDecoder(decoder, limit_bytes=_CACHE_BYTES)
            )
        embedder = RememberingEmbedder(self._embedder)
        shown = []
        for name, dataset in self.tests.items():
            measure = _class_hits if has_classes(dataset) else _caption_hits
            found = measure(model, dataset, embedder)
            self.hits.setdefault(name, []).append(found)
            scores = {"accuracy": {"value": float(found.mean())}}
            shown.append({"benchmark": "mixture", "dataset": name, "scores": scores})
        return shown


def has_classes(dataset: EvalDataset) -> bool:
    """Whether accuracy is among class names; else it is among the captions of the set.

    Raises:
        EvaluationError: it has neither.
    """
    if no_classes(dataset) is None:
        return True
    if dataset.captions is None:
        raise EvaluationError(f"{dataset.title} has neither classes nor captions to be tested by")
    return False


def chance_of(dataset: EvalDataset) -> float:
    """Accuracy of guessing, about."""
    if has_classes(dataset):
        assert dataset.layout.classes is not None
        return 1 / len(dataset.layout.classes.names)
    return 1 / max(1, len(dataset))


def _class_hits(model: EmbeddingModel, dataset: EvalDataset, embedder: Embedder) -> Hits:
    assert dataset.layout.classes is not None
    assert dataset.labels is not None
    images = embedder.images(model, dataset)
    templates = templates_for(dataset, TaskChoices())
    prototypes = embedder.class_embeds(model, dataset.layout.classes.names, templates)
    labels = dataset.labels[images.rows]
    return top1_hits(images.embeds, prototypes, labels, device=model.device)


def _caption_hits(model: EmbeddingModel, dataset: EvalDataset, embedder: Embedder) -> Hits:
    images = embedder.images(model, dataset)
    gallery = gallery_of(dataset, images, model, embedder, captions_per_image=None)
    return cosine_places(gallery).image_to_text < 1
