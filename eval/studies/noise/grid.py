"""Which runs the study is made of, and everything that decides their outcome."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple

from eval.errors import EvaluationError
from eval.studies.noise.methods import METHODS, method_named


class Cell(NamedTuple):
    """One run: a method on data with a share of wrong captions, from one seed."""

    method: str
    rate: float
    seed: int

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{self.method}-{round(100 * self.rate):02d}-seed{self.seed}"


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyConfig:
    """Settings that all runs share; one set for all methods and rates.

    Attributes:
        shards: pairs with honest captions; of each sample the first caption is used.
        architecture: of the towers.
        vocab_size: of the tokenizer, made from the pretraining captions.
        pretrain_share: of the pairs, on which the towers are trained with InfoNCE first, without
            noise; they are in no other set. 0 starts from random weights.
        test_share: of the pairs, held out; those whose caption occurs twice are left out.
        pretrain_epochs, epochs: passes over either set; an oracle sees as many samples.
        batch_size: global batch.
        lr: peak learning rate of both stages.
        token_width: of RDE's second embedding.
        new_lr_factor: its learning rate as a multiple of ``lr``; it starts from random weights.
        picture_side: pictures are stored with this longest side in pixels; 0 leaves them alone.
        threads: of each run.
        max_pairs: use so many pairs, chosen by their ids; 0 uses all.
    """

    shards: tuple[str, ...]
    architecture: str = "vlsuite-micro-32"
    vocab_size: int = 2048
    pretrain_share: float = 0.46
    test_share: float = 0.08
    pretrain_epochs: float = 14.0
    epochs: float = 4.0
    batch_size: int = 128
    lr: float = 5e-4
    pretrain_lr: float = 1e-3
    token_width: int = 96
    new_lr_factor: float = 4.0
    threads: int = 1
    max_pairs: int = 0
    picture_side: int = 40

    def __post_init__(self) -> None:
        if not self.shards:
            raise EvaluationError("the study needs shards of pairs; name some")
        if min(self.pretrain_share, self.test_share) < 0 or (
            self.pretrain_share + self.test_share >= 1
        ):
            raise EvaluationError("pretrain_share and test_share must leave pairs to train on")
        if min(self.epochs, self.batch_size, self.lr, self.pretrain_lr) <= 0:
            raise EvaluationError("epochs, batch_size and the learning rates must be positive")

    @property
    def digest(self) -> str:
        """Of all settings that the outcome depends on."""
        settings = asdict(self) | {"threads": None}
        whole = {k: int(v) for k, v in settings.items() if isinstance(v, float) and v.is_integer()}
        text = json.dumps(settings | whole, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def cells_of(
    methods: Sequence[str], rates: Sequence[float], num_seeds: int, *, first_seed: int = 0
) -> list[Cell]:
    """All combinations; seeds outermost, so that a stopped study has whole tables of few seeds.

    Raises:
        EvaluationError: an unknown method, a rate outside [0, 1), or no seed.
    """
    for name in methods:
        method_named(name)
    if any(not 0 <= rate < 1 for rate in rates) or num_seeds < 1:
        raise EvaluationError("noise rates must lie in [0, 1) and there must be one seed at least")
    seeds = range(first_seed, first_seed + num_seeds)
    cells = [Cell(m, rate, seed) for seed in seeds for rate in rates for m in methods]
    # without noise an oracle is the method itself
    return [cell for cell in cells if cell.rate > 0 or not METHODS[cell.method].clean_only]


def default_cells(num_seeds: int = 3, *, first_seed: int = 0) -> list[Cell]:
    """The published protocol's rates; several seeds where methods are compared, one elsewhere."""
    central = ["infonce", "label_smoothing", "nitc_weights", "nitc", "rde", "rde_global"]
    others = ["oracle", "siglip", "triplet"]
    wanted = cells_of([*central, *others], (0.5, 0.8, 0.0, 0.2), 1, first_seed=first_seed)
    more = cells_of([*central, "oracle"], (0.5, 0.8, 0.0), num_seeds, first_seed=first_seed)
    return wanted + [cell for cell in more if cell not in wanted]
