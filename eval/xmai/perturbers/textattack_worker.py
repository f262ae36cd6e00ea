"""TextAttack's augmenters on JSON lines, in whatever interpreter has TextAttack.

Run as a file of its own, so that the other interpreter needs nothing of ours: the recipe is the
argument, each line on standard input is ``{"text", "key"}``, each line on standard output a text.
"""

import importlib
import json
import random
import sys

#: By name: the class in textattack.augmentation. One variant a text, other settings as they are.
RECIPES = {
    "checklist": "CheckListAugmenter",
    "clare": "CLAREAugmenter",
    "deletion": "DeletionAugmenter",
    "eda": "EasyDataAugmenter",
    "embedding": "EmbeddingAugmenter",
    "wordnet": "WordNetAugmenter",
}


def main() -> None:
    """Augment every line; draws depend on the key of the line alone."""
    output, sys.stdout = sys.stdout, sys.stderr
    import numpy

    kind = getattr(importlib.import_module("textattack.augmentation"), RECIPES[sys.argv[1]])
    settings = {"fast_augment": True} if sys.argv[1] == "clare" else {}
    augmenter = kind(transformations_per_example=1, **settings)
    for line in sys.stdin:
        row = json.loads(line)
        random.seed(row["key"])
        numpy.random.seed(row["key"] % 2**32)
        found = augmenter.augment(row["text"]) if row["text"].strip() else []
        output.write(json.dumps(found[0] if found else row["text"]) + "\n")
        output.flush()


if __name__ == "__main__":
    main()
