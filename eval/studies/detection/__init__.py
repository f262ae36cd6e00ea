"""Does distillation let a detector find what nobody marked? One frozen trunk, heads by mode."""
