"""What becomes of a video tower's tokens: one feature a clip, as the image tower makes it.

Towers with a class token keep it. Others pool the patches of each frame as they pool an image, and
the mean over the frames follows: for one frame that is the image tower's own feature.
"""

from jaxtyping import Float
from torch import Tensor, nn

from vlsuite.layers.clip_layout import ClipLayout


class Pooling(nn.Module):
    """Tokens to features.

    Args:
        class_token: whether the first tokens are those of the clips.
        norm: of all tokens.
        of_patches: tokens [t, n, width] of patches to one [t, width] a frame; None takes the class
            token instead.
        norm_pooled: after pooling.
        project: the last map.
    """

    def __init__(
        self,
        *,
        class_token: bool,
        norm: nn.Module,
        of_patches: nn.Module | None,
        norm_pooled: nn.Module,
        project: nn.Module,
    ) -> None:
        super().__init__()
        self.class_token = class_token
        self.norm = norm
        self.of_patches = of_patches
        self.norm_pooled = norm_pooled
        self.project = project

    def forward(
        self, tokens: Float[Tensor, "tokens width"], layout: ClipLayout
    ) -> Float[Tensor, "clips features"]:
        """One feature a clip."""
        tokens = self.norm(tokens)
        num_classes = layout.num_clips if self.class_token else 0
        if self.of_patches is None:
            pooled = tokens[:num_classes]
        else:
            patches = tokens[num_classes:].unflatten(0, (layout.total_frames, -1))
            pooled = layout.mean_over_frames(self.of_patches(patches))
        return self.project(self.norm_pooled(pooled))


class MeanOfPatches(nn.Module):
    """[t, n, width] to [t, width]."""

    def forward(self, patches: Float[Tensor, "frames patches width"]) -> Tensor:
        """Mean over the patches of a frame."""
        return patches.mean(dim=1)


class Matrix(nn.Module):
    """x P, with P as open_clip keeps it: [width, features].

    Args:
        weight: P; the same object as in the image tower.
    """

    def __init__(self, weight: nn.Parameter) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, rows: Float[Tensor, "clips width"]) -> Tensor:
        """The product."""
        return rows @ self.weight.to(rows.dtype)
