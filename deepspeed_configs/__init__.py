"""DeepSpeed settings by name: ZeRO stage, offload and communication, nothing else.

Batch sizes, precision, clipping and the optimizer belong to the training config and are merged in
by ``vlsuite.engine.deepspeed``; a key set in both places is an error.
"""
