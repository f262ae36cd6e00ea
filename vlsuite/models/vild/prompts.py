"""Sentences that the names of a vocabulary are put into.

The publication averages the embeddings of 63 prompts, the prompts of CLIP for ImageNet among them,
each with "There is ... in the scene", and a name in small, medium and large. These are our own in
that manner; an exact list is a file (``model.prompts``).
"""

from pathlib import Path

from data_pipelines.prompts import SIMPLE_TEMPLATES
from vlsuite.errors import ConfigError

_SCENE = tuple(
    f"There is {article}{size}{{c}} in the scene."
    for article in ("a ", "the ")
    for size in ("", "small ", "medium ", "large ")
)
_PHOTO = tuple(
    f"a {kind}photo of {article} {{c}}."
    for kind in ("", "cropped ", "close-up ", "blurry ", "bright ", "dark ", "good ", "bad ")
    for article in ("a", "the")
)

PROMPT_SETS: dict[str, tuple[str, ...]] = {
    "simple": SIMPLE_TEMPLATES,
    "scene": (*_SCENE, *_PHOTO),
    "plain": ("{c}",),
}


def prompts_from(source: str) -> tuple[str, ...]:
    """A named set, or the lines of a file, each with ``{c}`` for the name.

    Raises:
        ConfigError: neither, or a line without ``{c}``.
    """
    if source in PROMPT_SETS:
        return PROMPT_SETS[source]
    try:
        lines = Path(source).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"prompts '{source}' are neither a file of prompts nor one of "
            f"{', '.join(sorted(PROMPT_SETS))}"
        ) from error
    found = tuple(line.strip() for line in lines if line.strip())
    wrong = [line for line in found if "{c}" not in line]
    if wrong or not found:
        raise ConfigError(
            f"{source}: '{(wrong or ['an empty file'])[0][:60]}' has no {{c}} for the name; write "
            "one prompt a line, such as 'a photo of a {c}.'"
        )
    return found
