"""One run of the study: train, then measure retrieval and what was detected."""

import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32

from data_pipelines.bounded_json import read_object
from data_pipelines.noise.truth import read_truth
from eval.contract import Embedder, EmbeddingModel
from eval.data.dataset import EvalDataset
from eval.data.folders import open_dataset
from eval.embedding.decode import CachingDecoder, StreamingDecoder
from eval.embedding.embedder import RememberingEmbedder, StreamingEmbedder
from eval.opening import open_model
from eval.studies.noise.grid import Cell, StudyConfig
from eval.studies.noise.methods import METHODS
from eval.studies.noise.sets import StudySets
from eval.zero_shot.retrieval import CosinePlaces, cosine_places, gallery_of
from vlsuite.batches.data_config import DataConfig
from vlsuite.batches.transforms import AugmentConfig
from vlsuite.engine.config import CheckpointConfig, LoggingConfig, TrainConfig, ValidationConfig
from vlsuite.engine.distributed import start_distributed
from vlsuite.engine.duration import Duration
from vlsuite.engine.optim import OptimConfig
from vlsuite.engine.run_folder import RunFolder, describe_environment, write_json
from vlsuite.engine.train_loop import train
from vlsuite.models.dual_encoder.config import OpenClipConfig
from vlsuite.models.dual_encoder.token_selection_config import TokenSelectionConfig
from vlsuite.objectives.pair_keys import hashed

RESULT, ARRAYS = "cell.json", "cell.npz"

_RECIPE = "noise-study"
_RECALL_AT = (1, 5)


@dataclass(frozen=True, slots=True)
class StudyFolders:
    """Where everything of a study lies.

    Args:
        out: of the study.
    """

    out: Path

    @property
    def sets(self) -> StudySets:
        """The data."""
        return StudySets(self.out / "sets")

    @property
    def tokenizer(self) -> Path:
        """Made from the pretraining captions."""
        return self.out / "tokenizer"

    def pretrained(self, seed: int) -> Path:
        """Run folder of the first stage."""
        return self.out / "pretrained" / f"seed{seed}"

    def cell(self, cell: Cell) -> Path:
        """Folder of a run."""
        return self.out / "cells" / cell.name

    def is_done(self, cell: Cell, config: StudyConfig) -> bool:
        """Whether a run is finished, under these settings."""
        path = self.cell(cell) / RESULT
        try:
            return path.is_file() and read_object(path).get("digest") == config.digest
        except (OSError, ValueError):
            return False


def pretrain(config: StudyConfig, folders: StudyFolders, seed: int) -> None:
    """Train the towers that all methods of a seed start from, with InfoNCE and without noise."""
    run = TrainConfig(
        model=OpenClipConfig(name=config.architecture, tokenizer=str(folders.tokenizer)),
        data=_data(folders.sets.pretrain),
        optim=OptimConfig(lr=config.pretrain_lr, warmup_steps=50),
        duration=Duration(f"{config.pretrain_epochs}epochs"),
        **_shared(config, seed),
    )
    _train(run, folders.pretrained(seed), [])


def train_cell(config: StudyConfig, folders: StudyFolders, cell: Cell) -> None:
    """Train one method on its noisy set and write what came out."""
    started = time.perf_counter()
    folder = folders.cell(cell)
    method = METHODS[cell.method]
    noisy = folders.sets.noisy(cell.rate, cell.seed, clean_only=False)
    shown = folders.sets.noisy(cell.rate, cell.seed, clean_only=method.clean_only)
    samples = int(config.epochs * folders.sets.count(noisy))
    steps_per_epoch = folders.sets.count(noisy) / config.batch_size
    width = config.token_width if method.token_selection else 0
    run = TrainConfig(
        model=replace(
            _start_model(config, folders, cell.seed),
            token_selection=TokenSelectionConfig(width=width),
        ),
        data=_data(shown),
        objective=method.objective(),
        optim=OptimConfig(
            lr=config.lr, warmup_steps=int(steps_per_epoch), new_lr_factor=config.new_lr_factor
        ),
        duration=Duration(f"{samples}samples"),
        validation=ValidationConfig(every=Duration(f"{max(1, int(steps_per_epoch))}steps")),
        **_shared(config, cell.seed),
    )
    curve = _Curve(open_dataset(str(folders.sets.test)))
    if config.pretrain_share:
        curve(open_model(str(folders.pretrained(cell.seed))))
    state = _train(run, folder / "run", [curve])
    model = state.evaluated(cell.name)
    places = curve.places(model)
    start = open_model(str(folders.pretrained(cell.seed))) if config.pretrain_share else None
    found = _Detection.empty() if method.clean_only else _detection(noisy, model, start, state)
    np.savez(
        folder / ARRAYS,
        image_to_text_places=places.image_to_text,
        text_to_image_places=places.text_to_image,
        **asdict(found),
    )
    write_json(
        folder / RESULT,
        {
            **cell._asdict(),
            "digest": config.digest,
            "curve": curve.recalls,
            "steps_between": max(1, int(steps_per_epoch)),
            "num_pairs": folders.sets.count(shown),
            "num_test": len(places.text_to_image),
            "steps": state.step,
            "seconds": time.perf_counter() - started,
            "noise_share": _noise_share(state.objective),
            "environment": describe_environment(seed=cell.seed),
            "settings": asdict(config),
        },
    )


