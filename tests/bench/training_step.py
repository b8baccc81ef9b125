"""The network of a request trained with PyTorch eager, for `cargo bench --bench training_step`.

What `metaqnn-torch` is measured against: the same layers, recipe, batch, layout and number of
threads, written as one would write it in PyTorch. The images are made up. Prints the seconds of
each epoch, one a line.

    training_step.py IMAGES < REQUEST
"""
import json
import sys
import time

import torch
from torch import nn

request = json.load(sys.stdin)
images, size, channels = int(sys.argv[1]), request["input_size"], request["channels"]
recipe, classes = request["recipe"], request["classes"]
batch_size = recipe["batch_size"]
torch.set_num_threads(request["threads"])
torch.manual_seed(request["seed"])
device = "cuda" if torch.cuda.is_available() else "cpu"


def layers():
    maps, side, is_flat = channels, size, False
    for layer in request["layers"]:
        kind = layer["type"]
        if kind in ("fully_connected", "softmax") and not is_flat:
            yield nn.Flatten()
            maps, is_flat = maps * side * side, True
        if kind == "conv":
            kernel, stride, padding = layer["kernel"], layer["stride"], layer["padding"]
            yield nn.Conv2d(maps, layer["filters"], kernel, stride, padding)
            yield nn.ReLU(inplace=True)
            maps, side = layer["filters"], (side + 2 * padding - kernel) // stride + 1
        elif kind == "pool":
            yield nn.MaxPool2d(layer["kernel"], layer["stride"])
            side = (side - layer["kernel"]) // layer["stride"] + 1
        elif kind == "global_average_pool":
            yield nn.Conv2d(maps, classes, 1)
            yield nn.ReLU(inplace=True)
            yield nn.AdaptiveAvgPool2d(1)
            maps, side = classes, 1
        elif kind == "dropout":
            yield nn.Dropout(layer["probability"])
        elif kind == "fully_connected":
            yield nn.Linear(maps, layer["width"])
            yield nn.ReLU(inplace=True)
            maps = layer["width"]
        elif kind == "softmax":
            yield nn.Linear(maps, classes)
        else:
            sys.exit(f"no layer {kind}")


data = torch.randint(0, 256, (images, size, size, channels), dtype=torch.uint8, device=device)
labels = torch.randint(0, classes, (images,), device=device)
mean = data.float().mean(0)
model = nn.Sequential(*layers()).to(device).to(memory_format=torch.channels_last)
optimizer = torch.optim.Adam(
    model.parameters(), lr=recipe["learning_rate"], weight_decay=recipe["weight_decay"]
)
loss_of = nn.CrossEntropyLoss()

for epoch in range(request["epochs"]):
    began = time.perf_counter()
    total = torch.zeros((), dtype=torch.float64, device=device)
    hits = torch.zeros((), dtype=torch.int64, device=device)
    order = torch.randperm(images, device=device)
    for step in range(images // batch_size):
        indices = order[step * batch_size:(step + 1) * batch_size]
        # Bytes lie [N, H, W, C], so this is channels last, one channel included.
        batch = (data[indices].float() - mean).permute(0, 3, 1, 2)
        target = labels[indices]
        logits = model(batch)
        loss = loss_of(logits, target)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            total += loss
            hits += (logits.argmax(1) == target).sum()
    total.item()
    hits.item()
    print(time.perf_counter() - began, flush=True)
