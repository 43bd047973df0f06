"""Trains the tokenizer: byte-level BPE with R1's pre-tokenisation, but for digits, which stand alone."""

import random

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

import samples

# R1's split patterns; its first one takes up to three digits together.
SPLITS = [r"\p{N}", r"[一-龥぀-ゟ゠-ヿ]+",
          r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"]


def train(size, seed, count=60_000):
    tokenizer = Tokenizer(models.BPE())
    splits = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in SPLITS]
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*splits, byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    special = [AddedToken(text, special=index < 3, normalized=index >= 3) for index, text in enumerate(samples.SPECIAL)]
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=special, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(texts(seed, count), trainer)
    template = processors.TemplateProcessing(single=f"{samples.BOS}:0 $A:0", pair=f"{samples.BOS}:0 $A:0 $B:1", special_tokens=[(samples.BOS, 0)])
    tokenizer.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), template])
    return tokenizer


def texts(seed, count):
    rng = random.Random(f"tokenizer {seed}")
    for _ in range(count):
        sample = samples.conversation(rng)
        yield sample["prompt"]
        yield sample["thinking"] + "\n"
        yield "\n\n" + sample["answer"]
        if sample["system"]:
            yield sample["system"]
