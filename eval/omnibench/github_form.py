"""OmniBench as its repository stores it: JSON lines, and media files beside them."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data_pipelines.bounded_json import parsed_json
from data_pipelines.errors import BadSampleError
from eval.data.file_digest import digest_ends
from eval.errors import EvaluationError
from eval.omnibench.media import FileMedia
from eval.omnibench.question_set import QuestionSet
from eval.omnibench.record import Problem, question_of
from eval.respondents.question import OmniQuestion

_LFS_START = b"version https://git-lfs"


def read_github(files: Sequence[Path]) -> QuestionSet:
    """Questions of JSON-lines files whose media lie under ``mm_data/{audio,image}``.

    ``mm_data`` is looked for beside the files and one folder up.

    Raises:
        EvaluationError: a file cannot be read, or there is no ``mm_data``.
    """
    media = _media_folder(files[0])
    questions: dict[int, OmniQuestion] = {}
    problems: list[Problem] = []
    digest = hashlib.sha256()
    for file in files:
        for number, line in enumerate(_lines(file), start=1):
            digest.update(line + b"\n")
            where = f"{file.name}, line {number}"
            try:
                question = _question(line, media)
                if question.index in questions:
                    raise BadSampleError("duplicated index", str(question.index))
            except BadSampleError as error:
                problems.append(Problem(error.kind, f"{where}: {error}"))
                continue
            questions[question.index] = question
            for shown in (question.image, question.audio):
                assert isinstance(shown, FileMedia)
                digest_ends(digest, shown.path)
    return QuestionSet(
        name=media.parent.resolve().name,
        questions=tuple(questions.values()),
        revision=digest.hexdigest(),
        problems=tuple(problems),
    )


def _media_folder(file: Path) -> Path:
    for folder in (file.parent, file.parent.parent, file.resolve().parent.parent):
        if (folder / "mm_data").is_dir():
            return folder / "mm_data"
    raise EvaluationError(
        f"no folder mm_data beside {file.parent}; the pictures and sounds belong in "
        "mm_data/image and mm_data/audio"
    )


def _lines(file: Path) -> list[bytes]:
    try:
        return [line for line in file.read_bytes().splitlines() if line.strip()]
    except OSError as error:
        raise EvaluationError(f"cannot read {file}: {error.strerror or error}") from error


def _question(line: bytes, media: Path) -> OmniQuestion:
    try:
        record = parsed_json(line)
    except (ValueError, RecursionError) as error:
        raise BadSampleError("bad JSON", str(error)) from error
    if not isinstance(record, dict):
        raise BadSampleError("bad JSON", "the line holds no object")
    image = _media_file(media / "image", record.get("image_path"))
    audio = _media_file(media / "audio", record.get("audio_path"))
    return question_of(record, image=image, audio=audio)


def _media_file(folder: Path, name: Any) -> FileMedia:
    """The named file, which must lie in the folder itself or below it."""
    if not isinstance(name, str) or not name.strip() or "\0" in name:
        raise BadSampleError("missing media", f"no file name, but {name!r}")
    path = folder / name
    try:
        if not path.resolve().is_relative_to(folder.resolve()):
            raise BadSampleError("media outside its folder", repr(name))
        if path.exists() and not path.is_file():  # a pipe would never end
            raise BadSampleError("missing media", f"{name} is no regular file")
        with path.open("rb") as stream:
            start = stream.read(len(_LFS_START))
    except OSError as error:
        raise BadSampleError("missing media", f"{name}: {error.strerror or error}") from error
    if not start:
        raise BadSampleError("empty media", name)
    if start == _LFS_START:
        raise BadSampleError("media not fetched", f"{name} is a Git LFS pointer; run git lfs pull")
    return FileMedia(path)
