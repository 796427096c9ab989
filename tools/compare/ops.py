"""PyTorch's operations at requested shapes: PyTorch's half of compute.py, which starts it. Each line on standard input is a
request, answered by a line of JSON with the milliseconds of each pass."""

import argparse
import json
import sys
import time

import torch
import torch.nn.functional as F


def best(ms, body):
    """The shortest of several runs, as in the benchmarks of glad-ops."""
    body()
    least, began = float("inf"), time.perf_counter()
    for run in range(200):
        at = time.perf_counter()
        body()
        least = min(least, time.perf_counter() - at)
        if run >= 2 and time.perf_counter() - began > ms / 1e3:
            break
    return least * 1e3


class Maker:
    """Tensors in a layout."""

    def __init__(self, layout):
        self.last = layout == "channels_last"

    def __call__(self, *shape, grad=False):
        x = torch.randn(shape)
        layout = {4: torch.channels_last, 5: torch.channels_last_3d}.get(len(shape))
        if self.last and layout:
            x = x.contiguous(memory_format=layout)
        return x.requires_grad_(grad)


def conv(r, make):
    two = r["input"][0] == 1 and r["kernel"][0] == 1
    cut = (lambda s: s[1:]) if two else (lambda s: s)
    x, w = make(r["n"], r["ci"], *cut(r["input"])), make(r["co"], r["ci"], *cut(r["kernel"]))
    stride, pad = cut(r["stride"]), cut(r["pad"])
    run = F.conv2d if two else F.conv3d
    with torch.no_grad():
        dy = torch.randn_like(run(x, w, None, stride, pad))

    def back(dx, dw):
        one, zero = [1] * len(stride), [0] * len(stride)
        torch.ops.aten.convolution_backward(dy, x, w, None, stride, pad, one, False, zero, 1, [dx, dw, False])

    with torch.no_grad():
        return {
            "forward": best(r["ms"], lambda: run(x, w, None, stride, pad)),
            "input": best(r["ms"], lambda: back(True, False)),
            "weight": best(r["ms"], lambda: back(False, True)),
        }


def with_backward(ms, inputs, run):
    """Forward as in training, and backward separately."""
    y = run()
    dy = torch.randn_like(y)
    return {
        "forward": best(ms, run),
        "backward": best(ms, lambda: torch.autograd.grad(y, inputs, dy, retain_graph=True)),
    }


def norm(r, make):
    n, h, w = r["size"]
    c = r["channels"]
    x, gamma, beta = make(n, c, h, w, grad=True), torch.ones(c, requires_grad=True), torch.zeros(c, requires_grad=True)
    rest = make(n, c, h, w, grad=True) if r["residual"] else None
    mean, var = torch.zeros(c), torch.ones(c)

    def run():
        y = F.batch_norm(x, mean, var, gamma, beta, True, 0.1, 1e-5)
        # As torchvision writes it.
        y = y.add_(rest) if rest is not None else y
        return F.relu(y, inplace=True)

    return with_backward(r["ms"], [x, gamma, beta] + ([rest] if rest is not None else []), run)


def pool(r, make):
    two = r["input"][0] == 1
    cut = (lambda s: s[1:]) if two else (lambda s: s)
    x = make(r["n"], r["channels"], *cut(r["input"]), grad=True)
    run = F.max_pool2d if two else F.max_pool3d
    return with_backward(r["ms"], [x], lambda: run(x, cut(r["kernel"]), cut(r["stride"]), cut(r["pad"])))


def shift(r, make):
    n, t, c = r["n"], r["t"], r["channels"]
    frames = make(n * t, c, *r["size"], grad=True)
    fold = c // 8

    def run():
        x = frames.view(n, t, c, *r["size"])
        y = torch.zeros_like(x)
        y[:, :-1, :fold] = x[:, 1:, :fold]
        y[:, 1:, fold : 2 * fold] = x[:, :-1, fold : 2 * fold]
        y[:, :, 2 * fold :] = x[:, :, 2 * fold :]
        return y.view(n * t, c, *r["size"])

    return with_backward(r["ms"], [frames], run)


def linear(r, _):
    x, w, b = torch.randn(r["rows"], r["inputs"]), torch.randn(r["outputs"], r["inputs"]), torch.randn(r["outputs"])
    dy = torch.randn(r["rows"], r["outputs"])
    return {
        "forward": best(r["ms"], lambda: F.linear(x, w, b)),
        "input": best(r["ms"], lambda: dy @ w),
        "weight": best(r["ms"], lambda: (dy.t() @ x, dy.sum(0))),
    }


def sgd(r, _):
    weights = [torch.randn(n, requires_grad=True) for n in r["sizes"]]
    for w in weights:
        w.grad = torch.randn_like(w)
    plain = torch.optim.SGD(weights, lr=1e-6, momentum=0.9, weight_decay=1e-4)
    return {"step": best(r["ms"], plain.step)}


OPS = {"conv": conv, "norm": norm, "pool": pool, "shift": shift, "linear": linear, "sgd": sgd}


def main():
    parse = argparse.ArgumentParser(description=__doc__)
    parse.add_argument("--threads", type=int, default=1)
    args = parse.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    print(json.dumps({"version": torch.__version__, "onednn": torch.backends.mkldnn.is_available()}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(OPS[request["op"]](request, Maker(request["layout"]))), flush=True)


if __name__ == "__main__":
    main()
