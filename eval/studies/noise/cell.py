"""One run of the study: train, then measure retrieval and what was detected."""

import io
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float32

from data_pipelines.bounded_json import read_object
from data_pipelines.noise.truth import read_truth
from data_pipelines.shards.atomic import write_file
from eval.contract import Embedder, EmbeddingModel
from eval.data.dataset import EvalDataset
from eval.data.folders import open_dataset
from eval.embedding.embedder import RememberingEmbedder
from eval.opening import open_model
from eval.studies.noise.embedding import study_embedder, study_gallery
from eval.studies.noise.grid import Cell, StudyConfig
from eval.studies.noise.methods import METHODS
from eval.studies.noise.training import RECIPE, StudyFolders, run_config, steps_of_epoch
from eval.studies.training import train_anew
from eval.zero_shot.retrieval import CosinePlaces, cosine_places
from vlsuite.engine.run_folder import describe_environment, write_json
from vlsuite.objectives.pair_keys import hashed

RESULT, ARRAYS = "cell.json", "cell.npz"

_RECALL_AT = (1, 5)


def is_done(folders: StudyFolders, cell: Cell, config: StudyConfig) -> bool:
    """Whether a run is finished, under these settings."""
    path = folders.cell(cell) / RESULT
    try:
        return path.is_file() and read_object(path).get("digest") == config.digest
    except (OSError, ValueError):
        return False


def train_cell(config: StudyConfig, folders: StudyFolders, cell: Cell, lr: float) -> None:
    """Train one method on its noisy set and write what came out."""
    started = time.perf_counter()
    folder = folders.cell(cell)
    method = METHODS[cell.method]
    run = run_config(config, folders, cell, lr=lr)
    curve = _Curve(open_dataset(str(folders.sets.test)))
    start = _start(config, folders, cell, curve)
    state = train_anew(run, folder / "run", [curve], recipe=RECIPE)
    places = curve.last_places
    noisy = folders.sets.noisy(cell.rate, cell.seed, clean_only=False)
    found = _Detection.empty() if method.clean_only else _detection(noisy, start, state)
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
            "lr": lr,
            "steps_between": steps_of_epoch(config, folders, cell),
            "num_pairs": folders.sets.count(Path(run.data.train[0])),
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
    _last: CosinePlaces | None = None

    def __call__(self, model: EmbeddingModel) -> list[dict[str, Any]]:
        scores = self.enter(self.places(model))
        shown = {name: {"value": value} for name, value in scores.items()}
        return [{"benchmark": "retrieval", "dataset": self.dataset.name, "scores": shown}]

    def enter(self, places: CosinePlaces) -> dict[str, float]:
        """Take in one evaluation; returns its recalls."""
        scores = {}
        for direction, found in places._asdict().items():
            for k in _RECALL_AT:
                scores[f"{direction}_recall_at_{k}"] = float(np.mean(found < k))
        for name, value in scores.items():
            self.recalls.setdefault(name, []).append(value)
        self._last = places
        return scores

    @property
    def last_places(self) -> CosinePlaces:
        """Of the newest evaluation; after training, of the last model."""
        assert self._last is not None, "training ends with an evaluation"
        return self._last

    def places(self, model: EmbeddingModel) -> CosinePlaces:
        """Where each query ranks its partner."""
        if self._embedder is None:
            self._embedder = study_embedder()
        embedder = RememberingEmbedder(self._embedder)
        return cosine_places(study_gallery(self.dataset, model, embedder))


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


class _Start(NamedTuple):
    """What the common start knows: cosines of the noisy pairs, places of the test queries."""

    cosines: Float32[np.ndarray, " pairs"]
    places: CosinePlaces


def _start(config: StudyConfig, folders: StudyFolders, cell: Cell, curve: _Curve) -> _Start | None:
    """Evaluate the start, once for all methods; its recalls begin the curve."""
    if not config.pretrain_share:
        return None
    noisy = folders.sets.noisy(cell.rate, cell.seed, clean_only=False)
    path = folders.start(cell)
    if not path.is_file():
        model = open_model(str(folders.pretrained(cell.seed)))
        places = curve.places(model)
        cosines = _own_cosines(open_dataset(str(noisy)), model, study_embedder())
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = io.BytesIO()
        np.savez(stream, cosines=cosines, i2t=places.image_to_text, t2i=places.text_to_image)
        write_file(path, stream.getvalue())
    with np.load(path, allow_pickle=False) as held:
        found = _Start(held["cosines"], CosinePlaces(held["i2t"], held["t2i"]))
    curve.enter(found.places)
    return found


def _detection(noisy: Path, start: _Start | None, state: Any) -> _Detection:
    truth = read_truth(noisy)
    dataset = open_dataset(str(noisy))
    model = state.evaluated("trained")
    known = state.objective.noise_probabilities() or {}
    pairs = zip(truth.uids, truth.caption_numbers.tolist(), strict=True)
    probability = [known.get(hashed("pair", uid, str(number)), np.nan) for uid, number in pairs]
    return _Detection(
        truth.is_mismatched,
        _own_cosines(dataset, model, study_embedder()),
        np.full(len(dataset), np.nan, np.float32) if start is None else start.cosines,
        np.asarray(probability, np.float32),
    )


def _own_cosines(
    dataset: EvalDataset, model: EmbeddingModel, embedder: Embedder
) -> Float32[np.ndarray, " pairs"]:
    gallery = study_gallery(dataset, model, embedder)
    found = np.full(len(dataset), np.nan, np.float32)
    own = (gallery.image_embeds * gallery.text_embeds).sum(dim=1)
    found[gallery.image_rows] = own.cpu().numpy()
    return found


def _noise_share(objective: Any) -> float | None:
    division = getattr(objective, "division", None)
    return None if division is None else division.noise_share()
