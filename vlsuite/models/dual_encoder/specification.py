"""Which dual encoder a name stands for: an architecture with weights, or a folder of open_clip."""

from vlsuite.errors import ModelError
from vlsuite.models.dual_encoder.config import OpenClipConfig, architecture
from vlsuite.models.dual_encoder.published import split_like
from vlsuite.models.name_check import refuse_missing_model
from vlsuite.models.opening import ARCHITECTURE, parsed

#: Kinds of names that open_clip itself reads.
_OPEN_CLIP = frozenset({"local-dir", "hf-hub"})


def config_of(spec: str) -> OpenClipConfig:
    """The model config that open_clip's part of a model name stands for.

    Raises:
        ModelError: an architecture without weights, no such folder, or another kind of model.
        UnknownNameError: no such architecture.
    """
    name = parsed(spec)
    if name.kind in _OPEN_CLIP:
        return OpenClipConfig(name=spec)
    if name.kind != ARCHITECTURE:
        raise ModelError(f"{spec} is no dual encoder; give a folder or ARCHITECTURE:WEIGHTS")
    model, weights = name.halves
    refuse_missing_model(spec)
    architecture(model)
    if not weights:
        raise ModelError(
            f"'{model}' has no weights; name them as {model}:TAG or {model}:/path/to/weights "
            f"(tags: {', '.join(_tags(model)) or 'none published'})"
        )
    file, like = split_like(model, weights)
    return OpenClipConfig(name=model, pretrained=file, pretrained_like=like)


def _tags(name: str) -> list[str]:
    import open_clip

    return open_clip.list_pretrained_tags_by_model(name)[:6]
