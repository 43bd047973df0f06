"""Trains the shipped model from nothing: `python train.py --out DIR`. Everything else follows from config.json, training.json.

Muon (https://kellerjordan.github.io/posts/muon) moves the matrices inside, AdamW the rest; the rate is constant, then falls
to zero. The loss counts what the assistant says last, its thinking included.
"""

import argparse
import json
import random
import time
from pathlib import Path

import torch
import torch.distributed as workers
from tokenizers import Tokenizer

import samples
import tokenizer as bpe
from model import Model

HERE = Path(__file__).parent


class Muon:
    """Momentum, made orthogonal by five Newton-Schulz steps. Matrices of one shape are computed together."""

    def __init__(self, weights, momentum):
        self.momentum, self.groups = momentum, {}
        for weight in weights:
            self.groups.setdefault(tuple(weight.shape), []).append(weight)
        self.buffers = {shape: torch.zeros(len(group), *shape, device=group[0].device) for shape, group in self.groups.items()}

    @torch.no_grad()
    def step(self, rate, decay):
        """One update; every worker makes its part of the matrices orthogonal and gets the others' from them."""
        rank, count = workers.get_rank(), workers.get_world_size()
        updates = []
        for shape, group in self.groups.items():
            gradient = torch.stack([weight.grad for weight in group])
            buffer = self.buffers[shape].mul_(self.momentum).add_(gradient)
            gradient.add_(buffer, alpha=self.momentum)
            update = torch.zeros_like(gradient)
            update[rank::count] = orthogonal(gradient[rank::count])
            updates.append(update)
        if count > 1:
            flat = torch.cat([update.flatten() for update in updates])
            workers.all_reduce(flat)
            updates = [own.view_as(update) for update, own in zip(updates, flat.split([update.numel() for update in updates]))]
        for (shape, group), update in zip(self.groups.items(), updates):
            scale = rate * max(1.0, shape[0] / shape[1]) ** 0.5
            for weight, own in zip(group, update):
                weight.mul_(1.0 - rate * decay).sub_(own, alpha=scale)


def orthogonal(x):
    """The nearest orthogonal matrices, about: five Newton-Schulz steps of a tuned quintic."""
    tall = x.shape[1] > x.shape[2]
    x = x.mT if tall else x
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(5):
        square = x @ x.mT
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return x.mT if tall else x


class Data:
    """Micro-batches of conversations of about one length, deterministic by seed and chunk."""

    def __init__(self, tokenizer, plan):
        self.tokenizer, self.plan = tokenizer, plan

    def encode(self, conversations):
        rendered = [samples.render(conversation) for conversation in conversations]
        prompts = self.tokenizer.encode_batch_fast([prompt for prompt, _ in rendered], add_special_tokens=False)
        replies = self.tokenizer.encode_batch_fast([reply for _, reply in rendered], add_special_tokens=False)
        return [(prompt.ids, reply.ids) for prompt, reply in zip(prompts, replies)]

    def batches(self, pairs):
        """Tensors (tokens, counted), padded at the end, of at most `rows` positions."""
        pairs = sorted((pair for pair in pairs if len(pair[0]) + len(pair[1]) <= self.plan["longest"]), key=lambda pair: len(pair[0]) + len(pair[1]))
        start = 0
        while start < len(pairs):
            end, length = start, 0
            while end < len(pairs) and (end - start + 1) * max(length, sum(map(len, pairs[end]))) <= self.plan["rows"]:
                length, end = max(length, sum(map(len, pairs[end]))), end + 1
            yield pad(pairs[start:end], length)
            start = end

    def training(self, chunk):
        rng = random.Random(f"{self.plan['seed']} {chunk}")
        mixture = sum(chunk >= first for first in self.plan["mixtures_from_chunks"])
        batches = list(self.batches(self.encode([samples.conversation(rng, mixture=mixture) for _ in range(self.plan["chunk"])])))
        rng.shuffle(batches)
        return batches


def pad(pairs, length):
    tokens = torch.full((len(pairs), length), 2)
    counted = torch.zeros(len(pairs), length, dtype=torch.bool)
    for row, (prompt, reply) in enumerate(pairs):
        tokens[row, : len(prompt) + len(reply)] = torch.tensor(prompt + reply)
        counted[row, len(prompt) : len(prompt) + len(reply)] = True
    return tokens, counted


@torch.no_grad()
def exactness(model, data, seed, count):
    """Share of held-out conversations of which greedy decoding says every token, by kind and language."""
    rng, found = random.Random(f"held out {seed}"), {}
    conversations = [samples.conversation(rng, held=True) for _ in range(count)]
    model.eval()
    for conversation, (prompt, reply) in zip(conversations, data.encode(conversations)):
        tokens = torch.tensor([prompt + reply], device=model.frequencies.device)
        rows = model.hidden(tokens)[0, len(prompt) - 1 : -1]
        right = bool((model.lm_head(rows).argmax(-1) == tokens[0, len(prompt) :]).all())
        key = f"{conversation['kind'].split(':')[0]}.{conversation['language']}"
        hits, all_ = found.get(key, (0, 0))
        found[key] = (hits + right, all_ + 1)
    model.train()
    return {key: round(hits / all_, 3) for key, (hits, all_) in sorted(found.items())}


