"""All that a run is made of, and all that is needed to continue it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vlsuite.batches.batch import Batch
from vlsuite.batches.dataset import UidRule
from vlsuite.engine.checkpoint import (
    Checkpoint,
    Progress,
    Snapshot,
    check_matches,
    load_checkpoint,
    take_snapshot,
)
from vlsuite.engine.config import TrainConfig
from vlsuite.engine.deepspeed import deepspeed_settings, offloads_optimizer, start_engine
from vlsuite.engine.distributed import Context
from vlsuite.engine.joint_clipping import JointClipping
from vlsuite.engine.master_state import (
    MOMENTS,
    create_moments,
    iterate_master_state,
    restore_master_state,
)
from vlsuite.engine.metrics_log import say
from vlsuite.engine.newest_checkpoint import newest_good
from vlsuite.engine.optim import build_optimizer, learning_rate, set_learning_rate
from vlsuite.engine.steps import Step, steps
from vlsuite.engine.stream_counts import StreamCounts
from vlsuite.engine.training_mode import set_training_mode
from vlsuite.export.run_history import read_run
from vlsuite.layers.synchronised_batch_norm import synchronise_batch_norms
from vlsuite.models.family import TrainableModel
from vlsuite.objectives.objective import Objective

_MEMORY = "memory."
_COMPUTE_TYPE = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(kw_only=True)
class TrainState:
    """A run in memory.

    Attributes:
        config, ctx: of the run and of this process.
        built: the model as built; its module is wrapped by the engine.
        step_function: how one optimizer step is computed.
        engine: DeepSpeed engine around the module.
        objective: the loss and what it learns itself, outside ZeRO, the same on every process.
        objective_optimizer: AdamW of the objective's parameters.
        clipping: cuts the objective's gradients with the engine's; None where they are not cut.
        step: optimizer updates done.
        samples_seen: over all processes; also the position in the data stream.
        learning_rate: that the last update was made with, 0 before the first of this process.
        scalars: of the objective, as the last loss was computed with them.
        counts: samples by source, left out, mended.
        data: fingerprint of the training set that the position belongs to.
        uids: what names a sample without a uid; a run keeps its rule.
        order: the rule of the order of samples (see ``Shuffling``); a run keeps it.
        content: of the training shards, in one word.
        train: patterns of the training shards, and files of their subsets.
        num_skipped: samples left out by all processes.
        num_warned: those this process has named on the terminal.
    """

    config: TrainConfig
    ctx: Context
    built: TrainableModel
    step_function: Step
    engine: Any
    objective: Objective
    objective_optimizer: torch.optim.Optimizer | None
    clipping: JointClipping | None = None
    step: int = 0
    samples_seen: int = 0
    learning_rate: float = 0.0
    scalars: dict[str, float] = field(default_factory=dict)
    counts: StreamCounts = field(default_factory=StreamCounts)
    data: str = ""
    uids: UidRule = "shard"
    order: Mapping[str, Any] = field(default_factory=dict)
    content: str = ""
    train: Sequence[str] = ()
    num_skipped: int = 0
    num_warned: int = 0

    @classmethod
    def create(cls, config: TrainConfig, ctx: Context) -> "TrainState":
        """Build the model, the objective and the engine from seeds.

        Raises:
            ConfigError, ModelError: see the configs of the parts.
        """
        settings = deepspeed_settings(config, world_size=ctx.world_size)
        torch.manual_seed(config.seed)
        built: TrainableModel = config.model.build()
        step_function = steps.get(built.step)
        objective: Objective = config.objective.build().to(ctx.device)
        built.prepare(objective)
        if config.sync_batch_norm:
            synchronise_batch_norms(built.module)
        optimizer = build_optimizer(
            config.optim,
            built.module,
            offload=offloads_optimizer(settings),
            is_new=built.is_new,
        )
        if config.compile:
            built.compile()
        engine = start_engine(built.module, optimizer, settings, ctx=ctx)
        create_moments(engine)
        return cls(
            config=config,
            ctx=ctx,
            built=built,
            step_function=step_function,
            engine=engine,
            objective=objective,
            objective_optimizer=_optimizer_of(objective, config),
            clipping=_clipping_of(engine, objective, config),
        )

    def training_mode(self) -> None:
        """Before the first step and after every pause: what trains is in training mode."""
        self.engine.train()
        set_training_mode(self.engine.module, frozen=self.config.frozen_parts)

    def train_on(self, fingerprint: str) -> None:
        """Note which training set the stream's position belongs to; say so where it changed."""
        if self.data and self.data != fingerprint and self.ctx.is_first:
            say(
                "warning: the training shards, their subset or mixture, captions, the batch size "
                "or the seed differ from those of the checkpoint: from here on the order is that "
                "of the new ones, and the epoch in progress may repeat or miss samples"
            )
        self.data = fingerprint

    def encode(self, batch: Batch) -> Any:
        """Run the model on one micro-batch; what comes out is the family's business."""
        return self.built.forward(
            self.engine,
            batch,
            device=self.ctx.device,
            dtype=_COMPUTE_TYPE[self.config.precision],
        )

    def begin_step(self, total_steps: int, *, epoch: float) -> int:
        """Set the learning rate of the coming update; returns the seed of its dropout masks.

        Args:
            epoch: passes over the training set so far.
        """
        self.objective.begin_step(epoch)
        rate = learning_rate(self.config.optim, self.step, total_steps=total_steps)
        self.learning_rate = rate
        set_learning_rate(self.engine.optimizer, rate)
        if self.objective_optimizer is not None:
            set_learning_rate(self.objective_optimizer, rate)
            self.objective_optimizer.zero_grad()
        mixed = (self.config.seed * 1_000_003 + self.step) * 65_537 + self.ctx.rank
        return mixed % 2**63

    def finish_step(self) -> None:
        """Update the objective, unless fp16 overflow made the engine skip its own update."""
        self.scalars = self.objective.scalars()
        if self.engine.was_step_applied():
            if self.clipping is not None:
                self.clipping.cut_objective()
            if self.objective_optimizer is not None:
                self.objective_optimizer.step()
            self.objective.clamp_()
        self.step += 1
        self.samples_seen += self.config.global_batch_size

    def grad_norm(self) -> float | None:
        """Global norm of the module's last gradients before clipping; None where not computed."""
        norm = self.engine.get_global_grad_norm()
        return None if norm is None or not math.isfinite(float(norm)) else float(norm)

    def evaluated(self, name: str) -> Any:
        """The model as it is now, for evaluators; collective under ZeRO 3."""
        return self.built.evaluated(
            name,
            scalars=self.objective.scalars(),
            device=self.ctx.device,
            run=self.engine,
            dtype=_COMPUTE_TYPE[self.config.precision],
        )

    def snapshot(self) -> Snapshot | None:
        """Copy all that a checkpoint holds to host memory; every process calls.

        Returns:
            None on all processes but the first.
        """
        scaled = self.config.precision == "fp16"
        self.counts.merge(world_size=self.ctx.world_size)
        progress = Progress(
            step=self.step,
            samples_seen=self.samples_seen,
            loss_scale=float(_loss_scaler(self.engine).cur_scale) if scaled else None,
            counts=self.counts.to_dict(),
            data=self.data,
            uids=self.uids,
            order=dict(self.order),
            content=self.content,
            train=list(self.train),
        )
        return take_snapshot(
            self.engine,
            progress,
            objective=self._objective_state(),
            buffers=persistent_buffers(self.engine.module),
            is_writer=self.ctx.is_first,
        )

    def export(self, folder: Path) -> None:
        """Write the model as a folder of its kind, with a card; every process calls.

        Args:
            folder: lies in the run folder, which the card is made from.
        Raises:
            ModelError, RunFolderError: see ``TrainableModel.write``.
        """
        weights = {n: s.weight for n, s in iterate_master_state(self.engine, moments=False)}
        if self.ctx.is_first:
            weights |= {
                name: buffer.detach().to("cpu", torch.float32)
                for name, buffer in persistent_buffers(self.engine.module).items()
            }
            run = folder.parent
            self.built.write(
                folder,
                weights,
                scalars=self.objective.scalars(),
                name=run.name,
                history=read_run(run, step=self.step, samples_seen=self.samples_seen),
            )
        self.ctx.barrier()

    def _objective_state(self) -> dict[str, Tensor]:
        found = {name: p.detach().cpu().clone() for name, p in self.objective.named_parameters()}
        for name, parameter in self.objective.named_parameters():
            for key, value in self._objective_moments(parameter).items():
                found[f"{key}.{name}"] = value.detach().cpu().reshape(-1).clone()
        return found | {f"{_MEMORY}{k}": v.clone() for k, v in self.objective.memory().items()}

    def _objective_moments(self, parameter: torch.nn.Parameter) -> dict[str, Tensor]:
        optimizer = self.objective_optimizer
        return {} if optimizer is None else optimizer.state.get(parameter, {})


