"""How much embeddings hold that a linear classifier can read: all training pictures, or a few."""
