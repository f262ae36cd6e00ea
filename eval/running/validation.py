"""The same evaluations while training goes on."""

from collections.abc import Sequence
from dataclasses import dataclass

from eval.contract import Benchmark, Embedder, Model
from eval.data.dataset import EvalDataset
from eval.embedding.decode import CachingDecoder, StreamingDecoder
from eval.embedding.embedder import RememberingEmbedder, StreamingEmbedder
from eval.results import EvalResult
from eval.running.runner import possible_benchmarks
from eval.running.selection import AUTO, benchmarks_for, opened_datasets
from eval.task_choices import TaskChoices


@dataclass(frozen=True, kw_only=True, slots=True)
class DatasetEvaluator:
    """All benchmarks of one data set, on one pass over its images a call.

    Args:
        benchmarks: on the same data set.
        embedder: keeps no embeddings between calls, for the weights change.
    """

    benchmarks: tuple[Benchmark, ...]
    embedder: Embedder

    @property
    def dataset(self) -> EvalDataset:
        """The data set of all its benchmarks."""
        return self.benchmarks[0].dataset

    def __call__(self, model: Model) -> list[EvalResult]:
        """Results of the model as it is now; collective where there are several processes."""
        one_pass = RememberingEmbedder(self.embedder)
        return [
            benchmark.run(model, one_pass)
            for benchmark in possible_benchmarks(model, self.benchmarks)
        ]


def make_evaluators(
    paths: Sequence[str],
    *,
    tasks: Sequence[str] = (AUTO,),
    split: str = "test",
    class_names: str | None = None,
    choices: TaskChoices | None = None,
    subsets: Sequence[str] = (),
    batch_size: int = 256,
    workers: int = 2,
    cache_bytes: int = 512 * 2**20,
) -> list[DatasetEvaluator]:
    """One evaluator a data set; small data sets are decoded once and kept as pixels.

    Args:
        paths, tasks, split, class_names, choices, subsets: see ``eval.running.selection.select``.
        batch_size: images in a forward pass of one process.
        workers: decoding threads of one process.
        cache_bytes: memory for kept pixels in each process, shared equally by the data sets; one
            that does not fit its share is decoded anew in each call.
    Raises:
        UserError: see ``eval.running.selection.benchmarks_for``.
    """
    benchmarks = benchmarks_for(
        paths,
        tasks=tasks,
        split=split,
        class_names=class_names,
        choices=choices,
        subsets=subsets,
    )
    datasets = opened_datasets(benchmarks)
    evaluators: list[DatasetEvaluator] = []
    for dataset in datasets:
        decoder = CachingDecoder(
            StreamingDecoder(batch_size=batch_size, workers=workers),
            limit_bytes=cache_bytes // len(datasets),
        )
        evaluators.append(
            DatasetEvaluator(
                benchmarks=tuple(b for b in benchmarks if b.dataset is dataset),
                embedder=StreamingEmbedder(decoder=decoder),
            )
        )
    return evaluators