def _optimizer_of(objective: Objective, config: TrainConfig) -> torch.optim.Optimizer | None:
    """AdamW of the objective's own parameters; None where it has none."""
    parameters = list(objective.parameters())
    if not parameters:
        return None
    beta1, beta2 = config.optim.betas
    return torch.optim.AdamW(
        parameters, betas=(beta1, beta2), eps=config.optim.eps, weight_decay=0.0
    )


def _clipping_of(engine: Any, objective: Objective, config: TrainConfig) -> JointClipping | None:
    """None where the engine clips alone, or not at all."""
    norm, parameters = config.optim.grad_clip_norm, tuple(objective.parameters())
    if norm is None or not parameters or not config.optim.clip_objective:
        return None
    return JointClipping(engine, parameters, max_norm=norm)


def restore_latest(config: TrainConfig, ctx: Context, folder: Path) -> TrainState:
    """The state of the newest good checkpoint in ``folder``, or a fresh one if there is none.

    The number of processes, the ZeRO stage and the micro-batch size may differ from the run that
    wrote it. Damaged checkpoints are set aside and named on the terminal.

    Raises:
        CheckpointError: all are damaged, or it is of another model.
    """
    state = TrainState.create(config, ctx)
    path = newest_good(folder, ctx)
    if path is None:
        return state
    checkpoint = load_checkpoint(path)
    named = state.engine.module.named_parameters()
    shapes = {name: getattr(p, "ds_shape", p.shape) for name, p in named}
    check_matches(path, checkpoint.masters, shapes)
    _restore(state, checkpoint)
    return state


