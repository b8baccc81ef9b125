#!/usr/bin/env python3
"""A trainer that writes models, for tests and proofs: it trains nothing.

usage: model-trainer.py SECONDS [STOP]

SECONDS are those of an epoch. Every weight of a model is iteration + attempt / 256, where attempt is the
one that trained the best epoch, so that a model shows whose it is. The first attempt at an iteration
waits after STOP epochs, to be killed.
"""
import json
import pathlib
import random
import struct
import sys
import time


def shapes(request):
    """The tensors of PyTorch's `Sequential`, numbered again here on purpose."""
    modules, channels, side, flat = [], request["channels"], request["input_size"], False
    for layer in request["layers"]:
        kind = layer["type"]
        if kind == "conv":
            modules += [[layer["filters"], channels, layer["kernel"], layer["kernel"]], None]
            side = (side + 2 * layer["padding"] - layer["kernel"]) // layer["stride"] + 1
            channels = layer["filters"]
        elif kind == "global_average_pool":
            modules += [[layer["classes"], channels, 1, 1], None, None, None]
            channels, side, flat = layer["classes"], 1, True
        elif kind == "pool":
            modules.append(None)
            side = (side - layer["kernel"]) // layer["stride"] + 1
        elif kind == "dropout":
            modules.append(None)
        else:
            if not flat:
                modules.append(None)
                channels, flat = channels * side * side, True
            outputs = layer.get("width", layer.get("classes"))
            modules.append([outputs, channels])
            modules += [None] if kind == "fully_connected" else []
            channels = outputs
    named = {f"{number}.weight": shape for number, shape in enumerate(modules) if shape}
    return named | {f"{number}.bias": shape[:1] for number, shape in enumerate(modules) if shape}


def write(path, tensors, words):
    """Writes a safetensors file of constant tensors."""
    header, data = {"__metadata__": words} if words else {}, b""
    for name, (shape, value) in sorted(tensors.items()):
        count = 1
        for size in shape:
            count *= size
        begin = len(data)
        data += struct.pack("<f", value) * count
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [begin, len(data)]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    aside = path.with_suffix(".unfinished")
    aside.write_bytes(struct.pack("<Q", len(text)) + text + data)
    aside.replace(path)


def keep(request, attempt, epoch):
    folder = pathlib.Path(request["model"])
    folder.mkdir(exist_ok=True, parents=True)
    image = [request["channels"], request["input_size"], request["input_size"]]
    write(folder / "preprocessing.safetensors", {"mean": (image, 0.0), "deviation": (image, 1.0)}, {})
    value = request["iteration"] + attempt / 256
    weights = {name: (shape, value) for name, shape in shapes(request).items()}
    write(folder / "weights.safetensors", weights, {"epoch": str(epoch)})


for line in sys.stdin:
    request = json.loads(line)
    if "architecture" not in request:
        continue
    checkpoint = request["checkpoint"] and pathlib.Path(request["checkpoint"], "epochs")
    done = int(checkpoint.read_text()) if request["resume"] else 0
    chance = random.Random(request["seed"])
    accuracies = [chance.uniform(0.3, 0.9) for _ in range(request["epochs"])]
    for epoch in range(done + 1, request["epochs"] + 1):
        time.sleep(float(sys.argv[1]))
        accuracy = accuracies[epoch - 1]
        print(json.dumps({"epoch": epoch, "validation_accuracy": accuracy}), flush=True)
        if request["model"] and accuracy > max(accuracies[: epoch - 1], default=0.0):
            keep(request, request["attempt"], epoch)
        if checkpoint:
            checkpoint.parent.mkdir(exist_ok=True, parents=True)
            checkpoint.write_text(str(epoch))
        if request["attempt"] == 1 and [str(epoch)] == sys.argv[2:]:
            sys.stdin.readline()  # until `metaqnn` is killed
            sys.exit()
    print(json.dumps({"done": True}), flush=True)
