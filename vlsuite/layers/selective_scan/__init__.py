"""The selective scan of Mamba-1 (S6), by the fastest form that a machine has."""

from vlsuite.layers.selective_scan.paths import ScanPath, chosen_path
from vlsuite.layers.selective_scan.scan import ScanOutput, StepOutput, scan_step, selective_scan

__all__ = [
    "ScanOutput",
    "ScanPath",
    "StepOutput",
    "chosen_path",
    "scan_step",
    "selective_scan",
]
