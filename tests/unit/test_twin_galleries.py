"""Galleries that hold one of each group of skin-tone twins, and all pictures together."""

import numpy as np
import torch

from benchmarks.support.twin_galleries import galleries, part_of, untoned
from eval.zero_shot.retrieval import Gallery, cosine_places

KEYS = ("1f90f", "1f90f-1f3fd", "1f9d1-1f3fb-200d-1f3ed", "1f9d1-1f3fc-200d-1f3ed", "1f90f-1f3fe")


def test_keys_of_twins_are_equal_without_their_tones():
    assert [untoned(key) for key in KEYS] == [
        "1f90f",
        "1f90f",
        "1f9d1-200d-1f3ed",
        "1f9d1-200d-1f3ed",
        "1f90f",
    ]
    assert untoned("1f3fb") == ""
    assert untoned("1f3fa-1f400") == "1f3fa-1f400"


def test_each_gallery_has_one_of_each_group_and_all_are_asked():
    groups = np.array([1, 1, 0, 0, 1, 2])
    found = galleries(groups)
    assert [part.tolist() for part in found] == [[0, 2, 5], [1, 3, 5], [2, 4, 5]]
    for part in found:
        assert sorted(groups[part]) == [0, 1, 2]
    assert set(np.concatenate(found)) == set(range(6))


def test_a_part_ranks_as_if_nothing_else_were_there():
    generator = torch.Generator().manual_seed(0)
    images = torch.nn.functional.normalize(torch.randn(5, 4, generator=generator), dim=1)
    owners = np.array([0, 1, 1, 2, 3, 3, 4])
    texts = torch.nn.functional.normalize(torch.randn(7, 4, generator=generator), dim=1)
    whole = Gallery(np.arange(5) + 10, images, list("abcdefg"), owners, texts)
    part = part_of(whole, np.array([1, 3, 4]))
    assert part.image_rows.tolist() == [11, 13, 14]
    assert part.captions == ["b", "c", "e", "f", "g"]
    assert part.owners.tolist() == [0, 0, 1, 1, 2]
    scores = (part.text_embeds @ part.image_embeds.T).numpy()
    own = scores[np.arange(5), part.owners]
    wanted = (scores > own[:, None]).sum(axis=1)
    assert cosine_places(part).text_to_image.tolist() == wanted.tolist()
