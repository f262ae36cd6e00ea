"""Training: processes, DeepSpeed, optimizer, checkpoints, logs and the loop itself."""
