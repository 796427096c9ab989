"""Whole training steps in PyTorch of the graphs' networks: PyTorch's half of compute.py, and of
tools/gpu/measure.py.

The networks are those of tools/parity, which the node kinds match number by number, written as their authors and
torchvision write them (ReLU and the sum of a residual block in place). Each line on standard input is a number of steps
(empty: 1), answered by a line of JSON with the milliseconds per step, or `release`: unused memory goes back to the GPU. On a
GPU the clock is read after all steps are done, and no step waits for the one before.
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "parity"))
import parity  # noqa: E402


class InPlace:
    """torch.nn.functional with ReLU in place, as in published networks: less memory and less time."""

    def __getattr__(self, name):
        return getattr(F, name)

    @staticmethod
    def relu(x):
        return F.relu(x, inplace=True)


def join(_, x, y):
    """The end of a residual block, as torchvision has it."""
    return F.relu(y.add_(x), inplace=True)


parity.F = InPlace()
parity.Net.join = join


class SmallTsm(parity.Tsm):
    """TSM on the small residual network: stem 5×5/2, one basic block a layer, no pooling."""

    def __init__(self, seed, dtype):
        super().__init__(seed, dtype, 18, [16, 24, 32, 48, 64])

    def forward(self, clips):
        n, _, t, h, w = clips.shape
        x = clips.transpose(1, 2).reshape(n * t, 3, h, w)
        x = self.unit("conv1", x, self.widths[0], (5, 5), 2, 2)
        for layer, stride in enumerate((2, 2, 1, 2)):
            name, co = f"layer{layer + 1}.0", self.widths[layer + 1]
            y = self.shift(x, t)
            y = self.unit(f"{name}.conv1", y, co, (3, 3), stride, 1)
            y = self.unit(f"{name}.conv2", y, co, (3, 3), 1, 1, relu=False)
            x = self.unit(f"{name}.downsample", x, co, (1, 1), stride, 0, relu=False)
            x = self.join(x, y)
        return x.view(n, t, *x.shape[1:]).mean((1, 3, 4))


NETWORKS = {
    "tsm50": lambda: parity.Tsm(1, torch.float32, 50, [64, 64, 128, 256, 512]),
    "small": lambda: SmallTsm(1, torch.float32),
    "i3d_r50": lambda: parity.I3dR50(1, torch.float32, 64),
}


class Backbone:
    """Clips as bytes [B,N,T,H,W,3] to features [B,N,D], in one of PyTorch's layouts."""

    def __init__(self, name, channels_last, mean, std, device):
        self.net, self.frames = NETWORKS[name](), name != "i3d_r50"
        self.channels_last = channels_last
        self.mean, self.std = torch.tensor(mean, device=device), torch.tensor(std, device=device)
        # A first pass makes the weights.
        with torch.no_grad():
            self.net.forward(torch.zeros(1, 3, 8, 64, 64))
        self.net.buffers = {name: b.to(device) for name, b in self.net.buffers.items()}
        self.net.weights = {name: self.placed(w.detach(), device) for name, w in self.net.weights.items()}

    def placed(self, weight, device):
        layout = {4: torch.channels_last, 5: torch.channels_last_3d}.get(weight.dim())
        if not self.channels_last or layout is None:
            layout = torch.contiguous_format
        return weight.to(device).contiguous(memory_format=layout).requires_grad_()

    def parameters(self):
        return list(self.net.weights.values())

    def normalize(self, clips):
        """[clips,T,H,W,3] bytes to [clips,3,T,H,W] floats, laid out so that the network does not have to move them."""
        if self.channels_last:
            return clips.float().sub_(self.mean).div_(self.std).permute(0, 4, 1, 2, 3)
        mean, std = self.mean.view(3, 1, 1), self.std.view(3, 1, 1)
        if self.frames:
            x = clips.permute(0, 1, 4, 2, 3).float(memory_format=torch.contiguous_format)
            return x.sub_(mean).div_(std).transpose(1, 2)
        x = clips.permute(0, 4, 1, 2, 3).float(memory_format=torch.contiguous_format)
        return x.sub_(mean.unsqueeze(1)).div_(std.unsqueeze(1))

    def features(self, clips):
        b, n = clips.shape[:2]
        return self.net.forward(self.normalize(clips.flatten(0, 1))).view(b, n, -1)


