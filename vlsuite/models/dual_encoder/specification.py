"""Which dual encoder a name stands for: an architecture with its weights, or a folder."""

from pathlib import Path

from vlsuite.errors import ModelError
from vlsuite.models.dual_encoder.config import OpenClipConfig, architecture

#: What open_clip names the description in a model folder.
DESCRIPTION = "open_clip_config.json"


def config_of(spec: str) -> OpenClipConfig:
    """The model config a spec of :func:`open_model` stands for.

    Raises:
        ModelError: a folder without a model, or an architecture without weights.
    """
    path = Path(spec)
    if path.is_dir():
        for folder in (path / "export", path):
            if (folder / DESCRIPTION).is_file():
                return OpenClipConfig(name=f"local-dir:{folder}")
        raise ModelError(
            f"no model in {path} (looked for {DESCRIPTION} there and in export/); "
            f"'vlsuite export {spec}' writes one from the newest checkpoint of a run"
        )
    if spec.startswith(("local-dir:", "hf-hub:")):
        return OpenClipConfig(name=spec)
    name, colon, pretrained = spec.partition(":")
    if "/" in name and not colon:
        raise ModelError(f"no such folder: {spec}; give a run folder, or ARCHITECTURE:WEIGHTS")
    architecture(name)
    if not pretrained:
        raise ModelError(
            f"'{name}' has no weights; name them as {name}:TAG or {name}:/path/to/weights "
            f"(tags: {', '.join(_tags(name)) or 'none published'})"
        )
    return OpenClipConfig(name=name, pretrained=pretrained)


def _tags(name: str) -> list[str]:
    import open_clip

    return open_clip.list_pretrained_tags_by_model(name)[:6]
