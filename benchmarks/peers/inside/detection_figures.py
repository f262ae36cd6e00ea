"""Figures of pycocotools and lvis on annotations and results in JSON.

Runs inside the peers' environment, so it imports nothing of ours. The last line printed is one JSON
object: processor seconds from parsed JSON to figures, and per-class AP and recall.
"""

import contextlib
import io
import json
import sys
import time
from typing import Any

import numpy as np

setattr(np, "float", float)  # noqa: B010  the release of lvis still names it; NumPy 1.24 took it away


def main() -> None:
    """Read {"kind", "annotations", "results"} from the file named and measure."""
    with open(sys.argv[1], encoding="utf-8") as stream:
        asked = json.load(stream)
    measure = _lvis if asked["kind"] == "lvis" else _coco
    with contextlib.redirect_stdout(io.StringIO()):
        shown = measure(asked["annotations"], asked["results"])
    print(json.dumps(shown))


def _coco(annotations: dict[str, Any], results: list[dict[str, Any]]) -> dict[str, Any]:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    started = time.process_time()
    marked: Any = COCO()
    marked.dataset = annotations
    marked.createIndex()
    evaluator = COCOeval(marked, marked.loadRes(results), "bbox")
    evaluator.params.maxDets = [1, 100, 300]
    evaluator.evaluate()
    evaluator.accumulate()
    seconds = time.process_time() - started
    found = evaluator.eval
    return {
        "seconds": seconds,
        "precision": found["precision"][..., 1].mean(axis=1).tolist(),
        "recall": found["recall"][..., 2].tolist(),
    }


def _lvis(annotations: dict[str, Any], results: list[dict[str, Any]]) -> dict[str, Any]:
    from lvis import LVIS, LVISEval, LVISResults  # type: ignore[import-not-found]

    started = time.process_time()
    marked = LVIS.__new__(LVIS)
    import logging

    marked.logger = logging.getLogger("lvis")
    marked.dataset = annotations
    marked._create_index()
    evaluator = LVISEval(marked, LVISResults(marked, results, max_dets=300), "bbox")
    evaluator.evaluate()
    evaluator.accumulate()
    seconds = time.process_time() - started
    found = evaluator.eval
    return {
        "seconds": seconds,
        "precision": found["precision"].mean(axis=1).tolist(),
        "recall": found["recall"].tolist(),
    }


if __name__ == "__main__":
    main()
