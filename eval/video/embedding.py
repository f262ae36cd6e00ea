"""Clips to embeddings: shown to the model and to its baseline, shared among processes."""

import json
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64
from PIL import Image

from data_pipelines.schema import JsonValue
from data_pipelines.video.sampler import FrameSampling, Sampler
from eval.contract import ClipEmbeddingModel, Embedder, EmbeddingModel
from eval.embedding.embedder import refuse_not_finite
from eval.embedding.together import remembered_together
from eval.errors import EvaluationError
from eval.process_group import gather_rows, my_rows, ranks
from eval.progress import Progress
from eval.results import Score
from eval.video.clip_set import ClipSet
from eval.video.cost import ClipCosts, CostMeter
from eval.video.decoding import shown_clips
from eval.video.mean_pooled import MeanPooled, as_clip_model
from eval.video.options import VideoOptions
from eval.video.packed import PackedFrames
from eval.video.reduction import as_reduced

#: What scores of the baseline begin with.
BASELINE = "mean_pooled_"

_TITLES = {"": "model", BASELINE: "mean_pooled"}


class ClipEmbeddings(NamedTuple):
    """The embedded clips of a set, on the CPU, the same on every process.

    Attributes:
        towers: by what the names of their scores begin with: "" is the model, ``BASELINE`` the
            mean of its pictures, which is left out where it is the model itself.
        rows: numbers of the clips that could be decoded, ascending.
        sampling: how frames were chosen.
        told: for the details of a result: sampling, cost and, of stored frames, how many.
    """

    towers: dict[str, Float[torch.Tensor, "clips embed_dim"]]
    rows: Int64[np.ndarray, " clips"]
    sampling: FrameSampling
    told: dict[str, JsonValue]


def beside(
    by_tower: Mapping[str, Mapping[str, Score]], *, first: Sequence[str] = ()
) -> dict[str, Score]:
    """Each score of the model with that of its baseline next to it.

    Args:
        by_tower: as in ``ClipEmbeddings``, scores by name.
        first: names that come before all others.
    """
    names = sorted(next(iter(by_tower.values()), ()), key=lambda name: name not in first)
    return {f"{prefix}{name}": own[name] for name in names for prefix, own in by_tower.items()}


def embed_clips(
    model: EmbeddingModel,
    found: ClipSet,
    embedder: Embedder,
    *,
    sampler: Sampler,
    num_frames: int | None,
    options: VideoOptions,
) -> ClipEmbeddings:
    """Embed every clip that can be decoded, by the model and by the mean of its pictures.

    What was computed before for the same weights, clips, sampler and frames is remembered, with
    what it cost. Collective.

    Args:
        num_frames: of a clip; None takes the model's own.

    Raises:
        MissingDecoderError: this machine cannot read videos.
        EvaluationError: no clip can be decoded, the model gives NaN, or cannot keep fewer tokens.
    """
    model = as_reduced(model, options)
    shown = as_clip_model(model)
    frames = shown.clip_frames if num_frames is None else num_frames
    sampling = FrameSampling(sampler=sampler, num_frames=frames)
    towers: dict[str, ClipEmbeddingModel] = {"": shown}
    if isinstance(model, ClipEmbeddingModel) and not isinstance(model, MeanPooled):
        towers[BASELINE] = MeanPooled(model)
    told = [found.fingerprint().hex(), sampling.to_json(), list(towers)]
    if options.decoder != "pyav":
        told.append(options.decoder)
    costs = ClipCosts.unknown(list(towers))

    def compute() -> np.ndarray:
        nonlocal costs
        stored, costs = _computed(towers, found, sampling, options)
        return stored

    key = json.dumps(told)
    stored = remembered_together(embedder, model, f"clips/{key}", compute)
    kept = remembered_together(embedder, model, f"clip costs/{key}", lambda: costs.to_array())
    embeds = torch.from_numpy(np.array(stored))
    good = ~torch.isnan(embeds[0, :, 0])
    if not good.any():
        raise EvaluationError(
            f"none of the {len(found)} videos of {found.name} can be decoded; look at one with "
            "'vlsuite data inspect'"
        )
    rows = np.flatnonzero(good.numpy()).astype(np.int64)
    by_prefix = {name: embeds[i][good] for i, name in enumerate(towers)}
    details: dict[str, JsonValue] = {"sampling": sampling.to_json(), "decoder": options.decoder}
    details |= _stored_frames(found)
    if cost := ClipCosts.from_array(kept, list(towers)).told(towers, frames, _TITLES):
        details["cost"] = cost
    return ClipEmbeddings(by_prefix, rows, sampling, details)


def _stored_frames(found: ClipSet) -> dict[str, JsonValue]:
    """Least and most frames of clips that are stored as such."""
    counts = [c.source.num_frames for c in found.clips if isinstance(c.source, PackedFrames)]
    return {"stored_frames": [min(counts), max(counts)]} if counts else {}


def _computed(
    towers: Mapping[str, ClipEmbeddingModel],
    found: ClipSet,
    sampling: FrameSampling,
    options: VideoOptions,
) -> tuple[np.ndarray, ClipCosts]:
    """Embeddings [towers, clips, embed_dim], NaN where a clip cannot be decoded; and the cost."""
    model = towers[""]
    distinct, positions = np.unique(found.same_as, return_inverse=True)
    mine = distinct[my_rows(len(distinct))]
    local = torch.full((len(mine), len(towers), model.embed_dim), torch.nan)
    meter = CostMeter(list(towers), model.device)
    what = f"embedding {found.name} ({_frames(sampling.num_frames)})"
    progress = Progress(what, total=len(mine), unit="clips") if not ranks().rank else None
    shown = shown_clips(
        [found.clips[row] for row in mine.tolist()], model.image_transform, sampling, options
    )
    blank = model.image_transform(Image.new("RGB", (8, 8))).expand(sampling.num_frames, -1, -1, -1)
    at_once = options.clips_at_once(sampling.num_frames)
    for start in range(0, len(mine), at_once):
        batch = list(islice(shown, at_once))
        for clip in batch:
            meter.decoded(clip.seconds)
        # Broken ones are black: under ZeRO-3 every process must call the model equally often.
        pixels = [blank if clip.pixels is None else clip.pixels for clip in batch]
        good = torch.tensor([clip.pixels is not None for clip in batch])
        del batch
        clips = torch.stack(pixels).to(model.device)
        del pixels
        for place, (prefix, tower) in enumerate(towers.items()):
            with torch.no_grad(), meter.embedding(prefix, len(clips)):
                embeds = tower.embed_clips(clips).float().cpu()
            for own in embeds[good]:
                refuse_not_finite(own[None], model, f"clips of {found.name}")
            local[start : start + len(clips), place][good] = embeds[good]
        if progress:
            progress.add(len(clips))
    if progress:
        progress.close()
    gathered = gather_rows(local, len(distinct), device=model.device)[positions]
    return gathered.transpose(0, 1).contiguous().numpy(), meter.costs()


def _frames(count: int) -> str:
    return f"{count} frame{'' if count == 1 else 's'}"
