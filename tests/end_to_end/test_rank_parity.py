"""Two processes train like one on the joined batch, through the real loop.

The benchmark prints the figures for every ZeRO stage; this runs its quick form, but for its
launcher, which test_launchers.py tests.
"""

import json
import sys

from benchmarks import rank_parity
from tests.support.warm_processes import exit_codes, start_ranks


def _launch(args, folder, size):
    args.worker = str(folder / f"losses_{size}")
    (folder / f"losses_{size}").mkdir()
    log = folder / f"losses_{size}.log"
    codes = exit_codes(start_ranks(size, rank_parity._train_all, args, log=log))
    assert codes == [0] * size, log.read_text()[-2000:]
    return json.loads((folder / f"losses_{size}" / "losses.json").read_text())


def test_two_processes_equal_one(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["rank_parity", "--quick", "--steps", "3"])
    monkeypatch.setattr(rank_parity, "_launch", _launch)
    rank_parity.main()
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])["max_loss_diff"]
    assert set(figures) == {"clip_zero0", "clip_zero3", "siglip_zero0", "siglip_zero3"}
    assert max(figures.values()) <= 1e-5, figures
