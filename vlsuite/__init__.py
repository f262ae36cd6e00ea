"""vlsuite: train and benchmark vision-language models.

The names below are imported when they are first used, so that ``import vlsuite`` costs nothing::

    import vlsuite

    vlsuite.build_shards("emoji", out="data/emoji")
    run = vlsuite.train("emoji", data="data/emoji/train", out="runs/first")
    for result in vlsuite.evaluate(run.model(), "data/emoji", tasks="zero_shot"):
        print(result.dataset, result.scores["top1"].value)

Wherever several names, paths or texts are taken, a single string counts as one of them. What a
user can mend is a ``vlsuite.errors.UserError``, whose message is one line.
"""

TYPE_CHECKING = False  # not imported: a typing.py in the working folder would be found first

if TYPE_CHECKING:
    from vlsuite.api.building import build_shards
    from vlsuite.api.comparison import compare
    from vlsuite.api.detection import detect
    from vlsuite.api.embeddings import embed
    from vlsuite.api.evaluation import evaluate
    from vlsuite.api.models import embed_images, embed_texts, load_model
    from vlsuite.api.recipes import recipe
    from vlsuite.api.searching import search
    from vlsuite.api.shards import open_shards
    from vlsuite.api.training import train
    from vlsuite.api.version import __version__

__all__ = [
    "__version__",
    "build_shards",
    "compare",
    "detect",
    "embed",
    "embed_images",
    "embed_texts",
    "evaluate",
    "load_model",
    "open_shards",
    "recipe",
    "search",
    "train",
]

_MODULE_OF = {
    "__version__": "version",
    "build_shards": "building",
    "compare": "comparison",
    "detect": "detection",
    "embed": "embeddings",
    "embed_images": "models",
    "embed_texts": "models",
    "evaluate": "evaluation",
    "load_model": "models",
    "open_shards": "shards",
    "recipe": "recipes",
    "search": "searching",
    "train": "training",
}


def __getattr__(name: str) -> object:
    """Import a public name the first time it is asked for (PEP 562)."""
    if name not in _MODULE_OF:
        raise AttributeError(_unknown(name), name=name)
    from importlib import import_module

    from vlsuite.own_packages import shadowed

    if problem := shadowed():
        raise ImportError(problem)
    value = getattr(import_module(f"vlsuite.api.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _unknown(name: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, __all__, n=1, cutoff=0.5)
    hint = f"did you mean '{close[0]}'?" if close else f"it has {', '.join(__all__)}"
    return f"module 'vlsuite' has no attribute '{name}'; {hint}"
