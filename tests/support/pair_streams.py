"""Training streams of pairs from small shards, for one of several processes."""

from typing import Any

from tests.support.words import word_tokenizer
from vlsuite.batches.data_config import DataConfig
from vlsuite.batches.end_of_text import EndOfText
from vlsuite.batches.pair_shards import PairShards
from vlsuite.batches.pairs import PairReader
from vlsuite.batches.stream import Place, TrainStream
from vlsuite.batches.transforms import AugmentConfig, TrainTransform

#: Samples of a step.
BATCH = 8


def pair_stream(
    *folders: Any,
    rank: int = 0,
    world_size: int = 1,
    workers: int = 0,
    color_jitter: float = 0.0,
    **data: Any,
) -> TrainStream:
    """A stream of augmented pictures of 16 x 16 pixels with one caption each."""
    config = DataConfig(train=tuple(map(str, folders)), num_workers=workers, **data)
    augment = AugmentConfig(crop_scale=(0.3, 1.0), flip_probability=0.5, color_jitter=color_jitter)
    return TrainStream(
        config,
        PairShards.open(config),
        place=Place(
            rank=rank,
            world_size=world_size,
            global_batch_size=BATCH,
            micro_batch_size=BATCH // world_size,
        ),
        reader=PairReader(
            transform=TrainTransform(augment, size=(16, 16), interpolation="bicubic"),
            tokenizer=word_tokenizer(),
            end_of_text=EndOfText(),
            caption=config.caption,
        ),
        seed=3,
        pin_memory=False,
    )
