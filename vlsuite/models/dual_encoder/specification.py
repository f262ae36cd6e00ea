"""Which dual encoder a name stands for: an architecture with weights, or a folder of open_clip."""

from vlsuite.errors import ModelError
from vlsuite.models.dual_encoder.config import OpenClipConfig, architecture


def config_of(spec: str) -> OpenClipConfig:
    """The model config that open_clip's part of a model name stands for.

    Raises:
        ModelError: an architecture without weights, or no such folder.
    """
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
