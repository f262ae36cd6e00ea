"""CLIP and SigLIP as transformers stores them, opened for evaluation."""
