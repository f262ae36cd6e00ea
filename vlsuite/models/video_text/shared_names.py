"""Which weights of a video tower are those of the image tower it was made of."""

from collections.abc import Iterator, Mapping

from torch import nn


def names_in_image_tower(
    tower: nn.Module, image_names: Mapping[int, str]
) -> Iterator[tuple[str, str]]:
    """(name in the video tower, name in the image tower) of every weight that both have.

    Args:
        image_names: name by ``id`` of each parameter and buffer of the image tower, from before.
    """
    for name, value in (*tower.named_parameters(), *tower.named_buffers()):
        if id(value) in image_names:
            yield name, image_names[id(value)]
