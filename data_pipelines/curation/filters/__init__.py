"""Filters of curation, one a module; see ``data_pipelines.curation.filter``."""
