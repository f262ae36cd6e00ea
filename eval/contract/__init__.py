"""What an evaluation needs from a model, and what it gives back.

Three nouns: a ``Model`` can do some things, each a protocol of its own here (it embeds, matches,
writes captions, answers, detects); an ``Embedder`` runs it over a whole data set; a ``Benchmark``
scores what comes out and returns an ``EvalResult``. A benchmark says which of those things the
model must be able to do (``eval.tasks.TaskFacts``), and asks the embedder, never the model, for the
vectors of a data set, so several benchmarks share one pass over the pictures.
"""

from eval.contract.benchmarks import (
    Benchmark,
    Demanding,
    Embedder,
    Evaluator,
    ImageEmbeddings,
    Need,
    PictureBatch,
)
from eval.contract.detectors import (
    DetectionVocabulary,
    Detector,
    KeepsNames,
    KnowsNames,
    TakesExamples,
    WordsNames,
)
from eval.contract.models import (
    Answerer,
    Captioner,
    ClipAnswerer,
    ClipEmbeddingModel,
    CountsTokens,
    DifferentiableModel,
    EmbeddingModel,
    Instructed,
    Matcher,
    Model,
    PictureModel,
    ReducibleModel,
)
from vlsuite.models.detections import Detections, MaskRle

__all__ = [
    "Answerer",
    "Benchmark",
    "Captioner",
    "ClipAnswerer",
    "ClipEmbeddingModel",
    "CountsTokens",
    "Demanding",
    "DetectionVocabulary",
    "Detections",
    "Detector",
    "DifferentiableModel",
    "Embedder",
    "EmbeddingModel",
    "Evaluator",
    "ImageEmbeddings",
    "Instructed",
    "KeepsNames",
    "KnowsNames",
    "MaskRle",
    "Matcher",
    "Model",
    "Need",
    "PictureBatch",
    "PictureModel",
    "ReducibleModel",
    "TakesExamples",
    "WordsNames",
]