class Training:
    def __init__(self, config, plan, tokenizer, device):
        torch.manual_seed(plan["seed"])
        self.plan, self.device, self.model, self.data = plan, device, Model(config), Data(tokenizer, plan)
        self.model.place_digits([tokenizer.token_to_id(digit) for digit in "0123456789"])
        self.model.to(device)
        inner = [weight for name, weight in self.model.named_parameters() if weight.ndim == 2 and ".layers." in name and ".gate.weight" not in name]
        ids = {id(weight) for weight in inner}
        rest = [weight for weight in self.model.parameters() if id(weight) not in ids]
        self.muon = Muon(inner, plan["momentum"])
        self.adam = torch.optim.AdamW(rest, lr=plan["adam_rate"], betas=(0.9, 0.95), weight_decay=0.0)
        self.step, self.chunk, self.tokens, self.queue = 0, 0, 0, []

    def factor(self):
        """The part of the full rates that holds now: each cycle warms up, is constant, and falls to zero at its end."""
        begin = 0
        for cycle in self.plan["cycles"]:
            if self.step < cycle["until"]:
                break
            begin = cycle["until"]
        warm, left = (self.step - begin + 1) / self.plan["warm"], (cycle["until"] - self.step) / cycle["decay"]
        return cycle["peak"] * min(1.0, warm, left)

    def advance(self):
        """One update; returns the loss in nats per token. The micro-batches are shared out among the workers."""
        while len(self.queue) < self.plan["together"]:
            self.queue += self.data.training(self.chunk)
            self.chunk += 1
        batches = [self.queue.pop(0) for _ in range(self.plan["together"])]
        total = sum(int(counted[:, 1:].sum()) for _, counted in batches)
        loss = torch.zeros(1, device=self.device)
        for tokens, counted in batches[workers.get_rank() :: workers.get_world_size()]:
            share = self.model.loss(tokens.to(self.device), counted.to(self.device)) * (int(counted[:, 1:].sum()) / total)
            share.backward()
            loss += share.detach()
        self.tokens += sum(tokens.numel() for tokens, _ in batches)
        self.share(loss)
        factor = self.factor()
        torch.nn.utils.clip_grad_norm_(self.adam.param_groups[0]["params"], 1.0)
        self.muon.step(self.plan["muon_rate"] * factor, self.plan["decay"])
        for group in self.adam.param_groups:
            group["lr"] = self.plan["adam_rate"] * factor
        self.adam.step()
        self.model.zero_grad(set_to_none=False)
        for router in self.model.routers():
            router.balance(self.plan["balance_rate"] * factor)
        self.step += 1
        return loss.item()

    def share(self, loss):
        """Adds up what the workers found: gradients, loads of experts, losses."""
        # An expert that no row chose has no gradient.
        gradients = [torch.zeros_like(weight) if weight.grad is None else weight.grad for weight in self.model.parameters()]
        parts = gradients + [router.load for router in self.model.routers()] + [loss]
        if workers.get_world_size() > 1:
            flat = torch.cat([part.flatten() for part in parts])
            workers.all_reduce(flat)
            for part, own in zip(parts, flat.split([part.numel() for part in parts])):
                part.copy_(own.view_as(part))
        for weight, gradient in zip(self.model.parameters(), gradients):
            weight.grad = gradient

    def save(self, path):
        torch.save(dict(model=self.model.state_dict(), muon=self.muon.buffers, adam=self.adam.state_dict(), step=self.step, chunk=self.chunk, tokens=self.tokens,
                        queue=self.queue), path.with_suffix(".new"))
        path.with_suffix(".new").rename(path)

    def restore(self, path):
        state = torch.load(path, weights_only=True, map_location=self.device)
        self.model.load_state_dict(state["model"])
        self.adam.load_state_dict(state["adam"])
        self.muon.buffers = state["muon"]
        self.step, self.chunk, self.tokens, self.queue = state["step"], state["chunk"], state["tokens"], state["queue"]


def work(rank, options):
    """One worker's part; the first one writes the files."""
    torch.set_num_threads(1)
    workers.init_process_group("gloo", init_method=f"file://{options.out.resolve()}/meeting", rank=rank, world_size=options.workers)
    config, plan = json.loads((HERE / "config.json").read_text()), json.loads((HERE / "training.json").read_text())
    training = Training(config, plan, Tokenizer.from_file(str(options.out / "tokenizer.json")), options.device)
    state = options.out / "state.pt"
    if state.exists():
        training.restore(state)
    workers.barrier()
    log = (options.out / "log.jsonl").open("a") if rank == 0 else None
    begun, losses, seen = time.monotonic(), [], training.tokens
    while training.step < plan["cycles"][-1]["until"]:
        losses.append(training.advance())
        last = training.step == plan["cycles"][-1]["until"]
        if rank == 0 and (training.step % plan["report"] == 0 or last):
            speed = (training.tokens - seen) / (time.monotonic() - begun)
            entry = dict(step=training.step, tokens=training.tokens, loss=round(sum(losses) / len(losses), 4), rate=round(training.factor(), 3), tokens_per_second=round(speed))
            if training.step % plan["examine"] == 0 or last:
                entry["exact"] = exactness(training.model, training.data, plan["seed"], plan["examined"])
            print(json.dumps(entry), file=log, flush=True)
            print(json.dumps(entry), flush=True)
            losses = []
        if rank == 0 and (training.step % plan["save"] == 0 or last):
            training.save(state)
    workers.destroy_process_group()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=2, help="processes of one thread each; two fill two cores")
    parser.add_argument("--device", default="cpu", help="where to compute: cpu, or cuda with --workers 1")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "meeting").unlink(missing_ok=True)
    words = options.out / "tokenizer.json"
    if not words.exists():
        config, plan = json.loads((HERE / "config.json").read_text()), json.loads((HERE / "training.json").read_text())
        bpe.train(config["vocab_size"], plan["seed"]).save(str(words))
    torch.multiprocessing.spawn(work, (options,), nprocs=options.workers)


if __name__ == "__main__":
    main()
