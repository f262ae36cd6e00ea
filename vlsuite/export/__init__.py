"""Trained models in the forms other tools read."""
