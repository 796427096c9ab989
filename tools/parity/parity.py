"""Backbones built from PyTorch's own operations, to compare the node kinds with.

For each network it writes into a folder:
  NAME.pth          random weights under the names that checkpoints of it have
  NAME.safetensors  an input, a target, the feature, the loss (the mean squared difference of feature and target),
                    gradients (grad.X), weights and running statistics after 3 steps of SGD (after.X), and the feature
                    in evaluation after that
  NAME.json         kind and parameters of the node, and those of SGD

The networks' weights are drawn so that rounding is not blown up from layer to layer. In the networks as published, some of
many millions of values lie so near a ReLU's or a maximum's edge that rounding moves them across: there, NAME.json says how
far PyTorch in single precision is from itself in double precision, and the test allows three times as much.

The small files that the tests read (all computed in double precision, so that they hold no implementation's
rounding; of large tensors a sample of values is kept):

  python3 -m venv /tmp/parity && /tmp/parity/bin/pip install torch safetensors numpy
  /tmp/parity/bin/python tools/parity/parity.py --small --out nodes/tests/parity

The networks as published (some minutes, 16 GB of memory and 1 GB of files), and the comparison:

  /tmp/parity/bin/python tools/parity/parity.py --out /tmp/parity/full
  GLAD_PARITY=/tmp/parity/full cargo test --release -p glad-nodes --test parity -- --nocapture
"""

import argparse
import json
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

MOMENTUM, DECAY, STEPS = 0.9, 1e-4, 3
# As in the test: gradients of less than this share of the network's largest are only rounding.
FLOOR = 1e-2


class Net:
    """Weights by our names, created at their first use, and the forward pass of each network."""

    # Spread and mean of the norms' biases.
    shift_of_norms = (0.5, 0.0)
    # Small enough that the steps stay near the first, where rounding is not amplified.
    learning_rate = 0.003
    clips = 2

    def __init__(self, seed, dtype, eps=1e-5, momentum=0.1):
        self.gen = torch.Generator().manual_seed(seed)
        self.dtype, self.eps, self.momentum = dtype, eps, momentum
        self.weights, self.buffers = {}, {}
        self.training = True

    def weight(self, name, make):
        if name not in self.weights:
            self.weights[name] = make().to(self.dtype).requires_grad_()
        return self.weights[name]

    def conv(self, name, x, co, kernel, stride, pad, bias=None):
        shape = (co, x.shape[1], *kernel)
        std = math.sqrt((1 if bias else 2) / (x.shape[1] * math.prod(kernel)))
        w = self.weight(name, lambda: torch.randn(shape, generator=self.gen) * std)
        b = bias and self.weight(bias, lambda: torch.randn(co, generator=self.gen) * 0.1)
        return (F.conv3d if len(kernel) == 3 else F.conv2d)(x, w, b, stride, pad)

    def norm(self, name, x):
        c = x.shape[1]
        # Residuals are small, so that rounding is not amplified from layer to layer and differences are differences
        # of the computation.
        scale = 0.2 if name.endswith(("conv3.bn", "conv_out.bn")) else 1
        spread, mean = self.shift_of_norms
        gamma = self.weight(name + ".weight", lambda: scale * (torch.rand(c, generator=self.gen) / 2 + 0.5))
        beta = self.weight(name + ".bias", lambda: torch.randn(c, generator=self.gen) * spread + mean)
        if name + ".running_mean" not in self.buffers:
            self.buffers[name + ".running_mean"] = torch.zeros(c, dtype=self.dtype)
            self.buffers[name + ".running_var"] = torch.ones(c, dtype=self.dtype)
        mean, var = self.buffers[name + ".running_mean"], self.buffers[name + ".running_var"]
        return F.batch_norm(x, mean, var, gamma, beta, self.training, self.momentum, self.eps)

    def join(self, x, y):
        return F.relu(x + y)

    def unit(self, name, x, co, kernel, stride, pad, relu=True, conv="conv"):
        y = self.norm(f"{name}.bn", self.conv(f"{name}.{conv}.weight", x, co, kernel, stride, pad))
        return F.relu(y) if relu else y


