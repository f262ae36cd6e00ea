"""Questions of order about a set of clips that is decoded once, for many models."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64, UInt8
from PIL import Image
from torch import Tensor

from data_pipelines.video.process import VideoProcess
from eval.contract import EmbeddingModel
from eval.data.views import ImageTransform
from eval.metrics.pair_scores import choice_hit
from eval.progress import Progress
from eval.video.clip_set import ChoiceQuestion, ClipSet, clips_of, cluster_numbers
from eval.video.open_set import Videos
from eval.video.packed import PackedFrames


class OrderQuestions(NamedTuple):
    """Clips as a model sees them, and what is asked of them.

    Attributes:
        name: of the set.
        found: clips and questions.
        pixels: of every clip.
        clusters: number of the scene that each question is about.
    """

    name: str
    found: ClipSet
    pixels: UInt8[Tensor, "clips frames 3 height width"]
    clusters: Int64[np.ndarray, " questions"]

    @property
    def kinds(self) -> tuple[str, ...]:
        """Of each question."""
        return tuple(question.kind for question in self.found.choices)

    @property
    def chance(self) -> float:
        """Share that guessing gets right."""
        return float(np.mean([1 / len(question.options) for question in self.found.choices]))

    def hits(
        self, clips: Float[Tensor, "clips embed_dim"], texts: Mapping[str, Tensor]
    ) -> Float64[np.ndarray, " questions"]:
        """Probability of being right of each question; as the task "video_order" answers.

        Args:
            clips: embeddings.
            texts: embedding by text; see :func:`embedded_texts`.
        """
        own = clips.double().numpy()
        hits = []
        for question in self.found.choices:
            options = np.stack([texts[text].double().numpy() for text in _told(question)])
            hits.append(choice_hit((options * own[question.clip]).sum(axis=1), question.answer))
        return np.array(hits)


def open_questions(path: Path, *, num_frames: int, transform: ImageTransform) -> OrderQuestions:
    """Decode every clip of shards, with progress.

    Args:
        num_frames: of a clip, the same whether it is played forwards or backwards.
        transform: of the models that are to be asked.
    """
    found = clips_of(Videos.open(str(path)))
    assert found is not None
    progress = Progress(f"decoding {path.name}", total=len(found), unit="clips")
    process, shown = VideoProcess(), []
    for clip in found.clips:
        assert not isinstance(clip.source, PackedFrames), f"{path} holds frames, no videos"
        sampled = process.sample(clip.source.video(), num_frames, "mirrored", span=clip.span)
        shown.append(torch.stack([transform(Image.fromarray(f)) for f in sampled.frames]))
        progress.add(1)
    process.close()
    progress.close()
    scenes = cluster_numbers([clip.cluster or clip.key for clip in found.clips])
    asked = np.array([question.clip for question in found.choices])
    return OrderQuestions(path.name, found, torch.stack(shown), scenes[asked])


def embedded_texts(
    model: EmbeddingModel, sets: Sequence[OrderQuestions]
) -> dict[str, Float[Tensor, " embed_dim"]]:
    """Of every option of every question, equal ones once."""
    told = [text for one in sets for question in one.found.choices for text in _told(question)]
    distinct = list(dict.fromkeys(told))
    return dict(zip(distinct, model.embed_texts(distinct).cpu(), strict=True))


def _told(question: ChoiceQuestion) -> list[str]:
    before = f"{question.question} " if question.question else ""
    return [f"{before}{option}" for option in question.options]
