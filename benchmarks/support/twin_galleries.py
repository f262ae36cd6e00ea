"""Galleries without twins: of emoji that differ in skin tone alone, one stands in each gallery.

Twins have the same code points but for the five skin tones (Unicode Technical Standard 51, section
2.4: U+1F3FB to U+1F3FF). A gallery that holds several asks which brown is "medium-dark": a task of
its own, in which a right emoji counts as wrong. Gallery g takes member g of each group, from the
start again where a group has fewer, so that all pictures are asked about.
"""

import numpy as np
from jaxtyping import Int64

from data_pipelines.shards.stored_sample import StoredSample
from eval.data.dataset import EvalDataset
from eval.zero_shot.retrieval import Gallery

_SKIN_TONES = frozenset(f"{point:x}" for point in range(0x1F3FB, 0x1F400))


def twin_groups(dataset: EvalDataset) -> Int64[np.ndarray, " images"]:
    """Number of the group of each picture; twins have the same."""
    names = [
        untoned(str(StoredSample(str(i), dataset.images.members(i)).fields["key"]))
        for i in range(len(dataset))
    ]
    return np.unique(names, return_inverse=True)[1].astype(np.int64)


def untoned(key: str) -> str:
    """Code points in hexadecimal, joined by "-", without skin tones."""
    return "-".join(point for point in key.split("-") if point not in _SKIN_TONES)


def galleries(groups: Int64[np.ndarray, " images"]) -> list[Int64[np.ndarray, " chosen"]]:
    """Numbers of the pictures of each gallery, one of each group, ascending."""
    members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    most = max(len(own) for own in members)
    return [np.sort([own[g % len(own)] for own in members]) for g in range(most)]


def part_of(gallery: Gallery, chosen: Int64[np.ndarray, " chosen"]) -> Gallery:
    """Some of the pictures (ascending numbers in the gallery) and their captions alone."""
    texts = np.flatnonzero(np.isin(gallery.owners, chosen))
    return Gallery(
        image_rows=gallery.image_rows[chosen],
        image_embeds=gallery.image_embeds[chosen],
        captions=[gallery.captions[text] for text in texts],
        owners=np.searchsorted(chosen, gallery.owners[texts]).astype(np.int64),
        text_embeds=gallery.text_embeds[texts],
    )
