"""Subsets of shards as views: which samples are chosen, in one small file, without a copy."""
