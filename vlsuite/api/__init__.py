"""What ``vlsuite`` offers to Python: one module a subject; import the names from ``vlsuite``."""
