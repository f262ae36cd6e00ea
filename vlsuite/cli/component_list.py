"""The components of a registry with their settings, as lists of commands show them."""

from dataclasses import MISSING, fields

from data_pipelines.registry import Registry
from vlsuite.cli.options import described


def print_components(registry: Registry) -> None:
    """A line for each, and one for each of its settings; also for those that cannot be imported."""
    for entry in registry.listed():
        if entry.component is None:
            print(f"  {entry.name}: not available ({entry.problem})")
            continue
        print(f"  {entry.name}")
        told = described(entry.component)
        for field in fields(entry.component):
            start = "needed" if field.default is MISSING else f"{field.default!r}"
            print(f"    {field.name} = {start}: {told.get(field.name, '')}")
