"""Which runs the study is made of, and everything that decides their outcome."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple

from eval.errors import EvaluationError
from eval.studies.digest import digest_of
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


class Trial(NamedTuple):
    """One run that a learning rate is chosen by."""

    method: str
    lr: float
    rate: float

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{self.method}-lr{self.lr:g}-{round(100 * self.rate):02d}"


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
        validation_share: of the pairs, likewise; their captions are spoiled at the rate of the
            training pairs, and each method's learning rate is chosen by them.
        pretrain_epochs, epochs: passes over either set; an oracle sees as many samples.
        batch_size: global batch.
        lr: peak learning rate of all methods; none chooses one for each from ``lr_grid``.
        lr_grid: candidates, rising. Steps of about 3, the coarsest that still tell methods apart
            (a flat optimum spans a factor of 3), from a fine-tuning rate to the pretraining's.
        tune_rates: shares of wrong captions over which the rate is chosen; it holds for all.
        tune_seed: of start, noise and order when it is chosen; not one that is reported.
        pretrain_lr: peak learning rate of the first stage.
        token_width: of RDE's second embedding.
        new_lr_factor: its learning rate as a multiple; it starts from random weights.
        picture_side: pictures are stored with this longest side in pixels; 0 leaves them alone.
        threads: of each run.
        max_pairs: use so many pairs, chosen by their ids; 0 uses all.
    """

    shards: tuple[str, ...]
    architecture: str = "vlsuite-micro-32"
    vocab_size: int = 2048
    pretrain_share: float = 0.46
    test_share: float = 0.08
    validation_share: float = 0.08
    pretrain_epochs: float = 14.0
    epochs: float = 4.0
    batch_size: int = 128
    lr: float | None = None
    lr_grid: tuple[float, ...] = (3e-5, 1e-4, 3e-4, 1e-3)
    tune_rates: tuple[float, ...] = (0.0, 0.5)
    tune_seed: int = 1000
    pretrain_lr: float = 1e-3
    token_width: int = 96
    new_lr_factor: float = 4.0
    threads: int = 1
    max_pairs: int = 0
    picture_side: int = 40

    def __post_init__(self) -> None:
        if not self.shards:
            raise EvaluationError("the study needs shards of pairs; name some")
        shares = (self.pretrain_share, self.test_share, self.validation_share)
        if min(shares) < 0 or sum(shares) >= 1:
            raise EvaluationError(
                "pretrain_share, test_share and validation_share must leave pairs to train on"
            )
        rates = (*self.lr_grid, self.pretrain_lr, 1.0 if self.lr is None else self.lr)
        if min(self.epochs, self.batch_size, *rates) <= 0:
            raise EvaluationError("epochs, batch_size and the learning rates must be positive")
        if not all(0 <= rate < 1 for rate in self.tune_rates):
            raise EvaluationError(f"tune_rates={self.tune_rates} must lie in [0, 1)")
        if self.lr is None and not (self.lr_grid and self.validation_share and self.tune_rates):
            raise EvaluationError(
                "choosing a learning rate needs lr_grid, tune_rates and validation_share; give "
                "them, or set lr"
            )

    @property
    def digest(self) -> str:
        """Of all settings that the outcome depends on."""
        return self._digest_without("threads")

    @property
    def trial_digest(self) -> str:
        """The same without what decides which trials there are and what is made of them."""
        return self._digest_without("threads", "lr", "lr_grid", "tune_rates")

    def _digest_without(self, *left_out: str) -> str:
        return digest_of(asdict(self) | dict.fromkeys(left_out))


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
    oracles = ["oracle", "oracle_rde"]
    wanted = cells_of(
        [*central, *oracles, "siglip", "triplet"], (0.5, 0.8, 0.0, 0.2), 1, first_seed=first_seed
    )
    more = cells_of([*central, *oracles], (0.5, 0.8, 0.0), num_seeds, first_seed=first_seed)
    return wanted + [cell for cell in more if cell not in wanted]


def cells_for_goals(num_seeds: int = 3, *, first_seed: int = 0) -> list[Cell]:
    """What the goals of the study need and no more, the most needed first.

    Several seeds for the judged methods at 0, 50 and 80%, and at 0 and 50% for what they are
    compared with; one seed for the rest.
    """
    judged, others = ["nitc_weights", "rde_global", "rde"], ["infonce", "label_smoothing"]
    cells: list[Cell] = []
    for seed in range(first_seed, first_seed + num_seeds):
        cells += cells_of([*judged, *others, "oracle", "oracle_rde"], (0.5,), 1, first_seed=seed)
        cells += cells_of(judged, (0.8, 0.0), 1, first_seed=seed)
        cells += cells_of(["infonce"], (0.0,), 1, first_seed=seed)
    rest = cells_of([*judged, "infonce"], (0.2,), 1, first_seed=first_seed)
    return cells + rest + cells_of([*others, "oracle"], (0.8,), 1, first_seed=first_seed)