def _restore(state: TrainState, checkpoint: Checkpoint) -> None:
    progress = checkpoint.progress
    _load_live_weights(state, {n: s.weight for n, s in checkpoint.masters.items()})
    for name, buffer in persistent_buffers(state.engine.module).items():
        buffer.copy_(checkpoint.buffers[name].to(buffer.device))
    restore_master_state(state.engine, checkpoint.masters, step=progress.step)
    _restore_objective(state, checkpoint.objective)
    if progress.loss_scale is not None and state.config.precision == "fp16":
        _loss_scaler(state.engine).cur_scale = progress.loss_scale
    state.step = progress.step
    state.samples_seen = progress.samples_seen
    state.counts = StreamCounts(progress.counts)
    state.data = progress.data
    state.uids = "shard" if progress.uids == "shard" else "key"
    state.order, state.content, state.train = progress.order, progress.content, progress.train
    state.num_skipped = state.counts.skipped.total()


def persistent_buffers(module: torch.nn.Module) -> dict[str, Tensor]:
    """Buffers that belong to the saved weights (running statistics of batch norm)."""
    kept = module.state_dict().keys()
    return {name: buffer for name, buffer in module.named_buffers() if name in kept}


def _loss_scaler(engine: Any) -> Any:
    """Dynamic loss scale of fp16 training; stage 0 keeps it under another name."""
    optimizer = engine.optimizer
    return getattr(optimizer, "loss_scale_config", None) or optimizer.loss_scaler


@torch.no_grad()
def _load_live_weights(state: TrainState, weights: dict[str, Tensor]) -> None:
    """Copy stored masters into the weights that the engine computes with."""
    from deepspeed import zero

    for name, parameter in state.engine.module.named_parameters():
        if hasattr(parameter, "ds_id"):
            with zero.GatheredParameters([parameter], modifier_rank=0):
                if state.ctx.is_first:
                    parameter.copy_(weights[name].to(parameter.device))
        else:
            parameter.copy_(weights[name].to(parameter.device))


@torch.no_grad()
def _restore_objective(state: TrainState, stored: dict[str, Tensor]) -> None:
    for name, parameter in state.objective.named_parameters():
        parameter.copy_(stored[name])
        if f"step.{name}" in stored and state.objective_optimizer is not None:
            moments = {key: stored[f"{key}.{name}"].to(parameter.device) for key in MOMENTS}
            step = stored[f"step.{name}"].reshape(())
            state.objective_optimizer.state[parameter] = {"step": step, **moments}
    memory = {k.removeprefix(_MEMORY): v for k, v in stored.items() if k.startswith(_MEMORY)}
    if memory.keys() == state.objective.memory().keys():
        state.objective.load_memory(memory)
    elif state.ctx.is_first:
        say(
            "warning: what the checkpoint remembers of its pairs is of another objective; this one "
            "starts without"
        )
