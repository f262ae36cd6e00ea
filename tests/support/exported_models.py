"""Tiny models in folders on disk, as ``vlsuite export`` writes them: for commands in processes."""

from collections.abc import Callable
from pathlib import Path

from open_clip.tokenizer import SimpleTokenizer
from torch import Tensor

from tests.support.tiny_models import register_architecture, tiny_model
from vlsuite.models.dual_encoder.open_clip_folder import write_open_clip_folder

Weights = dict[str, Tensor]


def exported_model(
    folder: Path, *, seed: int = 0, spoil: Callable[[Weights], None] | None = None
) -> Path:
    """A folder of random weights for 16-pixel pictures, the same for the same seed.

    Args:
        spoil: changes the weights in place before they are written.
    Returns:
        ``folder``.
    """
    folder.mkdir(parents=True)
    name = register_architecture(folder.parent, name=f"tiny-{folder.name}")
    built = tiny_model(name, seed=seed).built
    weights = {key: value.clone() for key, value in built.encoder.state_dict().items()}
    if spoil is not None:
        spoil(weights)
    write_open_clip_folder(folder, built, weights, logit_scale=17.0, logit_bias=None)
    return folder


def nan_in_images(weights: Weights) -> None:
    """Every picture is embedded as NaN."""
    weights["visual.conv1.weight"].fill_(float("nan"))


def nan_for_word(word: str) -> Callable[[Weights], None]:
    """Texts with this word are embedded as NaN, all others as before."""

    def spoil(weights: Weights) -> None:
        for token in SimpleTokenizer().encode(word):
            weights["text.token_embedding.weight"][token].fill_(float("nan"))

    return spoil
