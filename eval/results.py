"""A result as it lies on disk: typed, versioned, and complete enough to be read alone."""

import base64
import dataclasses
import json
import math
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Bool, Float64, Int64

from data_pipelines.bounded_json import read_json
from data_pipelines.field_types import check_fields
from data_pipelines.schema import JsonValue
from data_pipelines.shards.atomic import make_folder, write_file
from eval.errors import EvaluationError

#: Version of the JSON below; raised whenever a field changes its meaning.
RESULT_VERSION = 1

Settings: TypeAlias = dict[str, JsonValue]

#: Bytes of the values of one score; those of 64 million images.
_MOST_INFLATED = 256 << 20
_DAMAGED = "per-image figures of a result are damaged; run 'vlsuite eval' again"


@dataclass(frozen=True, slots=True)
class Score:
    """A number with its 95% confidence interval.

    Args:
        value: the estimate.
        low: lower end of the interval.
        high: upper end of the interval.
        n: number of trials behind it (images, or captions).
        unit: "share" (in [0, 1], shown as percent), "points" (a difference of shares), "nats",
            "ratio" or "number".
        lower_is_better: for errors, calibration, flip rates.
        method: how the interval was computed, or why there is none (its ends are then NaN, null in
            JSON); empty in results of earlier versions.
    """

    value: float
    low: float
    high: float
    n: int
    unit: str = "share"
    lower_is_better: bool = False
    method: str = ""

    @property
    def has_interval(self) -> bool:
        """Whether an interval could be had."""
        return not (math.isnan(self.low) or math.isnan(self.high))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form, which has no NaN."""
        data = dataclasses.asdict(self)
        return data if self.has_interval else {**data, "low": None, "high": None}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Score":
        """The inverse of ``to_dict``."""
        ends = {end: math.nan for end in ("low", "high") if data[end] is None}
        return cls(**{**data, **ends})


@dataclass(frozen=True, slots=True)
class PerImage:
    """Whether each image of the data set was a hit, so that models can be compared in pairs.

    Args:
        hits: bits in the order of the data set, packed (first image first) and in base64.
        scored: the same for whether the image is in the score; None where all are.
        num_images: of the data set.
    """

    hits: str
    scored: str | None
    num_images: int

    @classmethod
    def pack(
        cls,
        is_hit: Bool[np.ndarray, " scored"],
        rows: Int64[np.ndarray, " scored"],
        num_images: int,
    ) -> "PerImage":
        """From the hits of the scored images and their numbers in the data set."""
        hits, scored = np.zeros(num_images, dtype=bool), np.zeros(num_images, dtype=bool)
        hits[rows], scored[rows] = is_hit, True
        return cls(_packed(hits), None if scored.all() else _packed(scored), num_images)

    def unpack(self) -> tuple[Bool[np.ndarray, " images"], Bool[np.ndarray, " images"]]:
        """Hits and whether each image is in the score.

        Raises:
            EvaluationError: they are not as many as there are images.
        """
        hits = _unpacked(self.hits, self.num_images)
        if self.scored is None:
            return hits, np.ones(self.num_images, dtype=bool)
        return hits, _unpacked(self.scored, self.num_images)


@dataclass(frozen=True, slots=True)
class PerUnit:
    """Values whose mean is a score, so that models can be compared in pairs.

    Args:
        values: float32, deflated, in base64.
        images: number in the data set of the image that each value belongs to, uint32, in the
            same form.
        most: greatest possible difference of two models' values; None where it has no bound.
    """

    values: str
    images: str
    most: float | None

    @classmethod
    def pack(
        cls,
        values: Float64[np.ndarray, " values"] | Bool[np.ndarray, " values"],
        images: Int64[np.ndarray, " values"],
        *,
        most: float | None = 1.0,
    ) -> "PerUnit":
        """From the values and the numbers of their images."""
        kept = _deflated(values.astype(np.float32)), _deflated(images.astype(np.uint32))
        return cls(*kept, most)

    @classmethod
    def of_class_recall(
        cls,
        is_hit: Bool[np.ndarray, " images"],
        labels: Int64[np.ndarray, " images"],
        images: Int64[np.ndarray, " images"],
    ) -> "PerUnit":
        """What each image adds to mean per-class recall: its hit, by the size of its class."""
        classes, numbers, sizes = np.unique(labels, return_inverse=True, return_counts=True)
        weights = len(labels) / (len(classes) * sizes)
        return cls.pack(is_hit * weights[numbers], images, most=float(weights.max()))

    def unpack(self) -> tuple[Float64[np.ndarray, " values"], Int64[np.ndarray, " values"]]:
        """Values, and numbers of their images.

        Raises:
            EvaluationError: they are damaged, or more than any data set has.
        """
        values = np.frombuffer(_inflated(self.values), dtype=np.float32)
        images = np.frombuffer(_inflated(self.images), dtype=np.uint32)
        if len(values) != len(images):
            raise EvaluationError(f"{_DAMAGED}: {len(values):,} values of {len(images):,} images")
        return values.astype(np.float64), images.astype(np.int64)


@dataclass(frozen=True, slots=True)
class Resampled:
    """A score in each bootstrap resample of the images, so that models can be compared in pairs.

    Args:
        values: float32, deflated, in base64; NaN where a resample does not define the score.
        draws: what tells resamples apart: equal ones drew the same images in the same order.
        units: images that the score rests on.
    """

    values: str
    draws: str
    units: int

    @classmethod
    def pack(
        cls, values: Float64[np.ndarray, " resamples"], *, draws: str, units: int
    ) -> "Resampled":
        """From the values."""
        return cls(_deflated(values.astype(np.float32)), draws, units)

    def unpack(self) -> Float64[np.ndarray, " resamples"]:
        """The values.

        Raises:
            EvaluationError: they are damaged.
        """
        return np.frombuffer(_inflated(self.values), dtype=np.float32).astype(np.float64)


def _deflated(array: np.ndarray) -> str:
    return base64.b64encode(zlib.compress(array.tobytes(), 9)).decode("ascii")


def _inflated(text: str) -> bytes:
    """No more than ``_MOST_INFLATED`` bytes, whatever the text would become."""
    unpacker = zlib.decompressobj()
    try:
        data = unpacker.decompress(base64.b64decode(text), _MOST_INFLATED)
    except (ValueError, zlib.error) as error:
        raise EvaluationError(f"{_DAMAGED} ({error})") from error
    if not unpacker.eof or len(data) % 4:
        raise EvaluationError(f"{_DAMAGED}: cut off, or more than {_MOST_INFLATED:,} bytes")
    return data


def _packed(bits: np.ndarray) -> str:
    return base64.b64encode(np.packbits(bits).tobytes()).decode("ascii")


def _unpacked(text: str, count: int) -> np.ndarray:
    try:
        packed = np.frombuffer(base64.b64decode(text), dtype=np.uint8)
    except ValueError as error:
        raise EvaluationError(f"{_DAMAGED} ({error})") from error
    if len(packed) != -(-count // 8):
        raise EvaluationError(f"{_DAMAGED}: {len(packed):,} bytes for {count:,} images")
    return np.unpackbits(packed, count=count).astype(bool)


@dataclass(frozen=True, slots=True)
class Panel:
    """A picture or a text in an example.

    Args:
        text: caption or class name; empty for a picture alone.
        image: ``data:`` address of a small picture, None for a text.
        similarity: cosine to the query, None for the query itself.
        is_correct: whether it belongs to the query.
    """

    text: str
    image: str | None = None
    similarity: float | None = None
    is_correct: bool = False


@dataclass(frozen=True, slots=True)
class Example:
    """One query with its best answers, drawn at random rather than picked.

    Args:
        direction: "image_to_text", "text_to_image" or "image_to_class".
        query: what was asked.
        answers: the best answers, best first.
        right: the best right answer, whether it is among those or not.
        rank: its place, 1 being the top.
    """

    direction: str
    query: Panel
    answers: tuple[Panel, ...]
    right: Panel
    rank: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """What a result was measured with: equal origins give equal results.

    Args:
        seed: of the bootstrap and of the choice of examples.
        data_revision: SHA-256 over the images, captions and labels as read.
        interval: how the intervals were computed, in words.
        config_hash: SHA-256 over model name, data revision and benchmark settings; empty until
            the runner fills it in.
        model_probe: a few coordinates of fixed probe embeddings; tells weights apart that share
            a name.
        model_fingerprint: of the model (weights, architecture, preprocessing, tokenizer), its
            logit scale and bias; empty in results of earlier versions.
        environment: command, commit, hardware and versions; no clock times, so that a repeated
            evaluation gives the same file.
    """

    seed: int
    data_revision: str
    interval: str
    config_hash: str = ""
    model_probe: tuple[float, ...] = ()
    model_fingerprint: str = ""
    environment: Settings = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class EvalResult:
    """Scores of one model in one benchmark on one data set.

    Args:
        benchmark: what was measured ("zero_shot", "retrieval").
        family: the folder of eval the benchmark is from ("zero_shot").
        dataset: name of the data set.
        split: its split.
        model: name of the model.
        scores: by name.
        chance: what a model that guesses would reach, for each score that has such a level.
        num_samples: images in the scores.
        num_skipped: samples left out because they were unreadable.
        origin: what is needed to reproduce it.
        details: settings and remarks of this benchmark.
        examples: for the report; may be empty.
        per_image: for some scores, the hit or miss of each image.
        per_unit: for some others, values whose mean they are.
        resampled: for some that are no means, their values in resamples of the images.
        influences: what the model is made of (architecture, training data, objective...); filled
            in by the runner.
        version: of this format.
    """

    benchmark: str
    family: str
    dataset: str
    split: str
    model: str
    scores: dict[str, Score]
    chance: dict[str, float]
    num_samples: int
    num_skipped: int
    origin: Origin
    details: Settings = field(default_factory=dict)
    examples: tuple[Example, ...] = ()
    per_image: dict[str, PerImage] = field(default_factory=dict)
    per_unit: dict[str, PerUnit] = field(default_factory=dict)
    resampled: dict[str, Resampled] = field(default_factory=dict)
    influences: dict[str, str] = field(default_factory=dict)
    version: int = RESULT_VERSION

    def times_chance(self, score: str) -> float | None:
        """A score as a multiple of its chance level, None where it has no such level."""
        level = self.chance.get(score)
        return self.scores[score].value / level if level else None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        data = dataclasses.asdict(self)
        data["scores"] = {name: score.to_dict() for name, score in self.scores.items()}
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "EvalResult":
        """The inverse of ``to_dict``, also after a trip through JSON.

        Raises:
            EvaluationError: another version, or missing and unknown fields.
        """
        if data.get("version") != RESULT_VERSION:
            raise EvaluationError(
                f"result format {data.get('version')!r} is not {RESULT_VERSION}, the one this "
                "version of vlsuite reads; run 'vlsuite eval' again"
            )
        try:
            fields = dict(data)
            fields["scores"] = {k: Score.from_dict(v) for k, v in data["scores"].items()}
            origin = dict(data["origin"])
            origin["model_probe"] = tuple(origin["model_probe"])
            fields["origin"] = Origin(**origin)
            fields["per_image"] = {k: PerImage(**v) for k, v in data.get("per_image", {}).items()}
            fields["per_unit"] = {k: PerUnit(**v) for k, v in data.get("per_unit", {}).items()}
            fields["resampled"] = {k: Resampled(**v) for k, v in data.get("resampled", {}).items()}
            fields["examples"] = tuple(_example(e) for e in data.get("examples", ()))
            result = cls(**fields)
            check_fields(result, allows_nan=True)
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
            raise EvaluationError(
                f"not a result: {error!r}; run 'vlsuite eval' again to replace it"
            ) from error
        return result


def _example(data: Mapping[str, Any]) -> Example:
    answers = tuple(Panel(**answer) for answer in data["answers"])
    panels = {name: Panel(**data[name]) for name in ("query", "right")}
    return Example(**{**data, **panels, "answers": answers})


def load_result(path: Path) -> EvalResult:
    """Read one result file.

    Raises:
        EvaluationError: unreadable, no JSON, or no result of this version; names the file.
    """
    try:
        data = read_json(path)
        if not isinstance(data, dict):
            raise EvaluationError("the file holds no JSON object")
        return EvalResult.from_dict(data)
    except OSError as error:
        raise EvaluationError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, EvaluationError) as error:
        raise EvaluationError(f"{path}: {error}") from error


def save_result(result: EvalResult, path: Path) -> None:
    """Write one result file; readers see the old content or the new one, never half of it.

    Raises:
        DataError: the folder cannot be written, or the disk is full.
    """
    text = json.dumps(result.to_dict(), indent=1, allow_nan=False) + "\n"
    make_folder(path.parent)
    write_file(path, text.encode())


def file_name_part(text: str) -> str:
    """Text as a part of a file name; what is not kept becomes a dash."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.") or "model"
