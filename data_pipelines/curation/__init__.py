"""Curation: what samples are is read once into a table, filters are questions to that table."""
