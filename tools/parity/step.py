"""Two training steps of GLAD, built from PyTorch's own operations in double precision, to compare the program with.

The backbones are those of parity.py, with the weights of `nodes/tests/parity/NAME.pth`. Around them stand the heads and all
losses of `graphs/full.toml`: cross-entropy on the source, temporal order learning with masked rows, and the three adversaries
behind a gradient reversal layer. For each backbone it writes `NAME_step.safetensors`:

  start.X    the weights of the heads, under the program's names (clips and the backbone's weights are not needed)
  label.S    the classes of the source's videos
  valid.S    for each stream, whether the order of a video's local clips is defined
  order.K    which order each row of the local clips has in step K, those of the source first
  loss.K     ce, tol, align_g, align_l, align_x and the weighted total in step K
  grad.X     gradients in the first step (of large tensors every n-th value)
  after.X    weights and running statistics after the steps

  python3 -m venv /tmp/parity && /tmp/parity/bin/pip install torch safetensors numpy
  /tmp/parity/bin/python tools/parity/step.py --out tests/parity
"""

import argparse
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from parity import I3dR50, Tsm, torchvision
from safetensors.torch import save_file

WEIGHTS = Path(__file__).parents[2] / "nodes/tests/parity"
CLASSES, GLOBAL, LOCAL, VIDEOS, SIZE = 12, 1, 2, 3, 32
ORDER_HIDDEN, DOMAIN_HIDDEN, LAYERS = 8, 8, 4
LOSSES = {"ce": 1.0, "tol": 0.1, "align_g": 0.33, "align_l": 0.33, "align_x": 0.33}
LR, MOMENTUM, DECAY = 0.003, 0.9, 1e-4
# The completed share of the phase at each step, which gives the reversal's strength.
PROGRESS = [0.1, 0.2]
SAMPLES = 48


def clips(stream, frames):
    """Patterns that move and differ from clip to clip, in whole numbers: bytes [VIDEOS, clips, T, H, W, 3]."""

    def wave(n, half):
        return (n % (2 * half) - half).abs()

    v, n, t, y, x, c = torch.meshgrid(
        *[torch.arange(k) for k in (VIDEOS, GLOBAL + LOCAL, frames, SIZE, SIZE, 3)], indexing="ij"
    )
    clip = (stream * VIDEOS + v) * (GLOBAL + LOCAL) + n
    broad = wave((clip % 5 + 3) * y + (clip % 7 + 2) * x + (clip % 3 + 4) * t + 29 * clip + 40 * c, 80)
    fine = wave(37 * y + 53 * x + 71 * t + 17 * clip * (c + 1), 61)
    return (broad + fine + 20 * (clip % 4)).to(torch.uint8)


class Glad:
    """The backbone with heads: weights by the program's names."""

    def __init__(self, net, per_view, seed):
        self.net, self.per_view = net, per_view
        self.gen = torch.Generator().manual_seed(seed)
        self.heads = {}

    def linear(self, name, x, outputs):
        def drawn(key, shape):
            if key not in self.heads:
                value = torch.randn(shape, generator=self.gen) / math.sqrt(x.shape[-1])
                self.heads[key] = value.float().to(x.dtype).requires_grad_()
            return self.heads[key]

        return F.linear(x, drawn(f"{name}.weight", (outputs, x.shape[-1])), drawn(f"{name}.bias", (outputs,)))

    def features(self, streams):
        """Features [stream][VIDEOS, clips, D]; one call of the backbone per batch with joint statistics."""
        views = [(0, GLOBAL), (GLOBAL, GLOBAL + LOCAL)] if self.per_view else [(0, GLOBAL + LOCAL)]
        groups = [[s] for s in streams] if self.per_view else [streams]
        found = [[] for _ in streams]
        for g, group in enumerate(groups):
            for a, b in views:
                batch = torch.cat([s[:, a:b].flatten(0, 1) for s in group])
                y = self.net.forward(batch.permute(0, 4, 1, 2, 3)).chunk(len(group))
                for i, part in enumerate(y):
                    found[g + i].append(part.unflatten(0, (VIDEOS, b - a)))
        return [torch.cat(f, 1) for f in found]

    def adversary(self, name, source, target, strength):
        rows = torch.cat(source + target)
        # The gradient comes back times -strength.
        x = -strength * rows + ((1 + strength) * rows).detach()
        for i in range(LAYERS):
            x = self.linear(f"{name}.mlp.{i}", x, 1 if i == LAYERS - 1 else DOMAIN_HIDDEN)
            x = x if i == LAYERS - 1 else F.relu(x)
        domain = torch.cat([torch.ones(sum(map(len, source))), torch.zeros(sum(map(len, target)))]).to(x.dtype)
        return F.binary_cross_entropy_with_logits(x[:, 0], domain)

    def losses(self, streams, labels, valid, orders, strength):
        feature = self.features(streams)
        local = [f[:, GLOBAL:] for f in feature]
        g = [f[:, :GLOBAL].mean(1) for f in feature]
        l = [f.mean(1) for f in local]
        ce = F.cross_entropy(self.linear("classify", feature[0].mean(1), CLASSES), labels)
        # Of two clips, order 1 is the one that swaps them.
        rows = torch.cat(local)
        shuffled = torch.stack([r.flip(0) if o == 1 else r for r, o in zip(rows, orders)])
        hidden = F.relu(self.linear("tol.head.hidden", shuffled.flatten(1), ORDER_HIDDEN))
        each = F.cross_entropy(self.linear("tol.head.out", hidden, 2), orders, reduction="none")
        mask = torch.cat(valid).to(each.dtype)
        found = {"ce": ce, "tol": (each * mask).sum() / mask.sum()}
        found["align_g"] = self.adversary("align_g", [g[0]], [g[1]], strength)
        found["align_l"] = self.adversary("align_l", [l[0]], [l[1]], strength)
        found["align_x"] = self.adversary("align_x", [g[0], l[0]], [g[1], l[1]], strength)
        return found

    def weights(self):
        return {**{f"backbone.{k}": w for k, w in self.net.weights.items()}, **self.heads}


