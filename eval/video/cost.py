"""What a clip costs: seconds of the model and of decoding, visual tokens, memory at the peak.

Measured while clips are embedded or asked about, and kept beside embeddings and answers; a cost is
no part of what identifies a result.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float64

from data_pipelines.schema import JsonValue
from eval.contract import Model
from eval.process_group import from_all
from eval.video.mean_pooled import tokens_of

#: What ``peak_mb`` is of.
CUDA_MEMORY = "memory allocated on the GPU, weights included"
PROCESS_MEMORY = "growth of the process's resident memory"

_MB = 1e6
_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class TowerCost(NamedTuple):
    """Of one way to embed a clip.

    Attributes:
        seconds: a clip: the median over batches, which the first batch's start does not shift.
        peak_mb: largest of all batches, 10^6 bytes; NaN where it cannot be had.
    """

    seconds: float
    peak_mb: float


class ClipCosts(NamedTuple):
    """Of all clips of a set; NaN where nothing is known.

    Attributes:
        towers: by prefix, as in ``ClipEmbeddings``.
        decode_seconds: of decoding and resizing a clip, in one thread.
        is_cuda: whether the peaks are of a GPU.
    """

    towers: dict[str, TowerCost]
    decode_seconds: float
    is_cuda: bool

    def to_array(self) -> Float64[np.ndarray, " numbers"]:
        """As numbers to be kept."""
        own = [value for tower in self.towers.values() for value in tower]
        return np.array([*own, self.decode_seconds, float(self.is_cuda)], dtype=np.float64)

    @classmethod
    def from_array(
        cls, kept: Float64[np.ndarray, " numbers"], prefixes: Sequence[str]
    ) -> "ClipCosts":
        """The inverse of ``to_array``; nothing known of numbers that are none of its."""
        if len(kept) != 2 * len(prefixes) + 2:
            return cls.unknown(prefixes)
        pairs = kept[:-2].reshape(-1, 2).tolist()
        towers = {name: TowerCost(*pair) for name, pair in zip(prefixes, pairs, strict=True)}
        return cls(towers, float(kept[-2]), bool(kept[-1]))

    @classmethod
    def unknown(cls, prefixes: Sequence[str]) -> "ClipCosts":
        """Where the embeddings were made before costs were kept."""
        nothing = TowerCost(float("nan"), float("nan"))
        return cls(dict.fromkeys(prefixes, nothing), float("nan"), False)

    def told(
        self, towers: Mapping[str, Model], num_frames: int, titles: Mapping[str, str]
    ) -> dict[str, JsonValue]:
        """For the details of a result; empty where nothing was measured.

        Args:
            towers: what embedded, by prefix.
            titles: what each is called in the result.
        """
        told: dict[str, JsonValue] = {}
        for prefix, cost in self.towers.items():
            own: dict[str, JsonValue] = {}
            if np.isfinite(cost.seconds):
                own["seconds_per_clip"] = float(f"{cost.seconds:.4g}")
            if (tokens := tokens_of(towers[prefix], num_frames)) is not None:
                own["tokens_per_clip"] = tokens
            if np.isfinite(cost.peak_mb):
                own["peak_mb"] = round(cost.peak_mb, 1)
            if own:
                told[titles[prefix]] = own
        if np.isfinite(self.decode_seconds):
            told["decode_seconds_per_clip"] = float(f"{self.decode_seconds:.4g}")
            told["peak_mb_of"] = CUDA_MEMORY if self.is_cuda else PROCESS_MEMORY
        return told


class Measured(NamedTuple):
    """What one process saw.

    Attributes:
        seconds: of a clip, one number a batch, by tower.
        peaks: 10^6 bytes, by tower; NaN where nothing is known.
        decoding: seconds of each clip.
    """

    seconds: dict[str, list[float]]
    peaks: dict[str, float]
    decoding: list[float]

    def to_json(self) -> dict[str, JsonValue]:
        """To be kept; what is not known is left out."""
        peaks = {name: peak for name, peak in self.peaks.items() if np.isfinite(peak)}
        return {"seconds": dict(self.seconds), "peaks": dict(peaks), "decoding": self.decoding}

    @classmethod
    def from_json(cls, kept: JsonValue) -> "Measured":
        """The inverse of ``to_json``; nothing known of what is none of its."""
        told: Any = kept
        try:
            return cls(
                {name: [float(value) for value in own] for name, own in told["seconds"].items()},
                {name: float(peak) for name, peak in told["peaks"].items()},
                [float(value) for value in told["decoding"]],
            )
        except (AttributeError, KeyError, TypeError, ValueError):
            return cls({}, {}, [])


def costs_of(measured: Sequence[Measured], prefixes: Sequence[str], *, is_cuda: bool) -> ClipCosts:
    """Medians of times, the largest peak, the mean of decoding."""
    towers = {}
    for name in prefixes:
        seconds = [value for own in measured for value in own.seconds.get(name, ())]
        peaks = [own.peaks.get(name, float("nan")) for own in measured]
        peak = float("nan") if np.isnan(peaks).all() else float(np.nanmax(peaks))
        towers[name] = TowerCost(_median(seconds), peak)
    decoding = [value for own in measured for value in own.decoding]
    return ClipCosts(towers, float(np.mean(decoding)) if decoding else float("nan"), is_cuda)


class CostMeter:
    """Collects what one process sees.

    Args:
        prefixes: of the towers.
        device: where they run.
    """

    def __init__(self, prefixes: Sequence[str], device: torch.device | str) -> None:
        self._device = torch.device(device)
        self._seconds: dict[str, list[float]] = {name: [] for name in prefixes}
        self._peaks: dict[str, float] = dict.fromkeys(prefixes, float("nan"))
        self._decoding: list[float] = []

    def decoded(self, seconds: float) -> None:
        """One clip was decoded."""
        self._decoding.append(seconds)

    @contextmanager
    def embedding(self, prefix: str, count: int) -> Iterator[None]:
        """Around the call that embeds so many clips."""
        before = self._start_memory()
        self._wait()
        start = time.perf_counter()
        yield
        self._wait()
        self._seconds[prefix].append((time.perf_counter() - start) / count)
        peak = (self._peak_memory() - before) / _MB
        self._peaks[prefix] = float(np.fmax(self._peaks[prefix], peak))

    def costs(self) -> ClipCosts:
        """Of all processes: medians of times, the largest peak. Collective."""
        return costs_of(from_all(self.measured()), list(self._seconds), is_cuda=self._is_cuda)

    def measured(self) -> Measured:
        """Of this process."""
        return Measured(self._seconds, self._peaks, self._decoding)

    @property
    def _is_cuda(self) -> bool:
        return self._device.type == "cuda"

    def _wait(self) -> None:
        if self._is_cuda:
            torch.cuda.synchronize(self._device)

    def _start_memory(self) -> float:
        """Bytes that count as nothing: on a GPU none, for the weights belong to the cost."""
        if self._is_cuda:
            torch.cuda.reset_peak_memory_stats(self._device)
            return 0.0
        try:
            _CLEAR.write_text("5")  # resets VmHWM, proc(5)
        except OSError:
            return float("nan")
        return _status_bytes("VmRSS")

    def _peak_memory(self) -> float:
        if self._is_cuda:
            return float(torch.cuda.max_memory_allocated(self._device))
        return _status_bytes("VmHWM")


def _status_bytes(field: str) -> float:
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:
        return float("nan")
    kilobytes = (line.split()[1] for line in lines if line.startswith(f"{field}:"))
    return 1024 * float(next(kilobytes, "nan"))


def _median(values: Sequence[float]) -> float:
    return float(np.median(values)) if values else float("nan")
