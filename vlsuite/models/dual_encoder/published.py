"""What weights are to be used with beside the architecture: pictures' preparation and QuickGELU.

A file of weights holds neither. open_clip keeps both with each published tag; where a file is
opened, what all tags of its architecture agree on is taken, and anything else has to be named.
"""

import logging
import zipfile
from pathlib import Path
from typing import Any

import open_clip
from open_clip import factory

from data_pipelines.bounded_json import read_object
from data_pipelines.field_types import fits, shown
from vlsuite.errors import ModelError

#: Of a picture's preparation, what belongs to weights; the size is the image tower's.
PREPARATION = ("mean", "std", "interpolation", "resize_mode")

_LOG = logging.getLogger(__name__)


def carried_by_weights(
    name: str, pretrained: str, *, like: str | None, quick_gelu: bool, ours: bool
) -> dict[str, Any]:
    """How pictures are prepared for some weights, after a check that QuickGELU fits.

    Args:
        name: of the architecture.
        pretrained: one of its tags, or a file.
        like: for a file: the tag that its model is like, or a JSON file that says it.
        quick_gelu: whether the architecture has QuickGELU.
        ours: whether the architecture is of this package, whose weights all take open_clip's
            defaults.
    Returns:
        ``PREPARATION`` keys; those that are missing stay at open_clip's defaults.
    Raises:
        ModelError: the tags do not agree and ``like`` names none, or QuickGELU does not fit.
    """
    tag = open_clip.get_pretrained_cfg(name, pretrained)
    if tag:
        if like is not None:
            raise ModelError(
                f"'{pretrained}' is a published tag of {name} with values of its own; leave "
                f"model.pretrained_like={like} out, or give a weights file"
            )
        return _preparation(tag)
    _check_torchscript(name, pretrained, quick_gelu=quick_gelu)
    if like is not None:
        chosen = _named(name, like)
        _check_activation(name, {bool(chosen.get("quick_gelu", quick_gelu))}, quick_gelu, like)
        return _preparation(chosen)
    if ours:
        return {}
    tags = [open_clip.get_pretrained_cfg(name, known) for known in _tags(name)]
    agreed = _agreed(name, pretrained, tags)
    found = {bool(each.get("quick_gelu", False)) for each in tags}
    _check_activation(name, found, quick_gelu, "all its published weights")
    if len(found) > 1:
        _LOG.warning(
            "%s: published weights of %s come with and without QuickGELU; taken as %s",
            pretrained, name, "QuickGELU" if quick_gelu else "plain GELU",
        )  # fmt: skip
    return agreed


def refuse_unknown_weights(name: str, pretrained: str) -> None:
    """Say which weights there are, before anything is built.

    Raises:
        ModelError: neither a tag of the architecture nor a file.
    """
    if open_clip.get_pretrained_cfg(name, pretrained) or Path(pretrained).is_file():
        return
    if Path(pretrained).is_dir():
        raise ModelError(
            f"'{pretrained}' is a folder, not a weights file; {_for_folder(pretrained)}"
        )
    raise ModelError(
        f"'{pretrained}' is neither a tag of {name} nor a weights file; its tags are "
        f"{_choices(name)}; write {name}:TAG or {name}:/path/to/weights"
    )


def model_folder_hint(folder: str) -> str:
    """What to write for a folder that was given where a name belongs; "" where it is no model's."""
    for place in (Path(folder), Path(folder) / "export"):
        if (place / "open_clip_config.json").is_file():
            return f"model.name=local-dir:{place}"
    return ""


def _for_folder(folder: str) -> str:
    hint = model_folder_hint(folder)
    if hint:
        return f"write {hint} and leave model.pretrained out"
    return (
        "a model folder is named model.name=local-dir:FOLDER and has open_clip_config.json, which "
        "'vlsuite export RUN' writes; or give a weights file in it"
    )


def check_folder_preparation(name: str) -> None:
    """Refuse a model folder or repository that does not say how pictures are prepared.

    Raises:
        ModelError: its open_clip_config.json lacks mean or std.
    """
    kind, _, place = name.partition(":")
    if kind == "local-dir":
        described = _read_description(Path(place) / "open_clip_config.json")
    elif kind == "hf-hub":
        described = factory._get_hf_config(place)
    else:
        return
    given = described.get("preprocess_cfg") or {}
    _check_preparation(given, name)
    missing = [key for key in ("mean", "std") if key not in given]
    if missing:
        raise ModelError(
            f"{name}: open_clip_config.json does not say how pictures are prepared (preprocess_cfg "
            f"without {' and '.join(missing)}); write mean, std, interpolation and resize_mode "
            f"there (in a local copy of a repository)"
        )


def _read_description(path: Path) -> dict[str, Any]:
    try:
        return read_object(path)
    except (OSError, ValueError) as error:
        raise ModelError(f"cannot read {path}: {error}; export the model again") from error