class Tsm(Net):
    kind = "tsm"

    def __init__(self, seed, dtype, depth, widths):
        super().__init__(seed, dtype)
        self.params = {"depth": depth, "batch_stats": "joint", "widths": widths}
        self.depth, self.widths = depth, widths

    def shift(self, x, t):
        n, c, h, w = x.shape
        x = x.view(n // t, t, c, h, w)
        fold = c // 8
        y = torch.zeros_like(x)
        y[:, :-1, :fold] = x[:, 1:, :fold]
        y[:, 1:, fold : 2 * fold] = x[:, :-1, fold : 2 * fold]
        y[:, :, 2 * fold :] = x[:, :, 2 * fold :]
        return y.view(n, c, h, w)

    def forward(self, clips):
        n, _, t, h, w = clips.shape
        x = clips.transpose(1, 2).reshape(n * t, 3, h, w)
        x = self.unit("conv1", x, self.widths[0], (7, 7), 2, 3)
        x = F.max_pool2d(x, 3, 2, 1)
        bottleneck = self.depth == 50
        for layer, blocks in enumerate({18: (2, 2, 2, 2), 50: (3, 4, 6, 3)}[self.depth]):
            for i in range(blocks):
                name = f"layer{layer + 1}.{i}"
                stride = 2 if layer > 0 and i == 0 else 1
                width = self.widths[layer + 1]
                co = 4 * width if bottleneck else width
                y = self.shift(x, t)
                if bottleneck:
                    y = self.unit(f"{name}.conv1", y, width, (1, 1), 1, 0)
                    y = self.unit(f"{name}.conv2", y, width, (3, 3), stride, 1)
                    y = self.unit(f"{name}.conv3", y, co, (1, 1), 1, 0, relu=False)
                else:
                    y = self.unit(f"{name}.conv1", y, co, (3, 3), stride, 1)
                    y = self.unit(f"{name}.conv2", y, co, (3, 3), 1, 1, relu=False)
                if stride != 1 or x.shape[1] != co:
                    x = self.unit(f"{name}.downsample", x, co, (1, 1), stride, 0, relu=False)
                x = self.join(x, y)
        return x.view(n, t, *x.shape[1:]).mean((1, 3, 4))


class ResNet(Tsm):
    kind = "resnet"

    def __init__(self, seed, dtype, depth, widths):
        super().__init__(seed, dtype, depth, widths)
        self.params = {"depth": depth, "widths": widths}

    def shift(self, x, t):
        return x


class I3dR50(Net):
    kind = "i3d_r50"

    def __init__(self, seed, dtype, width):
        super().__init__(seed, dtype)
        self.params = {"width": width, "batch_stats": "joint"}
        self.width = width

    def non_local(self, name, x):
        n, c, t, h, w = x.shape
        inner = c // 2

        def branch(what):
            path = f"{name}.{what}.conv"
            return self.conv(f"{path}.weight", x, inner, (1, 1, 1), 1, 0, bias=f"{path}.bias")

        g = F.max_pool3d(branch("g.0"), (1, 2, 2)).flatten(2).transpose(1, 2)
        theta = branch("theta").flatten(2).transpose(1, 2)
        phi = F.max_pool3d(branch("phi.0"), (1, 2, 2)).flatten(2)
        y = theta @ phi / phi.shape[-1] @ g
        y = y.transpose(1, 2).reshape(n, inner, t, h, w)
        return x + self.unit(f"{name}.conv_out", y, c, (1, 1, 1), 1, 0, relu=False)

    def forward(self, x):
        x = self.unit("conv1", x, self.width, (5, 7, 7), 2, (2, 3, 3))
        x = F.max_pool3d(x, (1, 3, 3), 2, (0, 1, 1))
        inflate = ((1, 1, 1), (1, 0, 1, 0), (1, 0, 1, 0, 1, 0), (0, 1, 0))
        for layer, blocks in enumerate(inflate):
            for i, wide in enumerate(blocks):
                name = f"layer{layer + 1}.{i}"
                s = 2 if layer > 0 and i == 0 else 1
                width = self.width << layer
                k = 3 if wide else 1
                y = self.unit(f"{name}.conv1", x, width, (k, 1, 1), 1, (k // 2, 0, 0))
                y = self.unit(f"{name}.conv2", y, width, (1, 3, 3), (1, s, s), (0, 1, 1))
                y = self.unit(f"{name}.conv3", y, 4 * width, (1, 1, 1), 1, 0, relu=False)
                if i == 0:
                    x = self.unit(f"{name}.downsample", x, 4 * width, (1, 1, 1), (1, s, s), 0, relu=False)
                x = self.join(x, y)
                if layer in (1, 2) and i % 2 == 1:
                    x = self.non_local(f"{name}.non_local_block", x)
            if layer == 0:
                x = F.max_pool3d(x, (2, 1, 1), (2, 1, 1))
        return x.mean((2, 3, 4))


class I3dInception(Net):
    kind = "i3d_inception"
    # No residual carries values past a ReLU: here most are positive.
    shift_of_norms = (0.3, 1.2)
    learning_rate = 0.001
    # After the last poolings, positions of a small clip are nearly equal: norms need clips that differ.
    clips = 5
    modules = {
        "3b": (64, 96, 128, 16, 32, 32),
        "3c": (128, 128, 192, 32, 96, 64),
        "4b": (192, 96, 208, 16, 48, 64),
        "4c": (160, 112, 224, 24, 64, 64),
        "4d": (128, 128, 256, 24, 64, 64),
        "4e": (112, 144, 288, 32, 64, 64),
        "4f": (256, 160, 320, 32, 128, 128),
        "5b": (256, 160, 320, 32, 128, 128),
        "5c": (384, 192, 384, 48, 128, 128),
    }

    def __init__(self, seed, dtype, width):
        super().__init__(seed, dtype, eps=1e-3, momentum=0.01)
        self.params = {"width": width, "batch_stats": "joint"}
        self.width = width

    def same(self, x, kernel, stride):
        pads = []
        for size, k, s in zip(x.shape[2:], kernel, stride):
            total = max(k - s, 0) if size % s == 0 else max(k - size % s, 0)
            pads = [total // 2, total - total // 2] + pads
        return F.pad(x, pads)

    def unit3d(self, name, x, channels, k, s=1):
        co = -(-channels * self.width // 64)
        x = self.same(x, (k,) * 3, (s,) * 3)
        return self.unit(name, x, co, (k,) * 3, s, 0, conv="conv3d")

    def pool(self, x, kernel, stride):
        return F.max_pool3d(self.same(x, kernel, stride), kernel, stride)

    def mixed(self, name, x):
        b0, b1a, b1b, b2a, b2b, b3b = self.modules[name]
        path = f"Mixed_{name}"
        return torch.cat(
            [
                self.unit3d(f"{path}.b0", x, b0, 1),
                self.unit3d(f"{path}.b1b", self.unit3d(f"{path}.b1a", x, b1a, 1), b1b, 3),
                self.unit3d(f"{path}.b2b", self.unit3d(f"{path}.b2a", x, b2a, 1), b2b, 3),
                self.unit3d(f"{path}.b3b", self.pool(x, (3, 3, 3), (1, 1, 1)), b3b, 1),
            ],
            1,
        )

    def forward(self, x):
        x = self.unit3d("Conv3d_1a_7x7", x, 64, 7, 2)
        x = self.pool(x, (1, 3, 3), (1, 2, 2))
        x = self.unit3d("Conv3d_2b_1x1", x, 64, 1)
        x = self.unit3d("Conv3d_2c_3x3", x, 192, 3)
        x = self.pool(x, (1, 3, 3), (1, 2, 2))
        for name in ("3b", "3c"):
            x = self.mixed(name, x)
        x = self.pool(x, (3, 3, 3), (2, 2, 2))
        for name in ("4b", "4c", "4d", "4e", "4f"):
            x = self.mixed(name, x)
        x = self.pool(x, (2, 2, 2), (2, 2, 2))
        for name in ("5b", "5c"):
            x = self.mixed(name, x)
        return x.mean((2, 3, 4))


def mmaction(name):
    if ".conv1.conv.weight" in name:
        name = name.replace(".conv1.conv.weight", ".conv1.conv.net.weight")
    return "backbone." + name


def torchvision(name):
    name = name.replace("downsample.conv.", "downsample.0.").replace("downsample.bn.", "downsample.1.")
    for n in "123":
        name = name.replace(f"conv{n}.conv.", f"conv{n}.").replace(f"conv{n}.bn.", f"bn{n}.")
    return name


def copy(net, dtype):
    """The same network in another number type."""
    other = type(net).__new__(type(net))
    other.__dict__ |= net.__dict__
    other.dtype = dtype
    other.weights = {k: w.detach().to(dtype).requires_grad_() for k, w in net.weights.items()}
    other.buffers = {k: b.to(dtype) for k, b in net.buffers.items()}
    return other


def train(net, clips, target, samples):
    """Feature, loss and gradients, all weights after the steps, and the feature in evaluation then."""

    def some(t):
        flat = t.detach().flatten()
        return flat[:: max(1, flat.numel() // samples) if samples else 1].float().clone()

    found, velocity = {}, {}
    for step in range(STEPS):
        feature = net.forward(clips)
        loss = (feature - target).square().mean()
        grads = torch.autograd.grad(loss, list(net.weights.values()))
        if step == 0:
            found["feature"], found["loss"] = feature.detach().float(), loss.detach().float().reshape(1)
            found |= {f"grad.{k}": some(g) for k, g in zip(net.weights, grads)}
        with torch.no_grad():
            for (key, weight), grad in zip(net.weights.items(), grads):
                grad = grad + DECAY * weight
                velocity[key] = grad if step == 0 else MOMENTUM * velocity[key] + grad
                weight -= net.learning_rate * velocity[key]
    net.training = False
    with torch.no_grad():
        found["evaluation"] = net.forward(clips).float()
    found |= {f"after.{k}": some(v) for k, v in {**net.weights, **net.buffers}.items()}
    return found


def difference(right, other):
    """The largest differences of each kind of value, as the test measures them."""

    def size(t):
        return t.double().square().mean().sqrt().item()

    floor = FLOOR * max(size(v) for k, v in right.items() if k.startswith("grad."))
    worst = {}
    for key, value in right.items():
        kind = key.split(".")[0]
        scale = max(floor if kind == "grad" else 1e-6, size(value))
        worst[kind] = max(worst.get(kind, 0), size(value.double() - other[key].double()) / scale)
    return worst


def write(net, name, clip, out, small, rename, style):
    """style: what the checkpoint is like, besides its names."""
    gen = torch.Generator().manual_seed(1)
    # Similar to videos: broad patterns that move and differ from clip to clip, with some noise.
    broad = torch.randn((net.clips, 3, 3, 4, 4), generator=gen)
    noise = torch.randn((net.clips, 3, *clip), generator=gen)
    patterns = F.interpolate(broad, size=clip, mode="trilinear", align_corners=True)
    pixels = (128 + 60 * patterns + 20 * noise).clamp(0, 255).to(torch.uint8)
    clips = (pixels.to(net.dtype) - 128) / 64
    # Creates the weights, and running statistics close to those of the clips, as in a trained network.
    momentum, net.momentum = net.momentum, 1.0
    with torch.no_grad():
        shape = net.forward(clips).shape
    net.momentum = momentum
    target = torch.randn(shape, generator=gen).to(net.dtype)
    for buffer in net.buffers.values():
        buffer.mul_(torch.rand(buffer.shape, generator=gen) / 5 + 0.9)
    for value in [*net.weights.values(), *net.buffers.values()]:
        value.data.copy_(value.data.float())

    state = {rename(k): v.detach().float().clone() for k, v in {**net.weights, **net.buffers}.items()}
    if "channels_last" in style:
        state = {k: v.contiguous(memory_format=torch.channels_last) if v.dim() == 4 else v for k, v in state.items()}
    for key in [k for k in state if k.endswith("running_var")]:
        state[key.replace("running_var", "num_batches_tracked")] = torch.tensor(7)
    head = "cls_head.fc_cls" if "nested" in style else "logits" if net.kind == "i3d_inception" else "fc"
    state[head + ".weight"] = torch.randn((5, shape[1]), generator=gen)
    state[head + ".bias"] = torch.zeros(5)
    checkpoint = {"meta": {"epoch": 3, "config": "x"}, "state_dict": state, "optimizer": {"param_groups": [{"lr": 0.1}]}}
    checkpoint = checkpoint if "nested" in style else state
    torch.save(checkpoint, out / f"{name}.pth", _use_new_zipfile_serialization="legacy" not in style)

    single = None if small else copy(net, torch.float32)
    # Channels last, a clip per sample; as bytes, (byte - 128) / 64 is the value.
    saved = {"target": target.float(), "input": pixels.permute(0, 2, 3, 4, 1).unsqueeze(1).contiguous()}
    found = train(net, clips, target, 48 if small else None)
    saved |= found
    save_file(saved, out / f"{name}.safetensors")
    (out / f"{name}.safetensors").chmod(0o644)
    facts = {
        "kind": net.kind,
        "params": {**net.params, "init": f"{name}.pth"},
        "sgd": {"lr": net.learning_rate, "momentum": MOMENTUM, "weight_decay": DECAY, "steps": STEPS},
        "unused": [head + ".weight", head + ".bias"],
    }
    if single:
        facts["rounding"] = difference(found, train(single, clips.float(), target.float(), None))
    (out / f"{name}.json").write_text(json.dumps(facts, indent=2) + "\n")
    size = sum(f.stat().st_size for f in out.glob(f"{name}.*"))
    print(f"{name}: {sum(w.numel() for w in net.weights.values())} parameters, {size} bytes", facts.get("rounding", ""))


def main():
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--out", type=Path, required=True, help="where the files go")
    parse.add_argument("--small", action="store_true", help="narrow networks and small clips, for the tests")
    parse.add_argument("--only", help="one network: tsm50, tsm18, resnet50, i3d_r50 or i3d_inception")
    args = parse.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    dtype, small = torch.float64, args.small
    narrow = small and [4, 2, 4, 8, 16]
    plain = str
    networks = {
        "tsm50": lambda: (Tsm(50, dtype, 50, narrow or [64, 64, 128, 256, 512]), (4, 48, 48) if small else (8, 224, 224), mmaction, "nested channels_last"),
        "tsm18": lambda: (Tsm(18, dtype, 18, [8, 8, 8, 8, 16] if small else [64, 64, 128, 256, 512]), (4, 48, 48) if small else (8, 224, 224), torchvision, "legacy"),
        # As in the published file of ResNet-50 on Places365.
        "resnet50": lambda: (ResNet(51, dtype, 50, narrow or [64, 64, 128, 256, 512]), (2, 48, 48) if small else (1, 224, 224), lambda n: "module." + torchvision(n), "nested legacy"),
        "i3d_r50": lambda: (I3dR50(6, dtype, 2 if small else 64), (16, 48, 48) if small else (16, 224, 224), lambda n: "backbone." + n, "nested legacy"),
        "i3d_inception": lambda: (I3dInception(14, dtype, 3 if small else 64), (8, 40, 37) if small else (16, 224, 224), plain, ""),
    }
    for name, make in networks.items():
        if args.only in (None, name):
            net, clip, rename, style = make()
            write(net, name, clip, args.out, small, rename, style)


if __name__ == "__main__":
    main()
