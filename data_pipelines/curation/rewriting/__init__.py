"""Captions in other words, by a model, as a column beside the table."""
