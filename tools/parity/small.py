#!/usr/bin/env python3
"""Small weights files in every supported format, which the tests mutate and the fuzz target starts from.

    python tools/parity/small.py nodes/tests/untrusted
"""

import collections
import pathlib
import sys

import torch
from safetensors.torch import save_file

folder = pathlib.Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
state = collections.OrderedDict(
    {
        "conv1.weight": torch.arange(24, dtype=torch.float32).reshape(2, 3, 2, 2),
        "conv1.bias": torch.tensor([0.5, -1.0], dtype=torch.float16),
        "fc.weight": torch.arange(6, dtype=torch.float64).reshape(3, 2).t(),
        "bn.num_batches_tracked": torch.tensor(7),
    }
)
torch.save({"state_dict": state, "epoch": 3}, folder / "zip.pth")
torch.save(state, folder / "legacy.pth", _use_new_zipfile_serialization=False)
save_file({name: t.contiguous() for name, t in state.items()}, folder / "small.safetensors")
