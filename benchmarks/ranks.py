"""What ranks send each other to the same validation error on MNIST (1000-500), beside data-parallel AdamW.

    python benchmarks/ranks.py adamw          # steps that AdamW needs, by batch size; one process
    torchrun --nproc-per-node=4 benchmarks/ranks.py exact       # batches by default, as many epochs as are needed
    torchrun --nproc-per-node=4 benchmarks/ranks.py bits 2      # Relaxed(message_bits=2)
    torchrun --nproc-per-node=4 benchmarks/ranks.py powersgd 1 1024 4e-3 8    # rank, global batch, rate, epochs
    torchrun --nproc-per-node=4 benchmarks/ranks.py localsgd 20 1024 4e-3 8   # steps between averages, ...
    python benchmarks/ranks.py report         # benchmarks/results/ranks.jsonl as a table

    python benchmarks/ranks.py adamw 256 1e-3 12 --rows 50000   # one setting: global batch, rate, epochs
    torchrun --nproc-per-node=4 benchmarks/ranks.py exact 1000 2 3 --rows 50000   # global batch, epochs
    python benchmarks/ranks.py adamw 1024 4e-3 40 --rows 50000 --seed 1 --dropout 0.4   # behind both hidden layers

Data: mnist.npz in the folder $NMFNET_DATA. 20,000 of the training rows are trained on, or as many as `--rows` says.
10,000 others are held out, and the error is theirs; test rows are not used. DistributedDataParallel ends as one
process with the same global batch does, and sends a gradient in every step: its bytes are the parameters times the
steps, and its messages the buckets (of 25 MiB, the first of 1 MiB) times the steps. All sides count what a rank puts
into collective operations, whatever gloo makes of them.
"""

import itertools
import json
import os
import sys
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from torch import nn

RESULTS = Path(__file__).parent / "results" / "ranks.jsonl"
ROWS, HELD_OUT, BUCKETS = 20_000, 10_000, 2
SEED, DROPOUT = 0, None  # None: 0.2 behind the first hidden layer only
GOALS = {20_000: (0.04, 0.032), 50_000: (0.02, 0.0165, 0.015)}  # errors, by the number of training rows
GRID = {256: (1e-3, 2e-3), 1024: (2e-3, 4e-3), 4096: (4e-3, 8e-3)}  # rates by global batch


def mnist():
    with np.load(Path(os.environ["NMFNET_DATA"]) / "mnist.npz") as data:
        X, y = data["X_train"], data["y_train"]
    X = (X.reshape(len(X), -1) / 255).astype(np.float32)
    order = np.random.default_rng(0).permutation(len(X))
    held_out, rest = order[:HELD_OUT], order[HELD_OUT : HELD_OUT + ROWS]
    return X[rest], y[rest].astype(np.int64), X[held_out], y[held_out].astype(np.int64)


def store(**line):
    RESULTS.parent.mkdir(exist_ok=True)
    line |= {"rows": ROWS, "seed": SEED} | ({} if DROPOUT is None else {"dropout": DROPOUT})
    with RESULTS.open("a") as file:
        file.write(json.dumps(line) + "\n")
    print(line, flush=True)


def network():
    torch.manual_seed(SEED)
    first, second = (0.2, 0.0) if DROPOUT is None else (DROPOUT, DROPOUT)
    return nn.Sequential(
        nn.Linear(784, 1000), nn.ReLU(), nn.Dropout(first), nn.Linear(1000, 500), nn.ReLU(), nn.Dropout(second),
        nn.Linear(500, 10),
    )  # fmt: skip


