"""Writes the trained weights as a checkpoint that transformers and the engine load: `python export.py --from DIR --to DIR`."""

import argparse
import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file

import samples

HERE = Path(__file__).parent


def export(state, words, to):
    to.mkdir(parents=True, exist_ok=True)
    config = json.loads((HERE / "config.json").read_text())
    write(to / "config.json", config)
    write(to / "generation_config.json", dict(_from_model_config=True, bos_token_id=0, eos_token_id=1, pad_token_id=2, do_sample=False))
    template = (HERE / "chat_template.jinja").read_text()
    write(to / "tokenizer_config.json", dict(
        tokenizer_class="PreTrainedTokenizerFast", bos_token=samples.BOS, eos_token=samples.EOS, pad_token=samples.PAD, add_bos_token=True, add_eos_token=False,
        clean_up_tokenization_spaces=False, model_max_length=config["max_position_embeddings"], chat_template=template))
    shutil.copyfile(words, to / "tokenizer.json")
    # The routers' bias stays in 32 bits, as in R1's release.
    weights = {name: weight if name.endswith("e_score_correction_bias") else weight.to(torch.bfloat16).contiguous() for name, weight in state.items()}
    save_file(weights, to / "model.safetensors", metadata={"format": "pt"})
    (to / "model.safetensors").chmod(0o644)


def write(path, value):
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--from", dest="source", type=Path, required=True, help="the folder that train.py wrote")
    parser.add_argument("--to", type=Path, required=True)
    options = parser.parse_args()
    state = torch.load(options.source / "state.pt", weights_only=True)["model"]
    export(state, options.source / "tokenizer.json", options.to)


if __name__ == "__main__":
    main()
