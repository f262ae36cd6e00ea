"""Embeddings on disk: what is embedded, how it is stored, and how it is searched."""
