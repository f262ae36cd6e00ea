"""Which dual encoder a name stands for: an architecture with its weights, or a folder."""

from pathlib import Path

from vlsuite.errors import ModelError, UnknownNameError
from vlsuite.models.dual_encoder.config import OpenClipConfig, architecture
from vlsuite.models.opening import ARCHITECTURE, FOLDER, forms, parsed

#: What open_clip names the description in a model folder.
DESCRIPTION = "open_clip_config.json"

#: Kinds of names that open_clip itself reads.
_OPEN_CLIP = frozenset({"local-dir", "hf-hub"})


def config_of(spec: str) -> OpenClipConfig:
    """The model config a spec of :func:`open_model` stands for.

    Raises:
        ModelError: a folder without a model, an architecture without weights, or another kind of
            model.
        UnknownNameError: no such architecture.
    """
    name = parsed(spec)
    if name.kind == FOLDER:
        return _in_folder(Path(spec))
    if name.kind in _OPEN_CLIP:
        return OpenClipConfig(name=spec)
    if name.kind != ARCHITECTURE:
        raise ModelError(f"{spec} is no dual encoder; give a folder or ARCHITECTURE:WEIGHTS")
    model, weights = name.halves
    if "/" in model:
        raise ModelError(f"no such folder: {spec}; give a run folder, or ARCHITECTURE:WEIGHTS")
    try:
        architecture(model)
    except UnknownNameError as error:
        raise UnknownNameError(f"{error}; {forms()}") from error
    if not weights:
        raise ModelError(
            f"'{model}' has no weights; name them as {model}:TAG or {model}:/path/to/weights "
            f"(tags: {', '.join(_tags(model)) or 'none published'})"
        )
    return OpenClipConfig(name=model, pretrained=weights)


def _in_folder(path: Path) -> OpenClipConfig:
    for folder in (path / "export", path):
        if (folder / DESCRIPTION).is_file():
            return OpenClipConfig(name=f"local-dir:{folder}")
    raise ModelError(
        f"no model in {path} (looked for {DESCRIPTION} there and in export/); "
        f"'vlsuite export {path}' writes one from the newest checkpoint of a run"
    )


def _tags(name: str) -> list[str]:
    import open_clip

    return open_clip.list_pretrained_tags_by_model(name)[:6]
