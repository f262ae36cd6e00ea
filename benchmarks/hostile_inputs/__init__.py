"""Inputs that were made to harm; each kind in a module of its own."""

#: All of them; what they define is in ``place.ALL`` once they are imported.
MODULES = (
    "pictures",
    "archives",
    "indexes",
    "descriptions",
    "run_files",
    "texts",
    "media",
    "replies",
    "ingests",
)
