"""Columns of captions beside shards: other words for the same pictures, read by shard and row."""
