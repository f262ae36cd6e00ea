"""Zero-shot tasks, one a file; ``eval.tasks.registry`` finds them by name."""
