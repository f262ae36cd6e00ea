"""From pictures to detections: boxes of a detector or the caption's own nouns, then attributes."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from eval.contract import EmbeddingModel
from eval.errors import EvaluationError
from eval.progress import Progress
from eval.xmai.attack import PICTURES_PER_CHUNK
from eval.xmai.chunks import CaptionRow, CaptionSource, Chunk
from eval.xmai.crossmodal import embed_pictures
from eval.xmai.detections import Detection
from eval.xmai.detectors import Detector, load_detector
from eval.xmai.matching import Nouns, load_nouns, nouns_in
from eval.xmai.objective import DECIMALS
from eval.xmai.plan import load_tagger
from eval.xmai.specs import DetectSpec, MethodSpec
from eval.xmai.tagger import Frame, Tag
from vlsuite.batches.decode import decode_image
from vlsuite.errors import BadSampleError

#: Boxes are widened by this share on each side before the tagger looks at them.
_MARGIN = 0.1
#: Captions of a picture that are asked about one noun.
_MOST_FRAMES = 5


def detect(spec: DetectSpec, source: CaptionSource) -> Iterator[Detection]:
    """Detections of all pictures, in order; pictures that cannot be decoded have none.

    Raises:
        UserError: a model is missing.
    """
    from eval.opening import open_embedding_model

    model = open_embedding_model(spec.tagger, device=spec.device)
    method = MethodSpec(groups=spec.groups, template=spec.template)
    tagger = load_tagger(method, model, source)
    detector = (
        load_detector(
            spec.detector,
            min_score=spec.min_score,
            max_boxes=spec.max_boxes,
            device=spec.device,
        )
        if spec.detector
        else None
    )
    nouns = load_nouns(spec.nouns)
    progress = Progress("detecting", total=len(source), unit="pictures")
    for start in range(0, len(source), PICTURES_PER_CHUNK):
        chunk = source.chunk(start, start + PICTURES_PER_CHUNK, with_pictures=True)
        things = _boxes(chunk, detector, model) if detector else _nouns(chunk, nouns, model)
        for thing in things:
            frames = thing.frames if spec.around == "caption" else ()
            tags = tagger.tags(thing.embed, thing.name, frames).values()
            yield from tagged(thing, tags, min_attribute=spec.min_attribute)
        progress.add(len(chunk.pictures))
    progress.close()


@dataclass(frozen=True, slots=True)
class Thing:
    """Something named in a picture, and what the tagger looks at.

    Args:
        uid: of the picture.
        name: of the thing, in lower case.
        embed: unit vector of the picture, or of the part in the box.
        score: see ``Detection``.
        box: see ``Detection``.
        frames: the captions that name it.
    """

    uid: str
    name: str
    embed: Float[np.ndarray, " embed_dim"]
    score: float = 1.0
    box: tuple[float, float, float, float] | None = None
    frames: tuple[Frame, ...] = ()


def tagged(thing: Thing, tags: Iterable[Tag], *, min_attribute: float) -> list[Detection]:
    """The attributes that are likely enough; where none is, the thing without any."""
    found = [
        Detection(
            uid=thing.uid,
            name=thing.name,
            attribute=tag.attribute,
            score=thing.score,
            attribute_score=tag.probability,
            box=thing.box,
        )
        for tag in tags
        if tag.probability >= min_attribute
    ]
    nothing = Detection(
        uid=thing.uid, name=thing.name, attribute="", score=thing.score, box=thing.box
    )
    return found or [nothing]


def _nouns(chunk: Chunk, nouns: Nouns, model: EmbeddingModel) -> Iterator[Thing]:
    """Every distinct noun of a picture's captions that none of them denies is taken to be in it."""
    embeds, is_good = embed_pictures(model, chunk.pictures)
    found = nouns_in([row.text for row in chunk.rows], nouns)
    frames: dict[tuple[CaptionRow, str], list[Frame]] = defaultdict(list)
    first: dict[tuple[int, str], CaptionRow] = {}
    for row, own in zip(chunk.rows, found, strict=True):
        for noun in own:
            name = noun.phrase.lower()
            key = first.setdefault((row.picture, name), row), name
            frames[key].append(Frame(row.text[: noun.offset], row.text[noun.offset :]))
    for (row, name), own in frames.items():
        if is_good[row.picture]:
            around = tuple(own[:_MOST_FRAMES])
            yield Thing(row.uid, name, embeds[row.picture], frames=around)


def _boxes(chunk: Chunk, detector: Detector, model: EmbeddingModel) -> Iterator[Thing]:
    uids = dict(_uids(chunk.rows))
    for number, data in enumerate(chunk.pictures):
        try:
            picture = decode_image(data)
        except BadSampleError:
            continue
        boxes = detector(picture)
        crops = [picture.crop(_widened(box.corners, picture.size)) for box in boxes]
        embeds = _crop_embeds(model, crops)
        for box, embed in zip(boxes, embeds, strict=True):
            corners = tuple(round(corner, 2) for corner in box.corners)
            left, top, right, bottom = corners
            score = round(min(box.score, 1.0), DECIMALS)
            yield Thing(uids[number], box.name.lower(), embed, score, (left, top, right, bottom))


def _uids(rows: Sequence[CaptionRow]) -> Iterator[tuple[int, str]]:
    for row in rows:
        yield row.picture, row.uid


def _crop_embeds(model: EmbeddingModel, crops: Sequence) -> Float[np.ndarray, "crops embed_dim"]:
    import torch

    if not crops:
        return np.zeros((0, model.embed_dim))
    pixels = torch.stack([model.image_transform(crop) for crop in crops])
    return model.embed_images(pixels).detach().float().cpu().numpy().astype(np.float64)


def _widened(
    corners: tuple[float, float, float, float], size: tuple[int, int]
) -> tuple[int, int, int, int]:
    """A box with a margin, inside the picture, of one pixel at least."""
    left, top, right, bottom = corners
    if not all(np.isfinite(corners)):
        raise EvaluationError("the detector gave a box that is no number; check its weights")
    x, y = (right - left) * _MARGIN, (bottom - top) * _MARGIN
    x0 = min(max(0, int(left - x)), size[0] - 1)
    y0 = min(max(0, int(top - y)), size[1] - 1)
    x1 = min(size[0], max(x0 + 1, round(right + x)))
    y1 = min(size[1], max(y0 + 1, round(bottom + y)))
    return x0, y0, x1, y1
