"""How training methods stand wrong captions: methods x noise rates x seeds, with intervals."""
