"""What a training run can be told about its data."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from data_pipelines.shards.shard_cache import ShardCache
from data_pipelines.shards.sidecar import cache_folder
from data_pipelines.shards.sliced_order import WINDOW_SAMPLES
from data_pipelines.texts import listed
from data_pipelines.video.decoders import DecoderName
from vlsuite.batches.bad_input import Policy
from vlsuite.batches.caption_names import check_captions
from vlsuite.batches.sequence import block_quotas
from vlsuite.batches.transforms import AugmentConfig
from vlsuite.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class DataConfig:
    """Where the training pairs come from and how they are shown.

    Attributes:
        train: one source each: "DIR", "DIR/*.tar", "DIR/train-{000000..000099}.tar", or the same
            on remote storage: "s3://BUCKET/DIR/train-{000..099}.tar", "hf://datasets/...".
        subset: files of 'vlsuite curate subset' with the samples of the shards that count as there:
            one for all sources together, or one for each, "all" for a source without; shards are
            not written anew. Empty: every sample.
        weights: share of each source in the samples drawn, in any unit; each source then passes
            through its own epochs. Empty: all sources are one, an epoch is every sample once.
            Durations in epochs always count all samples of all sources as one.
        max_passes: a run that would pass through a source more often than this does not start;
            None: any number. Small mixtures mislead where one source is repeated and another not.
        resample: draw each sample independently, with replacement, instead of in epochs. Reads
            are then scattered over all shards.
        window_shards: shards whose samples are mixed at a time, at least (fewer than twice as many
            are). None takes as many as leave 16 neighbours of each in a window: 6,250 for 100,000
            samples, so all shards of most sets; of remote shards those that fit into a fifth of
            data.cache_gb, at least 10. Where opening a file is slow, 60 keep all of them open.
        window_samples: shuffled together, about; a worker needs some 300 bytes of memory for each.
            A training set of no more samples, of shards that are all mixed, is shuffled wholly.
        drop_tail: an epoch ends at its last whole global batch; otherwise batches run across
            epoch ends and every sample is used (such a batch may hold a sample twice).
        num_workers: decoding processes per training process; 0 decodes in the train loop.
        prefetch: micro-batches made ahead by each worker.
        worker_timeout: seconds without a batch after which the run stops with an error; 0 waits
            forever.
        caption: "random" draws one of a sample's captions each time, "first" takes the first.
        captions: columns of captions: "own" is what each sample came with, a folder or file is one
            of 'vlsuite curate rewrite', "json:NAME" a field of each sample's json. One is drawn
            each time, then a caption of it as ``caption`` says. Empty: own alone. A sample that
            lacks a column takes one of the others.
        caption_weights: how often each of them is drawn, in any unit; empty: all alike.
        trim_text: cut token ids after the longest caption of a micro-batch, where the text
            tower cannot tell the difference.
        on_bad: what happens to an unusable sample: "raise" stops the run (at its start for
            damaged shards), "skip" counts it, "quarantine" also keeps a copy in the run folder.
        max_skip_share: the run stops when more than this share of samples is unusable.
        cache_dir: for copies of remote shards; default $XDG_CACHE_HOME/vlsuite/shards.
        cache_gb: bound of that folder in GB (10^9 bytes).
        accept_content: what the shards of a continued run may hold instead of what they held, as
            the refusal to continue names it.
        concepts: file of 'vlsuite data concepts' with what is in each training picture, for models
            that take it (nevlp); others ignore it.
        image_tokens: folder of 'vlsuite data image-tokens' with what the frozen image tower says of
            each training picture, for models that take it (nevlp): pictures are then neither
            decoded nor augmented in training, nor does the tower run. Others ignore it.
        video_decoder: "pyav", "torchcodec" (faster where it is installed, and always exact here)
            or "decord"; all give the same frames, or refuse.
        augment: random changes to the pictures.
    """

    train: tuple[str, ...] = ()
    subset: tuple[str, ...] = ()
    weights: tuple[float, ...] = ()
    max_passes: float | None = None
    resample: bool = False
    window_shards: int | None = None
    window_samples: int = WINDOW_SAMPLES
    drop_tail: bool = False
    num_workers: int = 2
    prefetch: int = 4
    worker_timeout: float = 300.0
    caption: Literal["first", "random"] = "random"
    captions: tuple[str, ...] = ()
    caption_weights: tuple[float, ...] = ()
    trim_text: bool = True
    on_bad: Policy = "skip"
    max_skip_share: float = 0.05
    cache_dir: str | None = None
    cache_gb: float = 50.0
    accept_content: str | None = None
    concepts: str | None = None
    image_tokens: str | None = None
    video_decoder: DecoderName = "pyav"
    augment: AugmentConfig = field(default_factory=AugmentConfig)

    def __post_init__(self) -> None:
        # a path by itself is one path, not its letters
        object.__setattr__(self, "train", tuple(listed(self.train)))
        object.__setattr__(self, "subset", tuple(listed(self.subset)))
        object.__setattr__(self, "captions", tuple(listed(self.captions)))
        check_captions(self.captions, self.caption_weights)
        if len(self.subset) not in (0, 1, len(self.train)):
            raise ConfigError(
                f"data.subset names {len(self.subset)} files for {len(self.train)} sources in "
                "data.train; give one for all, or one for each ('all' takes a source whole)"
            )
        if self.num_workers < 0 or self.prefetch < 1:
            raise ConfigError("data.num_workers must be >= 0 and data.prefetch >= 1")
        if not (math.isfinite(self.worker_timeout) and self.worker_timeout >= 0):
            raise ConfigError("data.worker_timeout must be seconds, or 0 to wait forever")
        if self.window_shards is not None and self.window_shards < 1:
            raise ConfigError(
                f"data.window_shards={self.window_shards} must be at least 1; 'none' chooses"
            )
        if self.window_samples < 1:
            raise ConfigError(f"data.window_samples={self.window_samples} must be at least 1")
        if self.max_passes is not None and not self.max_passes > 0:
            raise ConfigError(
                f"data.max_passes={self.max_passes} must be positive; 'none' is no limit"
            )
        if not self.cache_gb > 0:
            raise ConfigError("data.cache_gb must be positive")
        if not 0 <= self.max_skip_share <= 1:
            raise ConfigError(
                f"data.max_skip_share={self.max_skip_share} must be a share from 0 to 1 (0.05 is "
                "5%)"
            )
        if self.weights:
            block_quotas(self.weights)  # refuses what is no share
        if self.drop_tail and (self.weights or self.resample):
            raise ConfigError(
                "data.drop_tail needs epochs of all samples; leave data.weights empty and "
                "data.resample off"
            )

    def build_cache(self) -> ShardCache:
        """The folder that holds copies of remote shards."""
        folder = Path(self.cache_dir) if self.cache_dir else cache_folder() / "shards"
        return ShardCache(folder=folder, max_bytes=int(self.cache_gb * 1e9))
