"""Synthetic damage to pictures in memory: ImageNet-C's corruptions as batched tensor functions."""
