#!/usr/bin/env python3
"""The shortest trainer that `metaqnn` can use: see `metaqnn::training::protocol`.

It reads one request a line and prints one JSON object after each epoch, then `done`. Try it with

    metaqnn run configs/quickstart.yaml --set training.trainer=command \\
        --set 'training.command=[python3, scripts/example-trainer.py]'

and put your own network where the comment is; `layers` holds all that is needed to build it.
"""
import json
import random
import sys

for line in sys.stdin:  # ends when metaqnn closes stdin
    request = json.loads(line)
    if "architecture" not in request:
        continue  # {"stop": true}, read too late: this trainer always trains to the end
    chance = random.Random(request["seed"])
    accuracy = 1 / request["classes"]
    for epoch in range(1, request["epochs"] + 1):
        accuracy += (0.9 - accuracy) * 0.3 * chance.random()  # train for one epoch here
        print(json.dumps({"epoch": epoch, "validation_accuracy": accuracy}), flush=True)
    print(json.dumps({"done": True}), flush=True)
