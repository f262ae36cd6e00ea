"""What a head finds in the pictures that judge it, kept as columns beside the head."""

import io
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from data_pipelines.bounded_json import read_object
from data_pipelines.shards.atomic import make_folder, write_file
from eval.data.folders import open_dataset
from eval.detection.annotated import chosen_vocabulary
from eval.detection.detecting import detect_all
from eval.detection.options import DetectionOptions
from eval.detection.picture_set import PictureSet, pictures_of
from eval.detection.regions import Found
from eval.errors import EvaluationError
from eval.studies.detection.folders import StudyFolders
from eval.studies.detection.heads import train_head
from eval.studies.detection.measures import measured, write_measures
from eval.studies.detection.settings import Cell, DetectionStudyConfig
from eval.studies.noise.embedding import study_embedder
from vlsuite.engine.run_folder import describe_environment, write_json
from vlsuite.models.vild.built import WEIGHTS

EXPORT = "export"
#: Of a head and the split that judges it: the result, its figures, all that was found.
RESULT, MEASURES, FOUND = "{}.json", "{}.npz", "{}-found.npz"


def is_done(folders: StudyFolders, cell: Cell, config: DetectionStudyConfig) -> bool:
    """Whether a head is trained and judged under these settings."""
    path = folders.cell(cell) / RESULT.format(config.judged)
    try:
        return path.is_file() and read_object(path).get("digest") == config.digest
    except (OSError, ValueError):
        return False


def run_cell(config: DetectionStudyConfig, folders: StudyFolders, cell: Cell) -> None:
    """Train a head, export it, and write what it finds."""
    torch.set_num_threads(1)
    folder = folders.cell(cell)
    make_folder(folder)
    head = train_head(config, folders, cell)
    built = head.built
    weights = {name: value.detach() for name, value in built.network.state_dict().items()}
    built.write(folder / EXPORT, weights, scalars={}, name=cell.name, history=None)
    assert (folder / EXPORT / WEIGHTS).is_file()
    model = built.evaluated(cell.name, scalars={}, device=torch.device("cpu"))
    pictures = pictures_in(folders.split(config.judged))
    started = time.perf_counter()
    found = find_all(model, pictures)
    seconds = time.perf_counter() - started
    _write_found(folder / FOUND.format(config.judged), found)
    write_measures(folder / MEASURES.format(config.judged), measured(found, pictures))
    write_json(
        folder / RESULT.format(config.judged),
        {
            **cell._asdict(),
            "digest": config.digest,
            "losses": head.losses,
            "train_seconds": head.seconds,
            "detect_seconds": seconds,
            "num_pictures": len(pictures),
            "environment": describe_environment(seed=cell.seed),
            "settings": asdict(config),
        },
    )


def pictures_in(folder: Path) -> PictureSet:
    """The pictures of a split of the scenes."""
    found = pictures_of(open_dataset(str(folder), task="detection"))
    assert found is not None
    return found


def find_all(model: Any, pictures: PictureSet) -> Found:
    """Everything that a detector finds, with the usual limit of 300 a picture.

    Raises:
        EvaluationError: a picture cannot be shown.
    """
    chosen = chosen_vocabulary(pictures.vocabulary, "auto")
    options = DetectionOptions(batch_size=8, workers=1)
    detected = detect_all(model, pictures, chosen.shown, study_embedder(), options)
    if len(detected.rows) != len(pictures):
        raise EvaluationError(f"{len(pictures) - len(detected.rows)} pictures cannot be shown")
    return detected.found


def read_found(path: Path) -> Found:
    """What ``run_cell`` wrote."""
    with np.load(path, allow_pickle=False) as held:
        return Found(**{name: held[name] for name in ("images", "labels", "boxes", "scores")})


def _write_found(path: Path, found: Found) -> None:
    stream = io.BytesIO()
    np.savez_compressed(
        stream, images=found.images, labels=found.labels, boxes=found.boxes, scores=found.scores
    )
    write_file(path, stream.getvalue())
