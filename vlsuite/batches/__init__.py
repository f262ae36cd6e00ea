"""Samples to batches: decoding, augmentation, tokens, and the order they come in."""
