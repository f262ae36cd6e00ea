"""Whether a model knows what it does not know; tasks are found by ``eval.tasks.registry``."""
