"""Pictures in place of names: the teacher's embedding of a picture where one of a text is expected.

A teacher's pictures and texts lie apart: two pictures of different things are far closer to each
other than either is to its own name (the "modality gap"; Liang et al. 2022, arXiv 2203.02053). Put
beside names as it is, an example would win every region. So what pictures have in common is taken
away, and what names have in common put in its place, as in that publication's section 4.3 (there to
study the gap):

    v' = norm(v - mean of pictures + mean of names)

The mean of pictures is of parts of the pictures that will be looked at, the mean of names of the
names of the training. Scores of examples and of names then have one scale, but not one meaning: an
example is of one colour and pose, a name of all.

m = parts of pictures, D = length of an embedding
"""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float, UInt8
from torch import Tensor

from vlsuite.errors import ConfigError, ModelError
from vlsuite.models.vild.teacher import Teacher

#: Pictures whose parts say what pictures have in common, and cells of a side they are cut into.
_AROUND, _CELLS = 8, (1, 2, 3)


def example_embeds(
    teacher: Teacher,
    examples: Mapping[str, Sequence[UInt8[Tensor, "3 _height _width"]]],
    around: Sequence[UInt8[Tensor, "3 _height _width"]],
    *,
    names: Sequence[str],
) -> dict[str, Float[Tensor, " D"]]:
    """A unit vector for each name: the mean of its examples, moved to where names are.

    Args:
        examples: cut-out pictures of one thing each, by name.
        around: pictures of the kind that will be looked at; the first eight are used.
        names: of the training.
    Raises:
        ConfigError: a name without examples, or no picture around.
        ModelError: the teacher cannot be opened, or embeds a picture as NaN.
    """
    if not around or not all(examples.values()):
        raise ConfigError("examples need a picture each, and one of what is looked at at least")
    try:
        teacher.built  # noqa: B018  opens it
    except (ConfigError, ModelError) as error:
        raise ModelError(
            f"examples are read by the teacher's image tower, which cannot be opened ({error}); "
            "export the run again with 'vlsuite export RUN', which puts the teacher beside it"
        ) from error
    of_pictures = torch.cat([_parts(teacher, picture) for picture in around[:_AROUND]]).mean(0)
    of_names = teacher.embed_names(names).mean(0)
    found = {
        name: moved(torch.cat([_whole(teacher, one) for one in own]), of_pictures, of_names)
        for name, own in examples.items()
    }
    for name, vector in found.items():
        if not torch.isfinite(vector).all():
            raise ModelError(f"the teacher embeds an example of '{name}' as NaN; check its weights")
    return found


def moved(
    embeds: Float[Tensor, "m D"], of_pictures: Float[Tensor, " D"], of_names: Float[Tensor, " D"]
) -> Float[Tensor, " D"]:
    """The mean of examples, moved by the gap between pictures and names; unit norm.

    Args:
        embeds: unit norm.
        of_pictures, of_names: means of unit vectors.
    """
    mean = F.normalize(embeds.mean(0), dim=0)
    return F.normalize(mean - of_pictures + of_names, dim=0)


def _whole(teacher: Teacher, picture: Tensor) -> Tensor:
    height, width = picture.shape[1:]
    return _embedded(teacher, picture, torch.tensor([[0.0, 0.0, width, height]]))


def _parts(teacher: Teacher, picture: Tensor) -> Tensor:
    """The picture, its quarters and its ninths."""
    height, width = picture.shape[1:]
    boxes = [
        (column * width / cells, row * height / cells,
         (column + 1) * width / cells, (row + 1) * height / cells)
        for cells in _CELLS
        for row in range(cells)
        for column in range(cells)
    ]  # fmt: skip
    return _embedded(teacher, picture, torch.tensor(boxes))


def _embedded(teacher: Teacher, picture: Tensor, boxes: Tensor) -> Tensor:
    pixels = rearrange(picture.cpu(), "rgb rows columns -> rows columns rgb").contiguous()
    return teacher.embed_regions(pixels.numpy(), boxes)
