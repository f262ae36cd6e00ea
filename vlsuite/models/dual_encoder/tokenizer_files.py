"""The tokenizer of a model as files beside its weights."""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from data_pipelines.bounded_json import read_object
from data_pipelines.foreign_files import check_file_sizes, refused_as
from vlsuite.errors import ModelError
from vlsuite.export.new_file import replacing, write_json
from vlsuite.models.dual_encoder.built import BuiltModel

_FILE_PATTERNS = ("*token*.json", "vocab.*", "merges.txt", "*.model")

#: transformers 5 writes a class name that version 4 does not know; both know the other one.
_BACKEND_CLASS, _PORTABLE_CLASS = "TokenizersBackend", "PreTrainedTokenizerFast"


def write_tokenizer(folder: Path, built: BuiltModel) -> None:
    """Write the tokenizer of a model that does not use open_clip's built-in one.

    Raises:
        ModelError: its files are not at hand.
        RunFolderError: the folder cannot be written.
    """
    if built.tokenizer_folder is None:
        save_fast_tokenizer(folder, load_fast_tokenizer(built))
    else:
        _copy_tokenizer(Path(built.tokenizer_folder), folder)


def load_fast_tokenizer(built: BuiltModel) -> Any:
    """The transformers tokenizer of a model that has one (``hf_tokenizer_name``).

    Raises:
        ModelError: it is neither in the model's folder nor in the local cache nor reachable.
    """
    from transformers import AutoTokenizer

    name = built.tokenizer_folder or built.model_cfg["text_cfg"]["hf_tokenizer_name"]
    what = f"cannot load the tokenizer '{name}' to write it beside the weights"
    with refused_as(ModelError, what, advice="put its files into that folder"):
        check_file_sizes(Path(name))
        return AutoTokenizer.from_pretrained(name)


def save_fast_tokenizer(folder: Path, tokenizer: Any) -> None:
    """Write a transformers tokenizer so that versions 4 and 5 load it.

    Raises:
        RunFolderError: the folder cannot be written.
    """
    with TemporaryDirectory() as scratch:
        tokenizer.save_pretrained(scratch)
        _copy_tokenizer(Path(scratch), folder)


def _copy_tokenizer(source: Path, folder: Path) -> None:
    found = sorted({path for pattern in _FILE_PATTERNS for path in source.glob(pattern)})
    if not found:
        raise ModelError(
            f"no tokenizer files in {source}, which belong to this model; put them back there"
        )
    for path in found:
        with replacing(folder / path.name) as temporary:
            shutil.copyfile(path, temporary)
    _make_portable(folder / "tokenizer_config.json")


def _make_portable(config_path: Path) -> None:
    if not config_path.is_file():
        return
    try:
        config = read_object(config_path)
    except (OSError, ValueError) as error:
        raise ModelError(
            f"cannot read {config_path}: {error}; fetch the tokenizer again"
        ) from error
    if config.get("tokenizer_class") == _BACKEND_CLASS:
        config["tokenizer_class"] = _PORTABLE_CLASS
        config.pop("backend", None)
        write_json(config_path, config)
