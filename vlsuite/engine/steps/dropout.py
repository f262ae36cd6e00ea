"""Dropout masks that depend on seed, step, process and micro-batch, and on nothing else."""

import torch


def seed_dropout(step_seed: int, micro_batch: int) -> None:
    """Start the generator that the dropout masks of one micro-batch come from."""
    torch.manual_seed((step_seed + micro_batch * 0x9E3779B1) % 2**63)
