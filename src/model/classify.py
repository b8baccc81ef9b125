#!/usr/bin/env python3
"""Says which class pictures are of.

usage: classify.py PICTURE...

Prints one line of CSV a picture: file, class, probability. Needs numpy and Pillow, and onnxruntime or,
where that is missing, torch and safetensors.
"""
import csv
import json
import pathlib
import sys

import numpy as np
from PIL import Image, ImageOps

HERE = pathlib.Path(__file__).resolve().parent
CARD = json.loads((HERE / "model.json").read_text())
CHANNELS, SIZE, DATA = CARD["data"]["channels"], CARD["data"]["input_size"], CARD["data"]


def read(path):
    """Returns the pixels [C, H, W] of a picture, as those were that the network was trained on."""
    picture = ImageOps.exif_transpose(Image.open(path))
    most = 255
    if picture.mode.startswith("I"):  # 16 bits, grey
        most, values = 65535, np.asarray(picture, np.int64)[:, :, None]
    else:
        values = np.asarray(picture.convert("RGBA"), np.int64)
        values = (values[:, :, :3] * values[:, :, 3:] + 127) // 255  # on black
        if CHANNELS == 1:  # Rec. 601
            values = (values @ [19595, 38470, 7471] + 32768)[:, :, None] >> 16
    if values.shape[2] not in (1, CHANNELS):
        sys.exit(f"{path} has not the {CHANNELS} channels of the network")
    least, greatest = DATA.get("value_range") or (0, 255)
    if ((least, greatest) == (0, 255)) if most > 255 else (greatest > 255):
        here, there = (16, 8) if most > 255 else (8, 16)
        sys.exit(f"{path} has {here} bits, and the network was trained on {there}")
    values = np.repeat(values, CHANNELS // values.shape[2], 2)
    values = square(values, DATA.get("resize") or "stretch")
    values = shrink(shrink(values, most).swapaxes(0, 1), most).swapaxes(0, 1)
    return (255 * (values.transpose(2, 0, 1) - least) / (greatest - least)).astype(np.float32)


def square(values, how):
    height, width = values.shape[:2]
    if how == "crop":
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        return values[top : top + side, left : left + side]
    if how == "pad":
        side = max(height, width)
        top, left = (side - height) // 2, (side - width) // 2
        return np.pad(values, ((top, side - height - top), (left, side - width - left), (0, 0)))
    return values


def shrink(values, most):
    """Brings the second axis to SIZE by linear interpolation over integers, as Pillow 12 does."""
    before = values.shape[1]
    if before == SIZE:
        return values
    scale = before / SIZE
    reach = max(scale, 1.0)
    columns = []
    for column in range(SIZE):
        centre = (column + 0.5) * scale
        first, end = max(int(centre - reach + 0.5), 0), min(int(centre + reach + 0.5), before)
        weights = [max(0.0, 1 - abs((x - centre + 0.5) * (1 / reach))) for x in range(first, end)]
        total = sum(weights)
        weights = np.array([int(weight / total * 2**22 + 0.5) for weight in weights])
        summed = np.einsum("hxc,x->hc", values[:, first:end], weights)
        columns.append(np.clip((summed + 2**21) >> 22, 0, most))
    return np.stack(columns, 1)


def probabilities(pixels):
    """Returns the probabilities [N, classes] of pixels [N, C, H, W], 0 to 255."""
    try:
        import onnxruntime
    except ImportError:
        return with_torch(pixels)
    session = onnxruntime.InferenceSession(str(HERE / "model.onnx"), providers=["CPUExecutionProvider"])
    return session.run(None, {"pixels": pixels})[0]


def with_torch(pixels):
    import torch
    from safetensors.torch import load_file

    arguments = [dict(module) for module in CARD["sequential"]]
    modules = [getattr(torch.nn, module.pop("type"))(**module) for module in arguments]
    network = torch.nn.Sequential(*modules).eval()
    network.load_state_dict(load_file(HERE / "weights.safetensors"))
    constants = load_file(HERE / "preprocessing.safetensors")
    with torch.no_grad():
        return network(prepared(torch.from_numpy(pixels), constants)).softmax(1).numpy()


def prepared(x, constants):
    import torch.nn.functional as F

    kind = DATA["preprocess"]
    if kind in ("mean_subtraction", "global_contrast_normalisation"):
        return (x - constants["mean"]) / constants["deviation"]
    if kind == "standard_whitening":
        x = x - x.mean((2, 3), keepdim=True)
        return x / x.square().mean((2, 3), keepdim=True).sqrt().clamp(min=constants["floor"])
    if kind == "local_contrast_normalisation":
        row = constants["blur"].repeat(CHANNELS, 1, 1, 1)

        def blur(maps):
            rows = F.conv2d(F.pad(maps, [row.shape[3] // 2] * 4, "reflect"), row, groups=CHANNELS)
            return F.conv2d(rows, row.transpose(2, 3), groups=CHANNELS)

        return (x - blur(x)) / blur(x.square()).sqrt().clamp(min=constants["floor"])
    return x


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    table = csv.writer(sys.stdout)
    table.writerow(["file", "class", "probability"])
    for first in range(1, len(sys.argv), 100):
        files = sys.argv[first : first + 100]
        for file, found in zip(files, probabilities(np.stack([read(file) for file in files]))):
            table.writerow([file, CARD["classes"][found.argmax()], f"{found.max():.6f}"])
