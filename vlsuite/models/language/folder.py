"""A language model as a folder of transformers, part of the folder of a model that has one."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from vlsuite.errors import RunFolderError
from vlsuite.export.new_file import write_weights
from vlsuite.models.dual_encoder.tokenizer_files import save_fast_tokenizer
from vlsuite.models.language.causal_lm import LanguageModel

_WEIGHTS = "model.safetensors"


def write_language_model(
    folder: Path, language: LanguageModel, weights: Mapping[str, Tensor]
) -> None:
    """In the layout of transformers; weights that the model shares are stored once.

    Args:
        language: the model as it was built (its weights are not used).
        weights: by its own names.
    Raises:
        RunFolderError: the folder cannot be written.
    """
    write_weights(folder / _WEIGHTS, weights)
    try:
        language.model.config.save_pretrained(folder)
        language.model.generation_config.save_pretrained(folder)
    except OSError as error:
        raise RunFolderError(
            f"cannot write {folder}: {error.strerror}; choose another folder with --out"
        ) from error
    save_fast_tokenizer(folder, language.texts.tokenizer)
