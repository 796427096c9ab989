#!/usr/bin/env python3
"""Steps of PyTorch's Adam and AdamW in double precision, to hold the optimiser to: weights of three layers in two groups, with
weight decay, a schedule and a clipped gradient. Writes a small file of numbers.

    python3 -m venv /tmp/parity && /tmp/parity/bin/pip install torch
    /tmp/parity/bin/python tools/parity/adam.py src/run/tests/adam.json

Weights and gradients are formulas of a few sines, which the test computes as well: see `start` and `gradient`.
"""

import json
import math
import sys
from pathlib import Path

import torch

STEPS = 8
LR, CLIP = 0.02, 2.9
LAYERS = {"slow.weight": (3, 4), "slow.bias": (3,), "quick.weight": (2, 5)}
# Layers of `slow` have a tenth of the rate, and another decay.
SLOW = {"lr": 0.1, "weight_decay": 0.3}
CASES = {
    "adam": {"kind": "adam", "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.05},
    "adam_of_large_eps": {"kind": "adam", "betas": [0.5, 0.9], "eps": 0.1, "weight_decay": 0.0},
    "adamw": {"kind": "adamw", "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.05},
    "adamw_of_other_betas": {"kind": "adamw", "betas": [0.8, 0.95], "eps": 1e-3, "weight_decay": 0.5},
}


def start(layer, i):
    return math.sin(1.7 * i + layer)


def gradient(layer, i, step):
    """Some elements are a thousand times smaller than others, and signs change."""
    size = 1.0 if (i + layer) % 3 else 1e-3
    return size * math.sin(0.9 * i + 2.3 * layer + 1.1 * step * (1 + layer))


def filled(shape, value):
    count = math.prod(shape)
    return torch.tensor([value(i) for i in range(count)], dtype=torch.float64).reshape(shape)


def trained(kind, betas, eps, weight_decay):
    """The weights after each step, and the norms of the gradients."""
    weights = {
        name: filled(shape, lambda i, n=n: start(n, i)).requires_grad_() for n, (name, shape) in enumerate(LAYERS.items())
    }
    slow = [w for name, w in weights.items() if name.startswith("slow.")]
    rest = [w for name, w in weights.items() if not name.startswith("slow.")]
    groups = [
        {"params": slow, "lr": LR * SLOW["lr"], "weight_decay": SLOW["weight_decay"]},
        {"params": rest, "lr": LR, "weight_decay": weight_decay},
    ]
    made = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[kind](groups, lr=LR, betas=betas, eps=eps)
    schedule = torch.optim.lr_scheduler.LambdaLR(made, lambda step: 0.5 * (1 + math.cos(math.pi * step / STEPS)))
    after, norms = [], []
    for step in range(STEPS):
        for n, w in enumerate(weights.values()):
            w.grad = filled(w.shape, lambda i, n=n: gradient(n, i, step))
        norms.append(float(torch.nn.utils.clip_grad_norm_(list(weights.values()), CLIP)))
        made.step()
        schedule.step()
        after.append({name: w.detach().flatten().tolist() for name, w in weights.items()})
    return {"norms": norms, "after": after}


def main():
    cases = {name: {**case, **trained(**case)} for name, case in CASES.items()}
    made = {"torch": torch.__version__.split("+")[0], "steps": STEPS, "lr": LR, "clip": CLIP, "slow": SLOW, "cases": cases}
    Path(sys.argv[1]).write_text(json.dumps(made) + "\n")


if __name__ == "__main__":
    main()