class Reverse(torch.autograd.Function):
    """The gradient reversal layer."""

    @staticmethod
    def forward(ctx, x):
        return x.view_as(x)

    @staticmethod
    def backward(ctx, grad):
        return -grad


class Adversary(nn.Module):
    """Domain classifier of four linear layers behind a gradient reversal layer, and its loss."""

    def __init__(self, features, hidden):
        super().__init__()
        widths = [features, hidden, hidden, hidden, 1]
        layers = []
        for i, (a, b) in enumerate(zip(widths, widths[1:])):
            layers += [nn.Linear(a, b)] + ([nn.ReLU(inplace=True)] if i < 3 else [])
        self.mlp = nn.Sequential(*layers)

    def forward(self, source, target):
        logits = self.mlp(Reverse.apply(torch.cat(source + target)))[:, 0]
        sizes = [sum(map(len, x)) for x in (source, target)]
        domain = torch.cat([torch.full((n,), d, device=logits.device) for n, d in zip(sizes, (1.0, 0.0))])
        return F.binary_cross_entropy_with_logits(logits, domain)


class Order(nn.Module):
    """Temporal order learning of two local clips: shuffled, concatenated, a hidden layer, classified into the two orders."""

    def __init__(self, features, hidden):
        super().__init__()
        self.hidden, self.out = nn.Linear(2 * features, hidden), nn.Linear(hidden, 2)

    def forward(self, x):
        order = torch.randint(2, (len(x),), device=x.device)
        index = torch.stack([order, 1 - order], 1)
        shuffled = x.gather(1, index.unsqueeze(2).expand_as(x))
        return F.cross_entropy(self.out(F.relu(self.hidden(shuffled.flatten(1)), inplace=True)), order)


class Classifier:
    """A step of a backbone with a linear classifier on the mean of a video's clips."""

    def __init__(self, backbone, spec):
        b, n, t, s = spec["clips"]
        self.backbone = backbone
        self.head = nn.Linear(spec["features"], 12)
        self.clips = torch.randint(256, (b, n, t, s, s, 3), dtype=torch.uint8)
        self.labels = torch.randint(12, (b,))

    def parameters(self):
        return self.backbone.parameters() + list(self.head.parameters())

    def compile(self):
        self.loss = torch.compile(self.loss, dynamic=False)

    def loss(self):
        return F.cross_entropy(self.head(self.backbone.features(self.clips).mean(1)), self.labels)


class Glad:
    """A step of the whole method: two streams, one global and two local clips of each video."""

    def __init__(self, backbone, spec):
        b, n, t, s = spec["clips"]
        self.backbone, self.spec = backbone, spec
        d, hidden = spec["features"], spec["domain_hidden"]
        self.head = nn.Linear(d, 12)
        self.order = Order(d, spec["order_hidden"])
        self.adversaries = nn.ModuleList(Adversary(d, hidden) for _ in range(3))
        self.clips = [torch.randint(256, (b, n, t, s, s, 3), dtype=torch.uint8) for _ in range(2)]
        self.labels = torch.randint(12, (b,))

    def parameters(self):
        heads = [self.head, self.order, self.adversaries]
        return self.backbone.parameters() + [p for head in heads for p in head.parameters()]

    def compile(self):
        """The backbone for each shape of its calls, and the rest separately: as one graph, four backbones compile for minutes."""
        self.extract, self.rest = (torch.compile(f, dynamic=False) for f in (self.extract, self.rest))

    def extract(self, clips):
        return self.backbone.features(clips)

    def features(self):
        if self.spec["batch_stats"] == "joint":
            return self.extract(torch.cat(self.clips)).chunk(2)
        # A call for each view of each stream.
        return [torch.cat([self.extract(c[:, :1]), self.extract(c[:, 1:])], 1) for c in self.clips]

    def loss(self):
        return self.rest(*self.features())

    def rest(self, source, target):
        g, l = [[f[:, :1].mean(1) for f in (source, target)], [f[:, 1:].mean(1) for f in (source, target)]]
        ce = F.cross_entropy(self.head(source.mean(1)), self.labels)
        tol = self.order(torch.cat([source[:, 1:], target[:, 1:]]))
        align = self.adversaries[0]([g[0]], [g[1]]) + self.adversaries[1]([l[0]], [l[1]])
        align = align + self.adversaries[2]([g[0], l[0]], [g[1], l[1]])
        return ce + self.spec["order_weight"] * tol + self.spec["adv_weight"] * align


