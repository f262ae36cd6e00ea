"""Changes of captions that need no picture: the text-only baselines of insertion attacks."""
