"""Inputs that were made to harm; each kind in a module of its own."""

import importlib

MODULES = (
    "pictures",
    "archives",
    "indexes",
    "descriptions",
    "run_files",
    "texts",
    "media",
    "replies",
)


def load() -> None:
    """Fill ``place.ALL``; the inputs themselves are made when they are asked for."""
    for name in MODULES:
        importlib.import_module(f"benchmarks.hostile_inputs.{name}")
