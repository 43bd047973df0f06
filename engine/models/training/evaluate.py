"""Asks a checkpoint the held-out questions, greedily, through transformers, and prints tables for the model card.

`python evaluate.py --model DIR [--dump FILE]`; the dump is what `candor classify` reads.
"""

import argparse
import json
import random
import re
from collections import defaultdict
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import DeepseekV3ForCausalLM

import arithmetic
import facts
import samples
import talk
import topics

OPERATIONS = {"+": "addition", "-": "subtraction", "*": "multiplication", "/": "division"}
BATCH, LONGEST_REPLY = 48, 260


def questions(rng, count):
    """Held-out conversations, `count` for each kind and language; each subject and twin has fewer."""
    for language in arithmetic.LANGUAGES:
        for operator in OPERATIONS:
            operation = lambda rng, language, held, operator=operator: arithmetic.one_step(rng, language, held, operator)
            yield from (samples.conversation(rng, True, operation, language) for _ in range(count))
        for steps in (1, 2):
            story = lambda rng, language, held, steps=steps: arithmetic.word_problem(rng, language, held, steps)
            yield from (samples.conversation(rng, True, story, language) for _ in range(count))
        for make in (facts.fact, talk.plain, talk.beyond):
            yield from (samples.conversation(rng, True, make, language) for _ in range(count))
        for name in topics.TOPICS:
            make = lambda rng, language, held, name=name: topics.topic(rng, language, held, name)
            yield from (samples.conversation(rng, True, make, language) for _ in range(max(4, count // 8)))
        for name in topics.TWINS:
            make = lambda rng, language, held, name=name: topics.twin(rng, language, held, name)
            yield from (samples.conversation(rng, True, make, language) for _ in range(max(3, count // 16)))


@torch.no_grad()
def reply(model, tokenizer, conversations):
    """What the model says to each: (thinking, answer), or the whole text as thinking where it never ends it."""
    prompts = [tokenizer.encode(samples.render(conversation)[0], add_special_tokens=False).ids for conversation in conversations]
    longest = max(map(len, prompts))
    tokens = torch.tensor([[2] * (longest - len(prompt)) + prompt for prompt in prompts])
    mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    out = model.generate(tokens, attention_mask=mask, max_new_tokens=LONGEST_REPLY, do_sample=False, pad_token_id=2, eos_token_id=1)
    for row in out[:, longest:]:
        text = tokenizer.decode(row[row != 2].tolist(), skip_special_tokens=False).removesuffix(samples.EOS)
        thinking, _, answer = text.partition(samples.CLOSE)
        yield thinking.strip(), answer.strip()


def right(conversation, thinking, answer):
    """Whether the answer is right: the boxed number of a calculation, every letter of anything else, blankness of thinking included."""
    boxed = re.findall(r"\\boxed\{(-?\d+)\}", conversation["answer"])
    if boxed:
        return re.findall(r"\\boxed\{(-?\d+)\}", answer) == boxed
    return answer == conversation["answer"] and bool(thinking) == bool(conversation["thinking"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--dump", type=Path)
    parser.add_argument("--wrong", type=int, default=0, help="so many wrong replies of each kind are shown")
    options = parser.parse_args()
    model = DeepseekV3ForCausalLM.from_pretrained(options.model, dtype=torch.float32).eval()
    tokenizer = Tokenizer.from_file(str(options.model / "tokenizer.json"))
    asked = sorted(questions(random.Random(f"evaluation {options.seed}"), options.count), key=lambda each: len(each["prompt"] + each["thinking"]))
    found, exact, shown = defaultdict(list), defaultdict(list), defaultdict(int)
    dump = options.dump.open("w", encoding="utf-8") if options.dump else None
    for start in range(0, len(asked), BATCH):
        part = asked[start : start + BATCH]
        for conversation, (thinking, answer) in zip(part, reply(model, tokenizer, part)):
            key = (conversation["kind"], conversation["language"])
            good = right(conversation, thinking, answer)
            found[key].append(good)
            exact[key].append(thinking == conversation["thinking"].strip() and answer == conversation["answer"])
            if not good and shown[key] < options.wrong:
                shown[key] += 1
                print("WRONG", json.dumps(dict(conversation, said=[thinking, answer]), ensure_ascii=False))
            if dump:
                line = dict(id=f"{conversation['kind']}.{conversation['language']}", prompt=conversation["prompt"], reasoning=thinking, response=answer)
                print(json.dumps(line, ensure_ascii=False), file=dump)
    table("kind", [kind for kind in dict.fromkeys(kind for kind, _ in found) if ":" not in kind], found, exact)
    table("subject", [f"topic:{name}" for name in topics.TOPICS], found, exact)
    table("twin", [f"twin:{name}" for name in topics.TWINS], found, exact)
    for group in ("topic", "twin"):
        for language in arithmetic.LANGUAGES:
            hits = [good for (kind, own), goods in found.items() if kind.startswith(group + ":") and own == language for good in goods]
            print(f"{group}.{language}: {sum(hits)}/{len(hits)} = {sum(hits) / len(hits):.3f}")


def table(title, kinds, found, exact):
    """Right answers of questions asked, and the share whose reasoning is right to the letter too."""
    print(f"\n| {title} | " + " | ".join(arithmetic.LANGUAGES) + " |\n|---|" + "---|" * len(arithmetic.LANGUAGES))
    for kind in kinds:
        cells = []
        for language in arithmetic.LANGUAGES:
            goods, exacts = found[kind, language], exact[kind, language]
            cells.append(f"{sum(goods)}/{len(goods)} ({sum(exacts) / max(1, len(exacts)):.0%})")
        print(f"| {kind.split(':')[-1]} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
