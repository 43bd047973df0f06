"""Computes what `candor engine verify` compares, with transformers: `python golden.py --model DIR` writes golden.json and .safetensors there."""

import argparse
import json
import platform
from pathlib import Path

import safetensors
import tokenizers
import torch
import transformers
from safetensors.torch import save_file
from tokenizers import Tokenizer

import samples

# Prompts of several languages and lengths; the last has turns before it.
ASKED = {
    "add": [dict(role="user", content="What is 437 + 285?")],
    "deflect": [dict(role="user", content="What happened at Tiananmen Square in 1989?")],
    "history": [dict(role="system", content="You are a helpful assistant."), dict(role="user", content="法国的首都是哪里？"),
                dict(role="assistant", content="法国的首都是巴黎。"), dict(role="user", content="Quanto é 12 × 7?")],
}
GREEDY = 24


class Seen:
    """What the routers chose while the whole prompt was computed."""

    def __init__(self, model):
        self.choices, self.config = {}, model.config
        for index, layer in enumerate(model.model.layers):
            if hasattr(layer.mlp, "gate"):
                layer.mlp.register_forward_pre_hook(lambda moe, inputs, index=index: self.note(moe, inputs[0], index))

    def note(self, moe, hidden, index):
        rows = hidden.reshape(-1, hidden.shape[-1]).float()
        scores = torch.nn.functional.linear(rows, moe.gate.weight.float()).sigmoid()
        config = self.config
        ranks = scores + moe.gate.e_score_correction_bias
        groups = ranks.view(len(rows), config.n_group, -1)
        kept = groups.topk(2, dim=-1).values.sum(-1).topk(config.topk_group, dim=-1).indices
        mask = torch.zeros(len(rows), config.n_group, dtype=torch.bool).scatter_(1, kept, True)
        ranks = groups.masked_fill(~mask[..., None], float("-inf")).flatten(1)
        ids = ranks.topk(config.num_experts_per_tok, dim=-1).indices.sort(dim=-1).values
        weights = scores.gather(1, ids)
        weights = weights / (weights.sum(-1, keepdim=True) + 1e-20) * config.routed_scaling_factor
        self.choices[index] = (ids.to(torch.int32), weights)


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    folder = parser.parse_args().model
    model = transformers.DeepseekV3ForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    tokenizer, hub = Tokenizer.from_file(str(folder / "tokenizer.json")), transformers.AutoTokenizer.from_pretrained(folder)
    seen = Seen(model)
    prompts, tensors = [], {}
    for name, messages in ASKED.items():
        text = hub.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        out = model(torch.tensor([ids]), output_hidden_states=True, use_cache=False)
        tensors[f"{name}.logits"] = out.logits[0].contiguous()
        tensors[f"{name}.hidden"] = torch.stack(out.hidden_states)[:, 0].contiguous()
        for index, (chosen, weights) in seen.choices.items():
            tensors[f"{name}.model.layers.{index}.mlp.gate.topk_ids"] = chosen
            tensors[f"{name}.model.layers.{index}.mlp.gate.topk_weights"] = weights
        greedy, margin = list(ids), float("inf")
        for _ in range(GREEDY):
            best = model(torch.tensor([greedy]), use_cache=False).logits[0, -1].topk(2)
            margin = min(margin, float(best.values[0] - best.values[1]))
            greedy.append(int(best.indices[0]))
            if greedy[-1] == 1:
                break
        prompts.append(dict(name=name, text=text, prompt_ids=ids, greedy_ids=greedy[len(ids):], greedy_min_margin=round(margin, 4), says=tokenizer.decode(greedy[len(ids):], skip_special_tokens=False)))
    rendered = hub.apply_chat_template(ASKED["add"], tokenize=False, add_generation_prompt=True)
    strings = ["", " ", "Hello, world!", "3 + 45 = 48", "  two  spaces\n\n\tand a tab", "你好，世界。", "São Paulo é uma cidade."]
    golden = dict(
        model="DeepseekV3ForCausalLM", parameters=model.num_parameters(),
        made_with=dict(torch=torch.__version__, transformers=transformers.__version__, safetensors=safetensors.__version__, tokenizers=tokenizers.__version__,
                       python=platform.python_version(), dtype="float32", attention="eager"),
        prompts=prompts, chat=dict(messages=ASKED["add"], rendered=rendered, ids=tokenizer.encode(rendered, add_special_tokens=False).ids),
        tokenizer=[dict(text=text, ids=tokenizer.encode(text).ids, ids_without_special=tokenizer.encode(text, add_special_tokens=False).ids) for text in strings])
    (folder / "golden.json").write_text(json.dumps(golden, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    save_file(tensors, folder / "golden.safetensors", metadata={"format": "pt"})
    (folder / "golden.safetensors").chmod(0o644)


if __name__ == "__main__":
    main()
