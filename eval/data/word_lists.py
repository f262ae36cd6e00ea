"""Lists in text files: class names and prompt templates, one a line."""

from pathlib import Path

from data_pipelines.text_lines import lines_of
from eval.errors import EvaluationError

#: Stands for open_clip's names of ImageNet's classes.
IMAGENET = "imagenet"


def read_class_names(source: str) -> tuple[str, ...]:
    """Class names from a file, or open_clip's ImageNet list for the word "imagenet".

    Raises:
        EvaluationError: no such file, or an empty line among the names.
    """
    if source == IMAGENET and not Path(source).is_file():
        from open_clip.zero_shot_metadata import IMAGENET_CLASSNAMES

        return tuple(IMAGENET_CLASSNAMES)
    names = [line.strip() for line in lines_of(read_text(Path(source)))]
    while names and not names[-1]:
        names.pop()
    if not names:
        raise EvaluationError(f"{source} holds no class names; write one name a line")
    if "" in names:
        raise EvaluationError(
            f"{source}, line {names.index('') + 1}, is empty; line i names class i - 1"
        )
    return tuple(names)


def read_templates(path: Path) -> tuple[str, ...]:
    """Prompt templates, one a line, each with ``{c}`` where the class name goes.

    Raises:
        EvaluationError: no such file, no templates, or one without ``{c}``.
    """
    templates = tuple(line.strip() for line in lines_of(read_text(path)) if line.strip())
    if not templates:
        raise EvaluationError(f"{path} holds no templates; write lines like 'a photo of a {{c}}.'")
    for number, template in enumerate(templates, start=1):
        if "{c}" not in template:
            raise EvaluationError(
                f"template {number} of {path} has no {{c}}: '{template}'; "
                "write {c} where the class name goes"
            )
    return templates


def read_text(path: Path) -> str:
    """A small text file, without a byte order mark.

    Raises:
        EvaluationError: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise EvaluationError(f"{path} does not exist; check the path") from None
    except (OSError, UnicodeDecodeError) as error:
        raise EvaluationError(f"cannot read {path}: {error}") from error
