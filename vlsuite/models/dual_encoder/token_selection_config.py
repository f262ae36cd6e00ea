"""Settings of the token-selection embedding, and how it is put on the towers."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from data_pipelines.bounded_json import read_object
from data_pipelines.field_types import check_fields
from vlsuite.errors import ConfigError, ModelError
from vlsuite.models.dual_encoder.token_selection import (
    Norm,
    SelectingImageTower,
    SelectingTextTower,
    SelectionHead,
    check_towers,
)
from vlsuite.models.dual_encoder.towers import DualEncoder
from vlsuite.models.sizes import MOST_WIDTH

#: Parameters under this name are new: no pretrained weights cover them.
NEW = ".selection."

#: In a model folder, beside the towers as plain open_clip reads them (the global embedding).
SELECTION, SELECTION_WEIGHTS = "token_selection.json", "token_selection.safetensors"
_BASE = ".base."


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenSelectionConfig:
    """RDE's second embedding.

    Attributes:
        share: of the tokens that are kept, R; 0.3 in the paper, which recommends 0.3 to 0.5.
        width: of the embedding; 1,024 in the paper. 0 turns it off.
        norm: inside its head: "layer", "batch", or "affine" (what the published noisy results
            were trained with; see ``models.token_selection``).
    """

    share: float = 0.3
    width: int = 0
    norm: Norm = "layer"

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise ConfigError(f"model.token_selection.share={self.share} must lie in (0, 1]")
        if not 0 <= self.width <= MOST_WIDTH:
            raise ConfigError(
                f"model.token_selection.width must lie between 0 (none) and {MOST_WIDTH:,}"
            )

    def put_on(self, encoder: DualEncoder, *, embed_dim: int) -> tuple[int, ...]:
        """Wrap both towers; returns the widths of the parts of an embedding, () if turned off.

        Raises:
            ModelError: see ``check_towers``.
        """
        if not self.width:
            return ()
        check_towers(encoder.visual, encoder.text)
        heads = [SelectionHead(embed_dim, self.width, norm=self.norm) for _ in range(2)]
        encoder.visual = SelectingImageTower(
            encoder.visual,  # type: ignore[arg-type]
            heads[0],
            share=self.share,
        )
        encoder.text = SelectingTextTower(
            encoder.text,  # type: ignore[arg-type]
            heads[1],
            share=self.share,
        )
        return embed_dim, self.width


def split_selection(
    weights: Mapping[str, Tensor],
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Weights of the towers under the names they have without the second embedding, and the rest.

    Args:
        weights: by DualEncoder name.
    """
    towers = {n.replace(_BASE, ".", 1): v for n, v in weights.items() if NEW not in n}
    return towers, {n: v for n, v in weights.items() if NEW in n}


def read_selection(folder: Path) -> TokenSelectionConfig | None:
    """The second embedding of a model folder; None where it has none.

    Raises:
        ModelError: its description cannot be read.
    """
    path = folder / SELECTION
    if not path.is_file():
        return None
    try:
        found = TokenSelectionConfig(**read_object(path))
        check_fields(found)
    except (OSError, ValueError, TypeError, ConfigError) as error:
        raise ModelError(f"cannot read {path}: {error}; export the model again") from error
    return found


def load_selection(encoder: DualEncoder, path: Path) -> None:
    """Take the weights of the second embedding from a model folder.

    Raises:
        ModelError: they are missing, broken or of another shape.
    """
    try:
        weights = load_file(path)
        missing, unexpected = encoder.load_state_dict(weights, strict=False)
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"cannot load {path}: {reason}; export the model again") from error
    wrong = [name for name in missing if NEW in name] + list(unexpected)
    if wrong:
        raise ModelError(f"{path} does not fit its model ('{wrong[0]}'); export the model again")