def _check_preparation(given: Any, name: str) -> None:
    """Refuse values that no preparation of pictures has; missing ones are another matter."""
    if not isinstance(given, dict):
        raise ModelError(f"{name}: preprocess_cfg is no object; write mean, std and interpolation")
    accepted = {**_ACCEPTED, "size": _sides}
    wrong = [key for key in given if key in accepted and not accepted[key](given[key])]
    if wrong:
        raise ModelError(
            f"{name}: preprocess_cfg has {wrong[0]}={shown(given[wrong[0]])}; fetch the model again"
        )


def split_like(model: str, weights: str) -> tuple[str, str | None]:
    """``FILE@TAG`` as file and tag; a tag, or a file whose own name has an @, as it is."""
    if weights in _tags(model) or Path(weights).is_file() or "@" not in weights:
        return weights, None
    file, _, like = weights.rpartition("@")
    return file, like


def _tags(name: str) -> list[str]:
    return open_clip.list_pretrained_tags_by_model(name)


def _preparation(values: dict[str, Any]) -> dict[str, Any]:
    return {key: values[key] for key in PREPARATION if key in values}


def _named(name: str, like: str) -> dict[str, Any]:
    """What a tag or a JSON file says."""
    if like in _tags(name):
        return open_clip.get_pretrained_cfg(name, like)
    path = Path(like)
    if not path.is_file():
        raise ModelError(
            f"'{like}' is neither a published tag of {name} ({_choices(name)}) nor a JSON file; "
            f"give one of them as model.pretrained_like, or {name}:FILE@TAG"
        )
    try:
        values = read_object(path)
        values = values | values.get("preprocess_cfg", {}) | _activation_of(values)
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise ModelError(f"cannot read {path}: {error}; write a JSON object") from error
    for key, accepted in _ACCEPTED.items():
        if not accepted(values.get(key)):
            raise ModelError(
                f"{path} has {key}={values.get(key)!r}; give mean and std as three numbers, "
                f"interpolation bicubic or bilinear, resize_mode shortest, longest or squash"
            )
    return values


def _activation_of(values: dict[str, Any]) -> dict[str, Any]:
    model_cfg = values.get("model_cfg")
    return {} if model_cfg is None else {"quick_gelu": bool(model_cfg.get("quick_gelu", False))}


def _three(values: Any) -> bool:
    return isinstance(values, list | tuple) and len(values) == 3 and fits(values, list[float])


def _sides(value: Any) -> bool:
    """Whether it is the size of a picture: one side or two."""
    sides = value if isinstance(value, list | tuple) else (value,)
    whole = fits(list(sides), list[int]) and len(sides) in (1, 2)
    return whole and all(1 <= side <= 1 << 14 for side in sides)


_ACCEPTED = {
    "mean": _three,
    "std": _three,
    "interpolation": lambda value: value in ("bicubic", "bilinear"),
    "resize_mode": lambda value: value in ("shortest", "longest", "squash"),
}


def _agreed(name: str, pretrained: str, tags: list[dict[str, Any]]) -> dict[str, Any]:
    ask = (
        f"name it: {name}:{pretrained}@TAG, or model.pretrained_like=TAG in training, TAG one of "
        f"{_choices(name)} or a JSON file with mean, std, interpolation and resize_mode"
    )
    if not tags:
        raise ModelError(
            f"{pretrained}: no published weights of {name} say how its pictures are prepared; {ask}"
        )
    for key in PREPARATION:
        found = sorted({str(tag[key]) for tag in tags})
        if len(found) > 1:
            raise ModelError(
                f"{pretrained}: published weights of {name} differ in {key} "
                f"({' or '.join(found)}); {ask}"
            )
    return _preparation(tags[0])


def _choices(name: str) -> str:
    return ", ".join(_tags(name)) or "(none)"


def _check_activation(name: str, found: set[bool], quick_gelu: bool, source: str) -> None:
    if quick_gelu in found:
        return
    needed, given = ("QuickGELU", "GELU") if not quick_gelu else ("GELU", "QuickGELU")
    other = f"{name}-quickgelu" if not quick_gelu else name.removesuffix("-quickgelu")
    known = other != name and other in open_clip.list_models()
    fix = f"Use the architecture named '{other}'" if known else "Use another architecture"
    raise ModelError(
        f"QuickGELU mismatch: {source} want {needed}, {name} has {given}. {fix}, or say "
        f'"quick_gelu": {str(quick_gelu).lower()} in a JSON file named by @FILE or '
        f"model.pretrained_like"
    )


def _check_torchscript(name: str, path: str, *, quick_gelu: bool) -> None:
    """OpenAI's own files are TorchScript archives, and all of them have QuickGELU."""
    if quick_gelu or not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        scripted = any("/code/" in member for member in archive.namelist())
    if scripted:
        raise ModelError(
            f"QuickGELU mismatch: {path} is a TorchScript archive as OpenAI published them, with "
            f"QuickGELU, and {name} has GELU. Use the architecture named '{name}-quickgelu'"
        )
