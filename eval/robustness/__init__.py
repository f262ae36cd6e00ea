"""What happens to a model when its pictures change; tasks are found by ``eval.tasks.registry``."""
