"""The rows of the comparison: whole steps by row, and operations by shape."""

IMAGENET = {"mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375]}
HALF = {"mean": [127.5] * 3, "std": [64.0] * 3}


def command(graph, setting, sets):
    found = [f"graphs/{graph}.toml", "--setting", f"graphs/settings/kinetics_babel_{setting}.toml"]
    return found + [a for s in sets for a in ("--set", s)]


def backbone(title, network, frames, clips, size=224):
    """A backbone with a linear classifier on one stream: the phase `main` of graphs/source_only.toml."""
    setting = "tsm" if network == "tsm50" else "i3d"
    sets = [f"phases.main.batch={clips}", "dims.L=0", f"dims.T={frames}", f"nodes.augment.size={size}"]
    spec = {"network": network, "glad": False, "clips": [clips, 1, frames, size], "features": 2048, "lr": 2e-3, **IMAGENET}
    return {"title": f"{title}, {clips}×{frames}×{size}²", "command": command("source_only", setting, sets), "spec": spec}


def method(title, network, setting, videos=1, size=224):
    """The whole method at the paper's sizes, with this many videos of each stream: the phase `main` of graphs/full.toml."""
    sets = [f"phases.main.batch={videos}", f"nodes.augment.size={size}"]
    heads = {"domain_hidden": 2048, "order_hidden": 512, "order_weight": 1.0, "adv_weight": 1.0}
    spec = {"network": network, "glad": True, "batch_stats": "per_stream_view", "clips": [videos, 3, 8, size], "features": 2048}
    clips = f"3×8×{size}²" if videos == 1 else f"{videos}×3×8×{size}²"
    title = f"GLAD with {title}, 2 streams × {clips}"
    return {"title": title, "command": command("full", setting, sets), "spec": {**spec, "lr": 2e-3, **heads, **IMAGENET}}


def steps(clips):
    """Rows by name. `clips`: the batch of those that are a backbone with a classifier."""
    small = {"network": "small", "features": 64, "clips": [8, 3, 8, 48], **HALF}
    heads = {"domain_hidden": 64, "order_hidden": 128, "order_weight": 0.1, "adv_weight": 0.33, "batch_stats": "joint"}
    return {
        "tsm50": backbone("TSM-R50", "tsm50", 8, clips),
        "i3d8": backbone("I3D-R50-NL", "i3d_r50", 8, clips),
        "i3d32": backbone("I3D-R50-NL", "i3d_r50", 32, clips),
        "small": {
            "title": "small network, 24×8×48²",
            "command": ["graphs/full.toml", "--phase", "pretrain"],
            "spec": {**small, "glad": False, "lr": 0.1 / 30},
        },
        "glad_tsm50": method("TSM-R50", "tsm50", "tsm"),
        "glad_i3d": method("I3D-R50-NL", "i3d_r50", "i3d"),
        "glad_small": {
            "title": "GLAD with the small network, 2 streams × 24×8×48²",
            "command": ["graphs/full.toml"],
            "spec": {**small, "glad": True, "lr": 0.05 / 30, **heads},
        },
    }


def conv(n, size, ci, co, kernel, stride, pad):
    return {"op": "conv", "n": n, "input": size, "ci": ci, "co": co, "kernel": kernel, "stride": stride, "pad": pad}


def resnet50():
    """The convolutions of ResNet-50 on 8 frames of 224×224, with how often each occurs."""
    found = [(conv(8, [1, 224, 224], 3, 64, [1, 7, 7], [1, 2, 2], [0, 3, 3]), 1)]
    ci = 64
    for stage, blocks in enumerate((3, 4, 6, 3)):
        mid, out, size, s = 64 << stage, 256 << stage, 56 >> stage, 1 if stage == 0 else 2
        before = [1, size * s, size * s]
        after = [1, size, size]
        found += [
            (conv(8, before, ci, mid, [1, 1, 1], [1, 1, 1], [0, 0, 0]), 1),
            (conv(8, before, mid, mid, [1, 3, 3], [1, s, s], [0, 1, 1]), 1),
            (conv(8, before, ci, out, [1, 1, 1], [1, s, s], [0, 0, 0]), 1),
            (conv(8, after, mid, out, [1, 1, 1], [1, 1, 1], [0, 0, 0]), blocks),
            (conv(8, after, out, mid, [1, 1, 1], [1, 1, 1], [0, 0, 0]), blocks - 1),
            (conv(8, after, mid, mid, [1, 3, 3], [1, 1, 1], [0, 1, 1]), blocks - 1),
        ]
        ci = out
    return found


def i3d_r50():
    """Convolutions of I3D on one clip of 32×224×224, and 3×3×3 as I3D-Inception has it; each once."""
    stem = conv(1, [32, 224, 224], 3, 64, [5, 7, 7], [2, 2, 2], [2, 3, 3])
    found = [stem]
    for stage in range(4):
        mid, out, size, t = 64 << stage, 256 << stage, 56 >> stage, 8 if stage == 0 else 4
        x = [t, size, size]
        found += [
            conv(1, x, out, mid, [3, 1, 1], [1, 1, 1], [1, 0, 0]),
            conv(1, x, out, mid, [1, 1, 1], [1, 1, 1], [0, 0, 0]),
            conv(1, x, mid, mid, [1, 3, 3], [1, 1, 1], [0, 1, 1]),
            conv(1, x, mid, out, [1, 1, 1], [1, 1, 1], [0, 0, 0]),
        ]
        if stage > 0:
            before = [t, 2 * size, 2 * size]
            found.append(conv(1, before, mid, mid, [1, 3, 3], [1, 2, 2], [0, 1, 1]))
    found.append(conv(1, [8, 56, 56], 64, 192, [3, 3, 3], [1, 1, 1], [1, 1, 1]))
    found.append(conv(1, [8, 28, 28], 128, 192, [3, 3, 3], [1, 1, 1], [1, 1, 1]))
    return [(c, 1) for c in found]


def weights():
    """Sizes of ResNet-50's weights."""
    sizes = [c["ci"] * c["co"] * c["kernel"][1] * c["kernel"][2] for c, times in resnet50() for _ in range(times)]
    return sizes + [c["co"] for c, times in resnet50() for _ in range(2 * times)]


def others():
    """Everything that is not a convolution, with a name and the bytes that the passes have to move per value of x."""
    return [
        ("BN + ReLU 8×112²×64", {"op": "norm", "rows": 8 * 112 * 112, "size": [8, 112, 112], "channels": 64, "residual": False}),
        ("BN + ReLU 8×56²×64", {"op": "norm", "rows": 8 * 56 * 56, "size": [8, 56, 56], "channels": 64, "residual": False}),
        ("BN + sum + ReLU 8×56²×256", {"op": "norm", "rows": 8 * 56 * 56, "size": [8, 56, 56], "channels": 256, "residual": True}),
        ("BN + sum + ReLU 8×14²×1024", {"op": "norm", "rows": 8 * 14 * 14, "size": [8, 14, 14], "channels": 1024, "residual": True}),
        ("max pooling 3×3/2 8×112²×64", {"op": "pool", "n": 8, "input": [1, 112, 112], "channels": 64, "kernel": [1, 3, 3], "stride": [1, 2, 2], "pad": [0, 1, 1]}),
        ("max pooling 1×3×3/2 16×112²×64", {"op": "pool", "n": 1, "input": [16, 112, 112], "channels": 64, "kernel": [1, 3, 3], "stride": [2, 2, 2], "pad": [0, 1, 1]}),
        ("temporal shift 8×56²×256", {"op": "shift", "n": 1, "t": 8, "size": [56, 56], "pixels": 3136, "channels": 256}),
        ("temporal shift 8×14²×1024", {"op": "shift", "n": 1, "t": 8, "size": [14, 14], "pixels": 196, "channels": 1024}),
        ("linear 4 rows 2048→2048", {"op": "linear", "rows": 4, "inputs": 2048, "outputs": 2048}),
        ("SGD with momentum, ResNet-50's weights", {"op": "sgd", "sizes": weights()}),
    ]


def heads():
    """Updates of weights, and heads at the sizes of CoMix and CO2A, each with a name."""

    def contrastive(views, rows, width, classes=None, normalize=True):
        return {"op": "contrastive", "views": views, "rows": rows, "width": width, "classes": classes, "normalize": normalize}

    found = [(f"contrastive, 2 × {n} rows of 128", contrastive(2, n, 128)) for n in (16, 32, 64, 128)]
    found += [(f"contrastive by labels, {n} rows of 128", contrastive(1, n, 128, 12)) for n in (32, 256)]
    found += [(f"contrastive, 4 × {n} probabilities of 12 classes", contrastive(4, n, 12, None, False)) for n in (8, 64)]
    found += [
        (f"graph convolution 8×16×{a}→{b}", {"op": "graph_conv", "videos": 8, "clips": 16, "inputs": a, "outputs": b})
        for a, b in ((1024, 256), (256, 256))
    ]
    found += [
        (f"attention over clips {n}×4×1024", {"op": "clip_attention", "videos": n, "clips": 4, "width": 1024}) for n in (8, 32)
    ]
    updates = [("AdamW, ResNet-50's weights", "adam"), ("EMA of a teacher, ResNet-50's weights", "ema")]
    return [(name, {"op": op, "sizes": weights()}) for name, op in updates] + found
