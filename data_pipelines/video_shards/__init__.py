"""Videos to samples: whole with spans, cut into clips, or packed as sequences of pictures."""
