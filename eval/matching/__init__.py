"""Pairs and persons found among pictures; tasks are found by ``eval.tasks.registry``."""
