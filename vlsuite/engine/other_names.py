"""What other trainers call settings of a run, and how the same is written here."""

#: A ``{}`` stands for the value; without one, the value follows "=".
OTHER_NAMES = {
    "batch_size": "global_batch_size",
    "epochs": "duration={}epochs",
    "learning_rate": "optim.lr",
    "loss": "objective",
    "max_steps": "duration={}steps",
    "save_frequency": "checkpoint.every={}epochs",
    "steps": "duration={}steps",
    "train_data": "data.train",
    "val_data": "validation.data",
    "wd": "optim.weight_decay",
    "workers": "data.num_workers",
}
