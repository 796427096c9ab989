"""Heads as their authors write them in PyTorch, forward and backward, and updates of weights: PyTorch's half of the heads of
compute.py, which starts it.
Each line on standard input is a request, answered by a line of JSON with the milliseconds of a pass, by the clock and of the
processor, and with two numbers by which both halves can see that they compute the same (nodes/benches/heads.rs)."""

import argparse
import json
import sys
import time

import torch
import torch.nn.functional as F


def numbers(seed, scale, *shape):
    """Numbers that both halves make."""
    h = (torch.arange(torch.Size(shape).numel()) + (seed << 25)) * 0x9E3779B1 & 0xFFFFFFFF
    h = (h ^ h >> 15) * 0x85EBCA77 & 0xFFFFFFFF
    return (scale * ((h ^ h >> 13).double() / 2**31 - 1)).float().view(shape)


def weight(i, *shape):
    """The weight number i, in the order of the kind."""
    return numbers(2 + i, shape[-1] ** -0.5, *shape).requires_grad_()


def contrastive(r):
    """InfoNCE of two views as a cross-entropy; else SupCon, whose positives are known before the step unless there are labels."""
    views, rows = r["views"], r["rows"]
    x = [numbers(v, 1.0, rows, r["width"]).requires_grad_() for v in range(views)]
    n = views * rows
    own = torch.eye(n, dtype=torch.bool)
    partner = (torch.arange(n) + rows) % n
    label = torch.arange(rows) % (r["classes"] or rows)

    def alike(label):
        label = label.repeat(views)
        return (label[:, None] == label[None]) & ~own

    known = None if r["classes"] else alike(label)

    def loss(label, *x):
        z = torch.cat(x) if views > 1 else x[0]
        z = F.normalize(z, dim=1) if r["normalize"] else z
        scores = (z @ z.T / 0.5).masked_fill(own, float("-inf"))
        if views == 2 and known is not None:
            return F.cross_entropy(scores, partner)
        positive = alike(label) if known is None else known
        log_p = F.log_softmax(scores, 1).masked_fill(~positive, 0.0)
        return -(log_p.sum(1) / positive.sum(1)).mean()

    return x, [], torch.tensor(1.0), lambda: (label, *x), loss


def graph_conv(r):
    videos, clips, a, b = r["videos"], r["clips"], r["inputs"], r["outputs"]
    x = numbers(0, 1.0, videos, clips, a).requires_grad_()
    w, bias, one, two = weight(0, b, a), weight(1, b), weight(2, a, a), weight(3, a, a)

    def layer(x, w, bias, one, two):
        scores = F.linear(x, one) @ F.linear(x, two).mT
        return F.softmax(scores, 1) @ F.linear(x, w) + bias

    weights = [w, bias, one, two]
    return [x], weights, numbers(1, 1.0, videos, clips, b), lambda: (x, *weights), layer


def clip_attention(r):
    videos, clips, width = r["videos"], r["clips"], r["width"]
    x = numbers(0, 1.0, videos, clips, width).requires_grad_()
    weights = [weight(0, width, clips * width), weight(1, width), weight(2, clips, width), weight(3, clips)]

    def attend(x, w1, b1, w2, b2):
        share = torch.sigmoid(F.linear(F.relu(F.linear(x.flatten(1), w1, b1)), w2, b2))
        return (x * share[:, :, None]).mean(1)

    return [x], weights, numbers(1, 1.0, videos, width), lambda: (x, *weights), attend


def shortest(ms, body):
    """The shortest of several runs: by the clock, and by this thread's processor time."""
    body()
    least, began = [float("inf")] * 2, time.perf_counter()
    for run in range(2000):
        at = [time.perf_counter(), time.thread_time()]
        body()
        took = [time.perf_counter() - at[0], time.thread_time() - at[1]]
        least = [min(pair) for pair in zip(least, took)]
        if run >= 2 and time.perf_counter() - began > ms / 1e3:
            break
    return [t * 1e3 for t in least]


HEADS = {"contrastive": contrastive, "graph_conv": graph_conv, "clip_attention": clip_attention}


def updates(r):
    """AdamW, or a teacher, in the quickest of PyTorch's forms."""
    start = [numbers(0, 1.0, n) for n in r["sizes"]]
    best, found = [float("inf")] * 2, None
    for form in ("fused", "foreach", "single") if r["op"] == "adam" else ("foreach", "single"):
        weights, given = [w.clone() for w in start], [numbers(1, 1.0, n) for n in r["sizes"]]
        if r["op"] == "adam":
            for w, g in zip(weights, given):
                w.grad = g
            how = {"foreach": False} if form == "single" else {form: True}
            run = torch.optim.AdamW(weights, lr=1e-3, weight_decay=1e-2, **how).step
        elif form == "foreach":
            run = lambda: torch._foreach_lerp_(weights, given, 0.01)  # noqa: E731
        else:
            run = lambda: [w.lerp_(g, 0.01) for w, g in zip(weights, given)]  # noqa: E731
        run()
        change = sum((w.double() - s).square().sum() for w, s in zip(weights, start)).sqrt().item()
        found = {"value": sum(w.double().sum() for w in weights).item(), "slope": change}
        best = [min(pair) for pair in zip(best, shortest(r["ms"], run))]
    return found | {"eager": best}


def measure(request, kept, compiled):
    if request["op"] in ("adam", "ema"):
        return updates(request)
    key = json.dumps({**request, "ms": 0})
    if key not in kept:
        inputs, weights, grad, given, run = HEADS[request["op"]](request)
        forms = {"eager": run} | ({"compiled": torch.compile(run, dynamic=False)} if compiled else {})
        kept[key] = inputs, weights, grad, given, forms
    inputs, weights, grad, given, forms = kept[key]

    def step(form):
        y = forms[form](*given())
        return y, torch.autograd.grad(y, inputs + weights, grad)

    y, grads = step("eager")
    found = {"value": (y.double() * grad.double()).sum().item()}
    found["slope"] = sum(g.double().square().sum() for g in grads[: len(inputs)]).sqrt().item()
    return found | {form: shortest(request["ms"], lambda: step(form)) for form in forms}


def main():
    parse = argparse.ArgumentParser(description=__doc__)
    parse.add_argument("--threads", type=int, default=1)
    parse.add_argument("--compile", action="store_true", help="also through torch.compile")
    args = parse.parse_args()
    torch.set_num_threads(args.threads)
    print(json.dumps({"version": torch.__version__}), flush=True)
    kept = {}
    for line in sys.stdin:
        print(json.dumps(measure(json.loads(line), kept, args.compile)), flush=True)


if __name__ == "__main__":
    main()
