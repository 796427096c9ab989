#!/usr/bin/env python3
"""Changes of colour and blurs of torchvision on tensors of bytes, to hold `colour_jitter` and `gaussian_blur` to.

    python3 -m venv /tmp/parity && /tmp/parity/bin/pip install torch torchvision
    /tmp/parity/bin/python tools/parity/colour.py nodes/src/data/golden/colour.json
"""

import json
import sys
from pathlib import Path

import torch
import torchvision
from torchvision.transforms import functional as F

HEIGHT, WIDTH = 4, 6
FACTORS = [0.0, 0.4, 0.85, 1.0, 1.15, 1.7]
HUES = [-0.5, -0.31, -0.05, 0.0, 0.05, 0.17, 0.5]
BLURS = [(0.1, 3), (0.7, 5), (1.3, 7), (2.0, 7)]


def frames():
    """Noise, dark noise, and colours with two equal channels, greys, corners of the cube."""
    noise = [(i * 97 + i * i * 31) % 256 for i in range(HEIGHT * WIDTH * 3)]
    dark = [(i * 53) % 23 for i in range(HEIGHT * WIDTH * 3)]
    corners = [[r, g, b] for r in (0, 255) for g in (0, 255) for b in (0, 255)]
    equal = [[200, 200, 40], [40, 200, 200], [200, 40, 200], [40, 40, 200], [200, 40, 40], [40, 200, 40]]
    greys = [[v, v, v] for v in (0, 1, 2, 7, 100, 127, 128, 200, 254, 255)]
    return [noise, dark, sum(corners + equal + greys, [])]


def tensor(frame):
    return torch.tensor(frame, dtype=torch.uint8).view(HEIGHT, WIDTH, 3).permute(2, 0, 1).contiguous()


def flat(image):
    return image.permute(1, 2, 0).flatten().tolist()


def main(out):
    changes = [(c, f) for c in ("brightness", "contrast", "saturation") for f in FACTORS] + [("hue", f) for f in HUES]
    cases, blurs = [], []
    for i, frame in enumerate(frames()):
        for change, factor in changes:
            image = getattr(F, f"adjust_{change}")(tensor(frame), factor)
            cases.append({"change": change, "factor": factor, "frame": i, "out": flat(image)})
        cases.append({"change": "grey", "frame": i, "out": flat(F.rgb_to_grayscale(tensor(frame), 3))})
    for sigma, size in BLURS:
        image = F.gaussian_blur(tensor(frames()[0]), [size, size], [sigma, sigma])
        blurs.append({"sigma": sigma, "size": size, "frame": 0, "out": flat(image)})
    lines = [
        f'"about": "torchvision {torchvision.__version__.split("+")[0]} on bytes; frames are [height, width, RGB]"',
        f'"size": {json.dumps([HEIGHT, WIDTH])}',
        '"frames": [\n' + ",\n".join(json.dumps(f, separators=(",", ":")) for f in frames()) + "\n]",
        '"cases": [\n' + ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases) + "\n]",
        '"blur": [\n' + ",\n".join(json.dumps(c, separators=(",", ":")) for c in blurs) + "\n]",
    ]
    Path(out).write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main(sys.argv[1])
