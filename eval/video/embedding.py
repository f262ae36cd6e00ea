"""Clips to embeddings: decoded by guarded processes, shown to the model and to its baseline."""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64
from PIL import Image
from torch import Tensor

from data_pipelines.video.process import SampledClip
from data_pipelines.video.sampler import FrameSampling, Sampler
from eval.contract import ClipEmbeddingModel, Embedder, EmbeddingModel
from eval.data.views import ImageTransform
from eval.embedding.embedder import refuse_not_finite
from eval.errors import EvaluationError
from eval.process_group import gather_rows, my_rows, ranks
from eval.progress import Progress
from eval.results import Score
from eval.video.clip_set import ClipSet
from eval.video.decoding import ClipDecoder
from eval.video.mean_pooled import MeanPooled, as_clip_model
from eval.video.options import VideoOptions
from eval.video.reduction import as_reduced

#: What scores of the baseline begin with.
BASELINE = "mean_pooled_"


class ClipEmbeddings(NamedTuple):
    """The embedded clips of a set, on the CPU, the same on every process.

    Attributes:
        towers: by what the names of their scores begin with: "" is the model, ``BASELINE`` the
            mean of its pictures, which is left out where it is the model itself.
        rows: numbers of the clips that could be decoded, ascending.
        sampling: how frames were chosen.
    """

    towers: dict[str, Float[Tensor, "clips embed_dim"]]
    rows: Int64[np.ndarray, " clips"]
    sampling: FrameSampling


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

    What was computed before for the same weights, clips, sampler and frames is remembered.

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

    def compute() -> np.ndarray:
        return _computed(list(towers.values()), found, sampling, options)

    stored = embedder.remembered(model, f"clips/{json.dumps(told)}", compute)
    embeds = torch.from_numpy(np.array(stored))
    good = ~torch.isnan(embeds[0, :, 0])
    if not good.any():
        raise EvaluationError(
            f"none of the {len(found)} videos of {found.name} can be decoded; look at one with "
            "'vlsuite data inspect'"
        )
    rows = np.flatnonzero(good.numpy()).astype(np.int64)
    kept = {name: embeds[i][good] for i, name in enumerate(towers)}
    return ClipEmbeddings(kept, rows, sampling)


def _computed(
    towers: Sequence[ClipEmbeddingModel],
    found: ClipSet,
    sampling: FrameSampling,
    options: VideoOptions,
) -> np.ndarray:
    """Embeddings [towers, clips, embed_dim]; NaN where a clip cannot be decoded."""
    model = towers[0]
    distinct, positions = np.unique(found.same_as, return_inverse=True)
    mine = distinct[my_rows(len(distinct))]
    local = torch.full((len(mine), len(towers), model.embed_dim), torch.nan)
    what = f"embedding {found.name} ({sampling.num_frames} frames)"
    progress = Progress(what, total=len(mine), unit="clips") if not ranks().rank else None
    blank = torch.stack([model.image_transform(Image.new("RGB", (8, 8)))] * sampling.num_frames)
    with ClipDecoder(options.workers) as decoder:
        decoder.check()
        clips_shown = decoder.each(
            (found.clips[row] for row in mine.tolist()),
            sampling,
            partial(as_shown, model.image_transform),
        )
        for start in range(0, len(mine), options.batch_size):
            batch = list(islice(clips_shown, options.batch_size))
            # Broken ones are black: under ZeRO-3 every process must call the model equally often.
            clips = torch.stack([blank if pixels is None else pixels for pixels in batch])
            clips = clips.to(model.device)
            good = torch.tensor([pixels is not None for pixels in batch])
            with torch.no_grad():
                told = [tower.embed_clips(clips).float().cpu() for tower in towers]
            embeds = torch.stack(told, 1)
            for own in embeds[good]:
                refuse_not_finite(own, model, f"clips of {found.name}")
            local[start : start + len(batch)][good] = embeds[good]
            if progress:
                progress.add(len(batch))
    if progress:
        progress.close()
    gathered = gather_rows(local, len(distinct), device=model.device)[positions]
    return gathered.transpose(0, 1).contiguous().numpy()


def as_shown(transform: ImageTransform, sampled: SampledClip) -> Tensor:
    """Frames [frames, 3, height, width] as the model sees them."""
    return torch.stack([transform(Image.fromarray(frame)) for frame in sampled.frames])
