"""Texts that models write about pictures; tasks are found by ``eval.tasks.registry``."""
