"""What has to hold before heads are compared: the teacher knows the things, proposals hold them."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, UInt8

from eval.detection.annotated import chosen_vocabulary, truth_of
from eval.detection.matching import matched
from eval.detection.picture_set import PictureSet
from eval.detection.precision import class_figures
from eval.detection.regions import Found
from eval.errors import EvaluationError
from eval.studies.detection.base import detector_config
from eval.studies.detection.detecting import pictures_in
from eval.studies.detection.folders import StudyFolders
from eval.studies.detection.settings import Cell, DetectionStudyConfig
from vlsuite.batches.decode import decode_image
from vlsuite.engine.run_folder import write_json
from vlsuite.models.opening import open_model
from vlsuite.models.vild.teacher import Teacher

GROUPS = ("base", "novel")
_SPLITS = ("validation", "test")
_RECALL_AT = 100
_NMS = 0.7  # the proposal network's own


def measure_teacher(config: DetectionStudyConfig, folders: StudyFolders) -> None:
    """Share of the marked objects that the teacher names rightly from their crops.

    Of all names, as detectors choose among all.
    """
    torch.set_num_threads(1)
    teacher = detector_config(config, folders, Cell("vild")).build_teacher()
    assert teacher is not None
    found = {split: _top1(teacher, pictures_in(folders.split(split))) for split in _SPLITS}
    write_json(folders.teacher_facts, {"digest": config.base_digest, "top1": found})


def check_teacher(facts: dict[str, Any], config: DetectionStudyConfig) -> None:
    """Stop a study whose teacher does not know the novel things; test crops are not looked at.

    Raises:
        EvaluationError: it does not.
    """
    own = facts["top1"]["validation"]["novel"]
    if own < config.least_top1:
        raise EvaluationError(
            f"the teacher names {100 * own:.0f}% of the novel crops of validation, "
            f"{100 * config.least_top1:.0f}% are needed for it to teach; train it longer (--set "
            "teacher_epochs=N, teacher_pairs=N) in a new --out, or lower --set least_top1=SHARE"
        )


def measure_recalls(config: DetectionStudyConfig, folders: StudyFolders) -> None:
    """AR of the 100 best proposals of each picture, by group: IoU .5 to .95, names not asked."""
    torch.set_num_threads(1)
    localizer = open_model(str(folders.localizer))
    found = {}
    for split in _SPLITS:
        pictures = pictures_in(folders.split(split))
        boxes = [
            localizer.propose(
                np.asarray(decode_image(pictures.read(row))), keep=_RECALL_AT, nms=0.7
            )
            for row in range(len(pictures))
        ]
        found[split] = recalls_of(pictures, [one.numpy() for one in boxes])
    write_json(folders.recalls, {"digest": config.base_digest, "recalls": found})


def recalls_of(pictures: PictureSet, boxes: list[Float32[np.ndarray, "n 4"]]) -> dict[str, float]:
    """AR (mean over IoU .5 to .95) and recall at IoU .5 of proposals, by group.

    Args:
        boxes: of each picture, best first: left, top, right, bottom.
    """
    chosen = chosen_vocabulary(pictures.vocabulary, "auto")
    counts = [len(one) for one in boxes]
    joined = np.concatenate(boxes).astype(np.float64)
    joined[:, 2:] -= joined[:, :2]
    scores = np.concatenate([np.arange(count, 0, -1, dtype=np.float64) for count in counts])
    found = Found(
        images=np.repeat(np.arange(len(boxes)), counts),
        labels=np.zeros(len(joined), np.int64),
        boxes=joined,
        scores=scores,
    )
    once = np.ones((1, len(boxes)), np.int64)
    recalls: dict[str, float] = {}
    for group in GROUPS:
        own = chosen.groups[group]
        kept = [one.kept(own[chosen.rows[one.labels]]) for one in pictures.annotations]
        truth = truth_of(kept, chosen)._replace(masks=None, num_classes=1)
        truth = truth._replace(labels=np.zeros(len(truth.labels), np.int64))
        levels = class_figures(matched(truth, found), once, most=_RECALL_AT).recall[0, :, 0]
        recalls[group] = float(levels.mean())
        recalls[f"{group}_50"] = float(levels[0])
    return recalls


def _top1(teacher: Teacher, pictures: PictureSet) -> dict[str, float]:
    chosen = chosen_vocabulary(pictures.vocabulary, "auto")
    names = teacher.embed_names(chosen.vocabulary.texts)
    right: list[np.ndarray] = []
    for row in range(len(pictures)):
        marked = pictures.annotations[row]
        if not marked.num_objects:
            continue
        image = _pixels(pictures, row)
        embeds = teacher.embed_regions(image, torch.from_numpy(marked.boxes))
        said = (embeds @ names.T).argmax(dim=1).numpy()
        wanted = chosen.rows[marked.labels]
        right.append(np.stack([said == wanted, chosen.groups["novel"][wanted]]))
    is_right, is_novel = np.concatenate(right, axis=1)
    return {
        "base": float(is_right[~is_novel].mean()),
        "novel": float(is_right[is_novel].mean()),
        "num_novel": int(is_novel.sum()),
    }


def _pixels(pictures: PictureSet, row: int) -> UInt8[np.ndarray, "rows columns 3"]:
    return np.array(decode_image(pictures.read(row)))
