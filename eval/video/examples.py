"""Examples of retrieval for the report: strips of frames of the best and the worst queries."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from data_pipelines.errors import BadSampleError
from data_pipelines.video.process import VideoProcess
from data_pipelines.video.sampler import FrameSampling
from data_pipelines.video.strip import strip_of
from eval.metrics.ranking import best_entries
from eval.report.examples import ANSWERS_SHOWN
from eval.report.thumbnails import as_address
from eval.results import Example, Panel
from eval.video.clip_set import EvalClip
from eval.video.decoding import pictures_of

_SAMPLING, _HEIGHT = FrameSampling(num_frames=4), 56  # of a strip, pixels


def best_and_worst(
    captions: Sequence[str],
    text_embeds: Float[Tensor, "captions embed_dim"],
    clips: Sequence[EvalClip],
    clip_embeds: Float[Tensor, "clips embed_dim"],
    owners: Int64[np.ndarray, " captions"],
    *,
    ranks: Float64[np.ndarray, " captions"],
    count: int,
    seed: int,
) -> tuple[Example, ...]:
    """Captions that rank their video highest and lowest, in turn, with the videos they find.

    Args:
        owners: number of the clip of each caption.
        ranks: of the own clip, 1 being the top.
        count: of examples at most.
        seed: decides among equal ranks.
    """
    chosen = _ends(ranks, count, seed)
    if not chosen:
        return ()
    queries = text_embeds[torch.tensor(chosen)]
    best = best_entries(queries, clip_embeds, count=ANSWERS_SHOWN).tolist()
    cosines = (queries @ clip_embeds.T).cpu().numpy()
    with VideoProcess() as process:
        show = _shower(process, clips)
        return tuple(
            Example(
                "text_to_video",
                Panel(captions[query]),
                tuple(
                    replace(
                        show(clip),
                        similarity=round(float(cosines[row, clip]), 4),
                        is_correct=bool(clip == owners[query]),
                    )
                    for clip in best[row]
                ),
                replace(
                    show(int(owners[query])),
                    similarity=round(float(cosines[row, owners[query]]), 4),
                    is_correct=True,
                ),
                round(float(ranks[query])),
            )
            for row, query in enumerate(chosen)
        )


def _ends(ranks: Float64[np.ndarray, " captions"], count: int, seed: int) -> list[int]:
    """Best, worst, second best, second worst and so on."""
    shuffled = np.random.default_rng(seed).permutation(len(ranks))
    order = shuffled[np.argsort(ranks[shuffled], kind="stable")].tolist()
    turns = [order.pop(0 if turn % 2 == 0 else -1) for turn in range(min(count, len(order)))]
    return [int(number) for number in turns]


def _shower(process: VideoProcess, clips: Sequence[EvalClip]) -> Callable[[int], Panel]:
    def show(number: int) -> Panel:
        clip = clips[number]
        try:
            pictures = {p.place: p.picture for p in pictures_of(clip, _SAMPLING, process)}
            strip = strip_of([pictures[place] for place in sorted(pictures)], height=_HEIGHT)
        except BadSampleError:
            return Panel(clip.key)
        return Panel("", image=as_address(strip))

    return show
