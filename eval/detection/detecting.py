"""A detector run over all pictures of a set, shared among processes, and kept between commands.

Results lie under the model, the pictures, the texts and the settings that change what is found;
a second command with another split, or another rule of counting, reads them.
"""

import io
import json
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Int64, UInt8
from PIL import Image
from torch import Tensor

from data_pipelines.errors import DataError, ShardError
from eval.contract import Detections, DetectionVocabulary, Detector, Embedder, MaskRle
from eval.detection.options import DetectionOptions
from eval.detection.picture_set import PictureSet
from eval.detection.regions import Found, best_of_picture
from eval.errors import EvaluationError
from eval.process_group import from_all, my_rows, ranks
from eval.progress import Progress
from vlsuite.batches.decode import decode_image

BROKEN = "picture cannot be decoded"
OTHER_SIZE = "picture of another size than its annotations say"
_REASONS = (BROKEN, OTHER_SIZE)


class DetectedSet(NamedTuple):
    """What was found in the pictures that could be shown.

    Attributes:
        rows: numbers of those pictures in the set, ascending.
        found: with pictures numbered in the order of ``rows``.
        left_out: pictures that could not be shown, by reason.
    """

    rows: Int64[np.ndarray, " images"]
    found: Found
    left_out: dict[str, int]


class _Own(NamedTuple):
    """Of one picture: why it was not shown (0: it was), and what was found."""

    row: int
    reason: int
    found: Detections | None


def detect_all(
    model: Detector,
    pictures: PictureSet,
    vocabulary: DetectionVocabulary,
    embedder: Embedder,
    options: DetectionOptions,
) -> DetectedSet:
    """Run the detector, or read what it found before.

    Collective: every process gets the whole.

    Raises:
        EvaluationError: no picture can be decoded, or the detector gives NaN, classes that the
            vocabulary does not have, or lists of different lengths.
    """
    told = [
        pictures.fingerprint().hex(),
        list(vocabulary.texts),
        options.most,
        options.names_per_pass,
    ]

    def compute() -> np.ndarray:
        return _computed(model, pictures, vocabulary, options)

    stored = embedder.remembered(model, f"detections/{json.dumps(told)}", compute)
    whole = _unpacked(stored)
    if not len(whole.rows):
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in whole.left_out.items())
        raise EvaluationError(
            f"none of the {len(pictures):,} pictures can be shown to the detector ({reasons}); "
            "look at one with 'vlsuite data inspect'"
        )
    return whole


def _computed(
    model: Detector,
    pictures: PictureSet,
    vocabulary: DetectionVocabulary,
    options: DetectionOptions,
) -> UInt8[np.ndarray, " bytes"]:
    rows = my_rows(len(pictures))
    what = f"detecting {len(vocabulary.texts):,} names"
    progress = Progress(what, total=len(rows), unit="pictures") if not ranks().rank else None
    own: list[_Own] = []
    shown = _shown(pictures, rows, options)
    while batch := list(islice(shown, options.batch_size)):
        # Broken ones are black: under ZeRO-3 every process must call the model equally often.
        images = [image if isinstance(image, Tensor) else _BLANK for _, image in batch]
        found = asked(
            model,
            images,
            vocabulary,
            max_detections=options.most,
            names_per_pass=options.names_per_pass,
        )
        for (row, image), one in zip(batch, found, strict=True):
            if isinstance(image, Tensor):
                own.append(_Own(row, 0, checked(one, image, vocabulary, model)))
            else:
                own.append(_Own(row, image, None))
        if progress:
            progress.add(len(batch))
    if progress:
        progress.close()
    by_row = {one.row: one for part in from_all(own) for one in part}
    return _packed([by_row[row] for row in sorted(by_row)], options.most)


_BLANK = torch.zeros(3, 32, 32, dtype=torch.uint8)


def _shown(
    pictures: PictureSet, rows: Int64[np.ndarray, " rows"], options: DetectionOptions
) -> Iterator[tuple[int, Tensor | int]]:
    """Pictures in order, decoded some ahead; the number of a reason for those that are not."""
    with ThreadPoolExecutor(options.workers, thread_name_prefix="decode") as pool:
        jobs = ((row, pool.submit(_pixels, pictures, row)) for row in rows.tolist())
        ahead: deque[tuple[int, Future[Tensor | int]]] = deque(
            islice(jobs, options.workers + options.batch_size)
        )
        while ahead:
            row, job = ahead.popleft()
            yield row, job.result()
            ahead.extend(islice(jobs, 1))


def _pixels(pictures: PictureSet, row: int) -> Tensor | int:
    try:
        image = decode_image(pictures.read(row))
    except ShardError:
        raise
    except DataError:
        return 1 + _REASONS.index(BROKEN)
    if (image.height, image.width) != tuple(pictures.annotations[row].size):
        return 1 + _REASONS.index(OTHER_SIZE)
    return pixels_of_picture(image)


