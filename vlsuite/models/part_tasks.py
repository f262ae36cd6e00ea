"""One model over the parts of a table, in this process or on the nodes of a Ray cluster."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

from data_pipelines.curation.table import TablePart
from data_pipelines.shards.shard_set import Shard
from data_pipelines.workers.spread import Workers, in_order, spread
from vlsuite.errors import DataError
from vlsuite.models.opening import open_model
from vlsuite.models.scorers.contract import ScorerSettings

Progress = Callable[[Iterable[Any]], Iterable[Any]]


class PartTask(NamedTuple):
    """A shard, local or remote, and its part of the table, by paths that hold anywhere."""

    shard: Shard
    part: TablePart


@runtime_checkable
class PartWork(Protocol):
    """What is done with one shard; for a cluster it must be picklable, without the model."""

    def __call__(self, model: Any, task: PartTask, /) -> Any:
        """Write the part of the result that is the shard's."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelCluster:
    """A Ray cluster whose nodes open a model by its name, each process once.

    Args:
        address: of the cluster.
        model: as ``open_model`` takes it; a path must hold on every node.
        device: of the nodes; cuda takes a GPU for each process.
        scorer: what they build on the model; None: the model itself.
    """

    address: str
    model: str
    device: str = "cpu"
    scorer: ScorerSettings | None = None


def over_parts(
    work: PartWork,
    model: Any,
    tasks: Sequence[PartTask],
    *,
    cluster: ModelCluster | None = None,
    progress: Progress = iter,
) -> list[Any]:
    """Do the work of all tasks; what it returns, in their order.

    Args:
        model: opened here; a cluster's nodes have to open one of the same fingerprint.
        progress: wraps the tasks.
    Raises:
        DataError: what the work raises; on a node, the model is another than here.
    """
    if cluster is None:
        return [work(model, task) for task in progress(tasks)]
    name = Path(cluster.model)
    anywhere = replace(cluster, model=str(name.absolute())) if name.exists() else cluster
    call = partial(_on_node, work=work, cluster=anywhere, fingerprint=model.fingerprint)
    gpus = 1.0 if cluster.device.startswith("cuda") else 0.0
    workers = Workers(ray=cluster.address, gpus=gpus)
    return in_order(progress(spread(call, tasks, workers=workers)))


def _on_node(task: PartTask, *, work: PartWork, cluster: ModelCluster, fingerprint: str) -> Any:
    model = _opened(cluster.model, cluster.device, cluster.scorer)
    if model.fingerprint != fingerprint:
        raise DataError(
            f"{cluster.model} is another model on this node (other weights or preprocessing); "
            "name one that all nodes share"
        )
    return work(model, task)


@cache
def _opened(name: str, device: str, scorer: ScorerSettings | None) -> Any:
    return scorer.build(name, device=device) if scorer else open_model(name, device=device)