def peak_mib():
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024


def sgd_of(parameters, spec, device):
    """SGD in the faster of PyTorch's implementations on this device, and its name."""
    settings = {"momentum": 0.9, "weight_decay": 1e-4}
    # On a CPU the answer is known (I3D-R50-NL: 28 ms; 40 by default, 100 with foreach), and trying would raise peak memory.
    found = {"fused": 0.0}
    for form in ("fused", "foreach") if device.type == "cuda" else ():
        for p in parameters:
            p.grad = torch.zeros_like(p)
        # Steps that change nothing; the first creates its state.
        sgd, times = torch.optim.SGD(parameters, lr=0.0, **settings, **{form: True}), []
        for _ in range(6):
            wait(device)
            at = time.perf_counter()
            sgd.step()
            wait(device)
            times.append(time.perf_counter() - at)
        found[form] = statistics.median(times[1:])
        sgd.zero_grad(set_to_none=True)
    form = min(found, key=found.get)
    return torch.optim.SGD(parameters, lr=spec["lr"], **settings, **{form: True}), form


def wait(device):
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def memory(device):
    """Peak memory in MiB: the process's so far; on a GPU, in these steps, memory of tensors and reserved memory."""
    found = {"peak_mib": peak_mib()}
    if device.type == "cuda":
        found["device_mib"] = torch.cuda.max_memory_allocated(device) / 2**20
        found["device_held_mib"] = torch.cuda.max_memory_reserved(device) / 2**20
    return found


def say(answer):
    print(json.dumps(answer), flush=True)


def serve(args):
    spec, device = args.spec, torch.device(args.device)
    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    torch.backends.cudnn.benchmark = True
    tf32 = args.precision != "f32"
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
    mixed = torch.autocast(device.type, torch.bfloat16, enabled=args.precision == "bf16")
    start = peak_mib()
    backbone = Backbone(spec["network"], args.channels_last, spec["mean"], spec["std"], device)
    with device:
        step = (Glad if spec["glad"] else Classifier)(backbone, spec)
    if args.compile:
        step.compile()
    sgd, form = sgd_of(step.parameters(), spec, device)
    facts = {"parameters": sum(p.numel() for p in step.parameters()), "start_mib": start, "version": torch.__version__}
    say(facts | {"sgd": form, "cudnn": torch.backends.cudnn.version(), "device": args.device})
    for line in sys.stdin:
        if line.strip() == "release":
            if device.type == "cuda":
                torch.cuda.empty_cache()
            say({"released": True})
            continue
        count = int(line.strip() or 1)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        at = time.perf_counter()
        for _ in range(count):
            sgd.zero_grad(set_to_none=True)
            with mixed:
                loss = step.loss()
            loss.backward()
            sgd.step()
        value = loss.item()
        wait(device)
        ms = (time.perf_counter() - at) * 1e3 / count
        # Gradients and losses are freed after each step.
        sgd.zero_grad(set_to_none=True)
        del loss
        say({"ms": ms, "loss": value, **memory(device)})


def main():
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--spec", type=json.loads, required=True, help="the row of compute.py")
    parse.add_argument("--threads", type=int, default=1)
    parse.add_argument("--channels-last", action="store_true")
    parse.add_argument("--compile", action="store_true", help="the backbone and heads through torch.compile")
    parse.add_argument("--device", default="cpu", help="cpu or cuda:0")
    parse.add_argument("--precision", default="f32", choices=["f32", "tf32", "bf16"], help="bf16: automatic mixed precision")
    try:
        serve(parse.parse_args())
    except torch.OutOfMemoryError as e:
        say({"error": f"out of memory: {e}"})


if __name__ == "__main__":
    main()