def stored():
    """Lines of earlier runs with as many rows and this seed."""
    lines = [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []
    return [line for line in lines if (line.get("rows", 20_000), line.get("seed", 0)) == (ROWS, SEED)]


def adamw(*setting):
    done = [line for line in stored() if line["solver"] == "adamw"]
    if setting:
        return adamw_once(int(setting[0]), float(setting[1]), int(setting[2]))
    for epochs, (batch, rates) in itertools.product((4, 8, 16), GRID.items()):
        reached = GOALS[ROWS][-1]
        if any(line["batch"] == batch and line["epochs"] < epochs and line["error"] <= reached for line in done):
            continue  # fewer steps of this batch do
        for rate in rates:
            if not any((line["batch"], line["lr"], line["epochs"]) == (batch, rate, epochs) for line in done):
                done.append(adamw_once(batch, rate, epochs))


def adamw_once(batch, rate, epochs):
    X, y, X_val, y_val = map(torch.from_numpy, mnist())
    net = network()
    optimizer = torch.optim.AdamW(net.parameters(), weight_decay=0.01)
    steps = epochs * -(-len(X) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps)
    for _ in range(epochs):
        for rows in torch.randperm(len(X)).split(batch):
            loss = nn.functional.cross_entropy(net(X[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    with torch.no_grad():
        error = float((net.eval()(X_val).argmax(1) != y_val).float().mean())
    sent = {"messages": BUCKETS * steps, "bytes": 4 * sum(W.numel() for W in net.parameters()) * steps}
    line = {"solver": "adamw", "batch": batch, "lr": rate, "epochs": epochs, "error": error, **sent}
    store(**line)
    return line


@contextmanager
def counted():
    """What this process puts into sums over ranks, inside."""
    sent, all_reduce = {"messages": 0, "bytes": 0}, dist.all_reduce

    def counting(tensor, *arguments, **options):
        sent["messages"] += 1
        sent["bytes"] += tensor.numel() * tensor.element_size()
        return all_reduce(tensor, *arguments, **options)

    dist.all_reduce = counting
    try:
        yield sent
    finally:
        dist.all_reduce = all_reduce


def fewer_bytes(solver, amount, batch=1024, lr=4e-3, epochs=8):
    """AdamW over ranks with PyTorch's own ways to send less, by the rank of PowerSGD or the period of local SGD."""
    from torch.distributed.algorithms.ddp_comm_hooks import powerSGD_hook
    from torch.distributed.algorithms.model_averaging.averagers import PeriodicModelAverager

    amount, batch, lr, epochs = int(amount), int(batch), float(lr), int(epochs)
    dist.init_process_group("gloo")
    rank, size = dist.get_rank(), dist.get_world_size()
    X, y, X_val, y_val = map(torch.from_numpy, mnist())
    net = model = network()
    torch.manual_seed(1000 * SEED + 1 + rank)  # of dropout
    if solver == "powersgd":
        model = nn.parallel.DistributedDataParallel(net, bucket_cap_mb=100)  # one bucket: gloo mixes two up
        state = powerSGD_hook.PowerSGDState(None, matrix_approximation_rank=amount, start_powerSGD_iter=2)
        model.register_comm_hook(state, powerSGD_hook.powerSGD_hook)
    else:
        averager = PeriodicModelAverager(period=amount, warmup_steps=0)
    optimizer = torch.optim.AdamW(net.parameters(), weight_decay=0.01)
    steps = epochs * -(-len(X) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps)
    orders = torch.Generator().manual_seed(SEED)
    with counted() as sent:
        for _ in range(epochs):
            for rows in torch.randperm(len(X), generator=orders).split(batch):
                rows = rows[rank::size]
                loss = nn.functional.cross_entropy(model(X[rows]), y[rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                if solver == "localsgd":
                    averager.average_parameters(net.parameters())
        if solver == "localsgd" and steps % amount:
            averager.step = 0
            averager.average_parameters(net.parameters())
    with torch.no_grad():
        error = float((net.eval()(X_val).argmax(1) != y_val).float().mean())
    if rank == 0:
        way = {"rank": amount} if solver == "powersgd" else {"every": amount}
        store(solver=solver, **way, batch=batch, lr=lr, epochs=epochs, error=error, ranks=size, **sent)
    dist.destroy_process_group()


def exact(batch="auto", *epochs, bits=0):
    """By all ranks that torchrun starts; by one process, whose error is the same, nothing is sent or stored."""
    from nmfnet import NMFNetClassifier, Relaxed
    from nmfnet.distributed import join, together

    join()
    with together() as ranks:
        X, y, X_val, y_val = mnist()
        n = len(X)
        rows = slice(n * ranks.rank // ranks.size, n * (ranks.rank + 1) // ranks.size)
        size = batch if batch == "auto" else int(batch)
        for count in map(int, epochs or (1, 2, 3, 4, 6, 8)):
            before = getattr(ranks, "messages", 0), getattr(ranks, "bytes", 0)
            solver = Relaxed(message_bits=bits)
            model = NMFNetClassifier((1000, 500), solver=solver, max_iter=count, batch_size=size, random_state=SEED)
            model.fit(X[rows], y[rows])
            error = 1 - model.score(X_val, y_val)
            if ranks.size == 1:
                print({"batch": size, "epochs": count, "error": error}, flush=True)
            elif ranks.rank == 0:
                sent = {"messages": ranks.messages - before[0], "bytes": ranks.bytes - before[1]}
                way = {"solver": "bits", "bits": bits} if bits else {"solver": "exact"}
                way |= {} if size == "auto" else {"batch": size}
                seconds = model.history_[-1]["seconds"]
                store(**way, ranks=ranks.size, epochs=count, error=error, seconds=seconds, **sent)
            if not epochs and error <= GOALS[ROWS][-1]:
                break


def few_bits(bits, *arguments):
    exact(*arguments, bits=int(bits))


def report():
    lines = stored()
    print("| at most | solver | settings | error | messages | bytes |\n| ---: | --- | --- | ---: | ---: | ---: |")
    for goal, solver in itertools.product(GOALS[ROWS], dict.fromkeys(line["solver"] for line in lines)):
        there = [line for line in lines if line["solver"] == solver and line["error"] <= goal + 1e-9]
        if not there:
            print(f"| {100 * goal:g} % | {solver} | not reached | | | |")
            continue
        line = min(there, key=lambda line: line["bytes"])
        names = ("dropout", "bits", "batch", "lr", "rank", "every", "epochs")
        settings = ", ".join(f"{key} {line[key]}" for key in names if key in line)
        print(f"| {100 * goal:g} % | {solver} | {settings} | {100 * line['error']:.2f} % | {line['messages']:,} | "
              f"{line['bytes'] / 1e6:,.1f} MB |")  # fmt: skip


if __name__ == "__main__":
    torch.set_num_threads(1)
    ways = {"adamw": adamw, "exact": exact, "bits": few_bits, "report": report}
    ways |= {name: partial(fewer_bytes, name) for name in ("powersgd", "localsgd")}
    arguments = sys.argv[1:]
    given = {}
    for name, kind in (("rows", int), ("seed", int), ("dropout", float)):
        if f"--{name}" in arguments:
            place = arguments.index(f"--{name}")
            given[name.upper()] = kind(arguments[place + 1])
            del arguments[place : place + 2]
    globals().update(given)
    ways[arguments[0]](*arguments[1:])
