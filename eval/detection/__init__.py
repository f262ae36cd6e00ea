"""How good a detector is: AP and AR of boxes and masks, by group, with intervals and pictures."""