def some(t):
    flat = t.detach().flatten()
    return flat[:: max(1, flat.numel() // SAMPLES)].float().clone()


def write(name, net, rename, frames, per_view, seed, out):
    state = torch.load(WEIGHTS / f"{name}.pth", weights_only=True)
    state = state.get("state_dict", state)
    streams = [(clips(s, frames).to(net.dtype) - 127.5) / 64 for s in (0, 1)]
    with torch.no_grad():
        # Creates the weights, which are then replaced by those of the file.
        width = net.forward(streams[0][:, 0].permute(0, 4, 1, 2, 3)).shape[1]
        for values in (net.weights, net.buffers):
            for key, value in values.items():
                value.copy_(state[rename(key)])
    glad = Glad(net, per_view, seed)
    gen = torch.Generator().manual_seed(seed + 1)
    labels = torch.randint(CLASSES, (VIDEOS,), generator=gen)
    # One row of each stream does not count.
    valid = [torch.tensor([1, 0, 1], dtype=torch.uint8), torch.tensor([1, 1, 0], dtype=torch.uint8)]
    orders = [torch.randint(2, (2 * VIDEOS,), generator=gen) for _ in PROGRESS]
    saved = {"label.source": labels.to(torch.uint8), "valid.source": valid[0], "valid.target": valid[1]}
    velocity = {}
    for step, progress in enumerate(PROGRESS):
        strength = 2 / (1 + math.exp(-10 * progress)) - 1
        losses = glad.losses(streams, labels, valid, orders[step], strength)
        total = sum(weight * losses[k] for k, weight in LOSSES.items())
        if step == 0:
            saved |= {f"start.{k}": w.detach().float().clone() for k, w in glad.heads.items()}
        grads = torch.autograd.grad(total, list(glad.weights().values()))
        saved[f"order.{step}"] = orders[step].to(torch.uint8)
        saved[f"loss.{step}"] = torch.stack([losses[k] for k in LOSSES] + [total]).detach().float()
        with torch.no_grad():
            for (key, weight), grad in zip(glad.weights().items(), grads):
                if step == 0:
                    saved[f"grad.{key}"] = some(grad)
                grad = grad + DECAY * weight
                velocity[key] = grad if step == 0 else MOMENTUM * velocity[key] + grad
                weight -= LR * velocity[key]
    buffers = {f"backbone.{k}": b for k, b in net.buffers.items()}
    saved |= {f"after.{k}": some(v) for k, v in {**glad.weights(), **buffers}.items()}
    path = out / f"{name}_step.safetensors"
    save_file(saved, path)
    path.chmod(0o644)
    text = ", ".join(f"{v:.4f}" for v in saved["loss.0"].tolist())
    print(f"{name}: features of {width}, {path.stat().st_size} bytes, losses {text}")


def main():
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--out", type=Path, required=True, help="where the files go")
    args = parse.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    # The released code's statistics, a batch for each view of each stream; and one batch for all clips.
    tsm = Tsm(18, torch.float64, 18, [8, 8, 8, 8, 16])
    write("tsm18", tsm, torchvision, 4, True, 1, args.out)
    i3d = I3dR50(6, torch.float64, 2)
    write("i3d_r50", i3d, lambda n: "backbone." + n, 8, False, 2, args.out)


if __name__ == "__main__":
    main()