@dataclass(slots=True)
class _Curve:
    """Recall on the test set whenever training asks; the pictures are decoded once."""

    dataset: EvalDataset
    recalls: dict[str, list[float]] = field(default_factory=dict)
    _embedder: Embedder | None = None

    def __call__(self, model: EmbeddingModel) -> list[dict[str, Any]]:
        places = self.places(model)
        scores = {}
        for direction, found in places._asdict().items():
            for k in _RECALL_AT:
                scores[f"{direction}_recall_at_{k}"] = float(np.mean(found < k))
        for name, value in scores.items():
            self.recalls.setdefault(name, []).append(value)
        shown = {name: {"value": value} for name, value in scores.items()}
        return [{"benchmark": "retrieval", "dataset": self.dataset.name, "scores": shown}]

    def places(self, model: EmbeddingModel) -> CosinePlaces:
        """Where each query ranks its partner."""
        if self._embedder is None:
            self._embedder = _embedder()
        return cosine_places(_gallery(self.dataset, model, RememberingEmbedder(self._embedder)))


@dataclass(frozen=True, slots=True)
class _Detection:
    """What is known of the training pairs, by row."""

    is_mismatched: Bool[np.ndarray, " pairs"]
    pair_cosines: Float32[np.ndarray, " pairs"]
    start_cosines: Float32[np.ndarray, " pairs"]
    noise_probability: Float32[np.ndarray, " pairs"]

    @classmethod
    def empty(cls) -> "_Detection":
        nothing = np.zeros(0, np.float32)
        return cls(np.zeros(0, bool), nothing, nothing, nothing)


def _detection(
    noisy: Path, model: EmbeddingModel, start: EmbeddingModel | None, state: Any
) -> _Detection:
    truth = read_truth(noisy)
    dataset = open_dataset(str(noisy))
    embedder = _embedder()
    cosines = [
        _own_cosines(dataset, found, embedder) if found else np.full(len(dataset), np.nan)
        for found in (model, start)
    ]
    known = state.objective.noise_probabilities() or {}
    pairs = zip(truth.uids, truth.caption_numbers.tolist(), strict=True)
    probability = [known.get(hashed("pair", uid, str(number)), np.nan) for uid, number in pairs]
    return _Detection(
        truth.is_mismatched,
        cosines[0].astype(np.float32),
        cosines[1].astype(np.float32),
        np.asarray(probability, np.float32),
    )


def _own_cosines(
    dataset: EvalDataset, model: EmbeddingModel, embedder: Embedder
) -> Float32[np.ndarray, " pairs"]:
    gallery = _gallery(dataset, model, embedder)
    found = np.full(len(dataset), np.nan, np.float32)
    own = (gallery.image_embeds * gallery.text_embeds).sum(dim=1)
    found[gallery.image_rows] = own.cpu().numpy()
    return found


def _gallery(dataset: EvalDataset, model: EmbeddingModel, embedder: Embedder) -> Any:
    images = embedder.images(model, dataset)
    return gallery_of(dataset, images, model, embedder, captions_per_image=1)


def _embedder() -> Embedder:
    decoder = CachingDecoder(StreamingDecoder(batch_size=256, workers=1), limit_bytes=2**29)
    return StreamingEmbedder(decoder=decoder)


def _noise_share(objective: Any) -> float | None:
    division = getattr(objective, "division", None)
    return None if division is None else division.noise_share()


def _start_model(config: StudyConfig, folders: StudyFolders, seed: int) -> OpenClipConfig:
    if not config.pretrain_share:
        return OpenClipConfig(name=config.architecture, tokenizer=str(folders.tokenizer))
    # Scales grow while a model is trained, and a large one makes wrong pairs costly from the
    # first step: each objective begins with its own.
    export = folders.pretrained(seed) / "export"
    return OpenClipConfig(name=f"local-dir:{export}", keep_logit_scale=False)


def _data(shards: Path) -> DataConfig:
    return DataConfig(
        train=(str(shards),),
        num_workers=0,
        caption="first",
        augment=AugmentConfig(crop_scale=(0.75, 1.0), flip_probability=0.5),
    )


def _shared(config: StudyConfig, seed: int) -> dict[str, Any]:
    return {
        "global_batch_size": config.batch_size,
        "seed": seed,
        "threads": config.threads,
        "logging": LoggingConfig(every=Duration("50steps")),
        "checkpoint": CheckpointConfig(every=Duration("1e9samples"), keep=1),
    }


def _train(run: TrainConfig, folder: Path, evaluators: list[Any]) -> Any:
    """Train from the start: a run of a minute or two is repeated, not continued."""
    import shutil

    shutil.rmtree(folder, ignore_errors=True)
    ctx = start_distributed(threads=run.threads)
    place = RunFolder(folder)
    place.create(_RECIPE, run)
    return train(run, ctx, place, evaluators)