def pixels_of_picture(picture: Image.Image) -> UInt8[Tensor, "3 height width"]:
    """As detectors take pictures: colours first.

    Args:
        picture: RGB, as ``decode_image`` gives it.
    """
    pixels = torch.from_numpy(np.array(picture))
    return rearrange(pixels, "height width rgb -> rgb height width").contiguous()


def asked(
    model: Detector,
    images: Sequence[UInt8[Tensor, "3 _height _width"]],
    vocabulary: DetectionVocabulary,
    *,
    max_detections: int,
    names_per_pass: int | None,
) -> list[Detections]:
    """What the detector says of each picture, not yet checked one by one; see ``checked``.

    Raises:
        EvaluationError: it gives more or fewer results than pictures.
    """
    with torch.no_grad():
        found = model.detect(
            images,
            vocabulary.texts,
            max_detections=max_detections,
            names_per_pass=names_per_pass,
        )
    if len(found) != len(images):
        raise EvaluationError(
            f"model {model.name} gave {len(found)} results for {len(images)} pictures; detect "
            "must return one a picture"
        )
    return found


def checked(
    found: Detections, image: Tensor, vocabulary: DetectionVocabulary, model: Detector
) -> Detections:
    """On the CPU, and of the form that the contract asks for.

    Raises:
        EvaluationError: of another form.
    """
    boxes, scores, labels = (one.detach().cpu() for one in found[:3])
    problem = ""
    lengths = {len(boxes), len(scores), len(labels)}
    lengths |= set() if found.masks is None else {len(found.masks)}
    if len(lengths) > 1 or (boxes.ndim, scores.ndim, labels.ndim) != (2, 1, 1):
        problem = "boxes, scores, labels and masks of different lengths"
    elif not (torch.isfinite(boxes).all() and torch.isfinite(scores).all()):
        problem = "boxes or scores that are NaN or infinite"
    elif len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < len(vocabulary.texts):
        problem = f"labels beyond the vocabulary of {len(vocabulary.texts):,} names"
    elif any(list(mask["size"]) != list(image.shape[1:]) for mask in found.masks or ()):
        problem = "masks of another size than the picture"
    if problem:
        raise EvaluationError(f"model {model.name} gives {problem}; see eval.contract.Detections")
    return Detections(boxes, scores, labels, found.masks)


def _packed(own: Sequence[_Own], most: int) -> UInt8[np.ndarray, " bytes"]:
    """Everything in one array of bytes, which an embedder can keep."""
    shown = [one for one in own if one.found is not None]
    found = [one.found for one in shown if one.found is not None]
    counts = [len(one.scores) for one in found]
    has_masks = bool(found) and all(one.masks is not None for one in found)
    masks = [mask for one in found for mask in one.masks or ()] if has_masks else []
    texts = [_text(mask) for mask in masks]
    stream = io.BytesIO()
    np.savez_compressed(
        stream,
        rows=np.array([one.row for one in shown], dtype=np.int64),
        reasons=np.bincount([one.reason for one in own], minlength=1 + len(_REASONS)),
        counts=np.array(counts, dtype=np.int64),
        boxes=np.concatenate([np.zeros((0, 4), np.float32), *(_array(o.boxes) for o in found)]),
        scores=np.concatenate([np.zeros(0, np.float32), *(_array(o.scores) for o in found)]),
        labels=np.concatenate([np.zeros(0, np.int64), *(o.labels.numpy() for o in found)]),
        most=np.array(most),
        has_masks=np.array(has_masks),
        sizes=np.array([mask["size"] for mask in masks], dtype=np.int64).reshape(-1, 2),
        ends=np.cumsum([len(text) for text in texts], dtype=np.int64),
        texts=np.frombuffer(b"".join(texts), dtype=np.uint8),
    )
    return np.frombuffer(stream.getvalue(), dtype=np.uint8).copy()


def _array(values: Tensor) -> np.ndarray:
    return values.float().numpy()


def _text(mask: MaskRle) -> bytes:
    counts = mask["counts"]
    return counts.encode("ascii") if isinstance(counts, str) else bytes(counts)


def _unpacked(stored: UInt8[np.ndarray, " bytes"]) -> DetectedSet:
    with np.load(io.BytesIO(np.asarray(stored).tobytes()), allow_pickle=False) as kept:
        boxes = kept["boxes"].astype(np.float64)
        boxes[:, 2:] -= boxes[:, :2]
        masks: list[MaskRle] | None = None
        if bool(kept["has_masks"]):
            texts, ends = kept["texts"].tobytes(), kept["ends"].tolist()
            starts = [0, *ends[:-1]]
            masks = [
                {"size": size, "counts": texts[start:end]}
                for size, start, end in zip(kept["sizes"].tolist(), starts, ends, strict=True)
            ]
        images = np.repeat(np.arange(len(kept["counts"])), kept["counts"])
        found = Found(images, kept["labels"], boxes, kept["scores"].astype(np.float64), masks)
        reasons = zip(_REASONS, kept["reasons"].tolist()[1:], strict=True)
        return DetectedSet(
            rows=kept["rows"],
            found=best_of_picture(found, int(kept["most"])),
            left_out={reason: count for reason, count in reasons if count},
        )
