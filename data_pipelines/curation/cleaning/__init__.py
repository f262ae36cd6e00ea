"""Captions put right without touching a shard: what was taken from each is written down."""
