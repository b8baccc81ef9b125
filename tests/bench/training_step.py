"""One training of [C(64,3,1), P(2,2), C(128,3,1), P(POOL,2), FC(128), SM(10)] with PyTorch eager.

What `metaqnn-torch` is measured against (cargo bench --bench training_step): the same network,
recipe, batch, layout and number of threads, written as one would write it in PyTorch. Prints the
seconds of each epoch, one a line.

    training_step.py IMAGES CHANNELS SIZE POOL EPOCHS THREADS
"""
import sys
import time

import torch
from torch import nn

images, channels, size, pool, epochs, threads = map(int, sys.argv[1:])
torch.set_num_threads(threads)
torch.manual_seed(1)
device = "cuda" if torch.cuda.is_available() else "cpu"
BATCH = 128

data = torch.randint(0, 256, (images, size, size, channels), dtype=torch.uint8, device=device)
labels = torch.randint(0, 10, (images,), device=device)
mean = data.float().mean(0)

side = (size // 2 - pool) // 2 + 1
model = nn.Sequential(
    nn.Conv2d(channels, 64, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Dropout(1 / 8),
    nn.Conv2d(64, 128, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(pool, 2), nn.Dropout(2 / 8),
    nn.Flatten(), nn.Linear(128 * side * side, 128), nn.ReLU(inplace=True), nn.Dropout(3 / 8),
    nn.Linear(128, 10),
).to(device).to(memory_format=torch.channels_last)
optimizer = torch.optim.Adam(model.parameters(), lr=0.001, weight_decay=0.0005)
loss_of = nn.CrossEntropyLoss()

for epoch in range(epochs):
    began = time.perf_counter()
    total = torch.zeros((), dtype=torch.float64, device=device)
    hits = torch.zeros((), dtype=torch.int64, device=device)
    order = torch.randperm(images, device=device)
    for step in range(images // BATCH):
        indices = order[step * BATCH:(step + 1) * BATCH]
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
