"""Shards read as a sequence of samples, and written from a source."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any, overload

import numpy as np
from PIL import Image

from data_pipelines.shards.find import find_shards
from data_pipelines.shards.index import ShardIndex
from data_pipelines.shards.pairs import captions_of, fields_of, image_of, label_of, uid_of
from data_pipelines.shards.shard_set import ShardSet, summaries_of
from vlsuite.api.several import names

_OPEN_SAMPLES = 1_000_000  # whose places stay in memory, about 110 bytes each
_NUMBER_OF_SHARDS = "nshards.txt"  # marks a split of an evaluation folder
