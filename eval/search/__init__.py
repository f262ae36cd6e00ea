"""What a search found, to be looked at."""
