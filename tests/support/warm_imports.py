"""What the server of warm processes imports: importing this module is that work.

What is missing here each process imports for itself. No garbage is looked for meanwhile.
"""

import gc
import importlib

NAMES = (
    "pytest",
    "deepspeed",
    "deepspeed.runtime.zero.muon.muon_optimizer",
    "deepspeed.module_inject.auto_ep_config",
    "deepspeed.ops.op_builder.all_ops",
    "deepspeed.runtime.superoffload.superoffload_stage3",
    "deepspeed.runtime.zero.stage3",
    "deepspeed_configs",
    "numpy.ctypeslib",
    "PIL.BmpImagePlugin",
    "PIL.GifImagePlugin",
    "PIL.JpegImagePlugin",
    "PIL.PngImagePlugin",
    "PIL.PpmImagePlugin",
    "setuptools",
    "tensorboard.summary.writer.record_writer",
    "torch._inductor.compile_fx",
    "torch._dynamo.repro.after_dynamo",
    "torch._subclasses.schema_check_mode",
    "transformers",
    "data_pipelines.ingest.run",
    "data_pipelines.noise.phrases",
    "eval.embedding.embedder",
    "eval.running.runner",
    "eval.running.selection",
    "vlsuite.batches.pairs",
    "vlsuite.batches.pictures",
    "vlsuite.cli.data",
    "vlsuite.cli.eval",
    "vlsuite.cli.main",
    "vlsuite.cli.train",
    "vlsuite.engine.steps.contrastive",
    "vlsuite.engine.train_loop",
    "vlsuite.models.coca",
    "vlsuite.models.dual_encoder.config",
    "vlsuite.models.dual_encoder.trainable",
    "vlsuite.models.storm.model",
    "vlsuite.models.video_text.model",
    "vlsuite.objectives.coca",
    "vlsuite.recipes",
    "tests.support.embedding_model",
    "tests.support.runs",
)

gc.disable()
for _name in NAMES:
    importlib.import_module(_name)
gc.enable()
