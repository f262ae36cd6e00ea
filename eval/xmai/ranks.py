"""Ranks of each caption's picture before and after, in the full gallery, for the page."""

import numpy as np
import torch

from eval.data.dataset import EvalDataset
from eval.embedding.decode import StreamingDecoder
from eval.embedding.embedder import StreamingEmbedder
from eval.metrics.tied_ranking import rivals_of_own
from eval.xmai.rows import NamedFile, join_captions, seen_rows


def caption_ranks(
    spec: str, file: NamedFile, dataset: EvalDataset, *, device: str = "cpu"
) -> dict[tuple[str, str], tuple[float, float]]:
    """Text to image, ties average; by caption id and method.

    Raises:
        UserError: see ``open_embedding_model``; or the file does not belong to the data set.
    """
    from eval.opening import open_embedding_model

    model = open_embedding_model(spec, device=device)
    embedder = StreamingEmbedder(decoder=StreamingDecoder(batch_size=64, workers=2))
    pictures = embedder.images(model, dataset)
    rows = seen_rows(join_captions(file, dataset), pictures.rows)
    images = pictures.embeds.to(model.device)
    owners = torch.from_numpy(np.searchsorted(pictures.rows, rows.images)).to(images.device)
    everything = torch.arange(len(images), device=images.device)
    sides = []
    for texts in (rows.before, rows.after):
        embeds = embedder.texts(model, texts).to(images.device)
        rivals = rivals_of_own(embeds, images, owners, everything)
        sides.append(rivals.ranks("average").tolist())
    captions = zip(rows.captions, *sides, strict=True)
    return {(c.id, c.method): (before, after) for c, before, after in captions}
