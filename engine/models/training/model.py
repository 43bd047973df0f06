"""The training twin of transformers' DeepseekV3ForCausalLM: same parameter names, same logits, quicker on a CPU.

Experts are computed on the rows that chose them, the head only on rows that count for the loss. It knows no data.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn


class Linear(nn.Linear):
    def __init__(self, inputs, outputs):
        super().__init__(inputs, outputs, bias=False)


class Norm(nn.Module):
    """RMS norm; the ones inside attention use 1e-6 whatever the config says."""

    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x):
        return F.rms_norm(x.float(), (x.shape[-1],), self.weight, 1e-6)


class Gated(nn.Module):
    def __init__(self, hidden, width):
        super().__init__()
        self.gate_proj, self.up_proj = Linear(hidden, width), Linear(hidden, width)
        self.down_proj = Linear(width, hidden)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Router(nn.Module):
    """Sigmoid scores; a bias that no gradient moves takes part in the choice only (noaux_tc)."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.weight = nn.Parameter(torch.empty(config["n_routed_experts"], config["hidden_size"]))
        self.register_buffer("e_score_correction_bias", torch.zeros(config["n_routed_experts"]))
        self.register_buffer("load", torch.zeros(config["n_routed_experts"]), persistent=False)

    def forward(self, x):
        c = self.config
        scores = F.linear(x.float(), self.weight.float()).sigmoid()
        with torch.no_grad():
            ranks = scores + self.e_score_correction_bias
            groups = ranks.view(len(x), c["n_group"], -1)
            best = groups.topk(2, dim=-1).values.sum(-1).topk(c["topk_group"], dim=-1).indices
            kept = torch.zeros(len(x), c["n_group"], dtype=torch.bool, device=x.device).scatter_(1, best, True)
            ranks = groups.masked_fill(~kept[..., None], -math.inf).flatten(1)
            chosen = ranks.topk(c["num_experts_per_tok"], dim=-1).indices
            if self.training:
                self.load += torch.bincount(chosen.flatten(), minlength=len(self.load))
        weights = scores.gather(1, chosen)
        weights = weights / (weights.sum(-1, keepdim=True) + 1e-20) * c["routed_scaling_factor"]
        return chosen, weights

    @torch.no_grad()
    def balance(self, rate):
        """Moves the bias towards experts that had less than their share since the last call."""
        self.e_score_correction_bias += rate * (self.load.mean() - self.load).sign()
        self.load.zero_()


class Mixture(nn.Module):
    def __init__(self, config):
        super().__init__()
        hidden, width = config["hidden_size"], config["moe_intermediate_size"]
        self.gate = Router(config)
        self.experts = nn.ModuleList(Gated(hidden, width) for _ in range(config["n_routed_experts"]))
        self.shared_experts = Gated(hidden, width * config["n_shared_experts"])

    def forward(self, x):
        chosen, weights = self.gate(x)
        order = chosen.flatten().argsort(stable=True)
        rows = order // chosen.shape[1]
        counts = torch.bincount(chosen.flatten(), minlength=len(self.experts)).tolist()
        parts = x.index_select(0, rows).split(counts)
        mixed = torch.cat([expert(part) for expert, part in zip(self.experts, parts)])
        mixed = mixed * weights.flatten().index_select(0, order)[:, None].to(mixed.dtype)
        out = self.shared_experts(x)
        return out.index_add(0, rows, mixed.to(out.dtype))


class Attention(nn.Module):
    """MLA, decompressed: training needs no cache."""

    def __init__(self, config):
        super().__init__()
        c = config
        self.heads, self.plain, self.turned = c["num_attention_heads"], c["qk_nope_head_dim"], c["qk_rope_head_dim"]
        self.value, self.latent, hidden = c["v_head_dim"], c["kv_lora_rank"], c["hidden_size"]
        self.q_a_proj, self.q_a_layernorm = Linear(hidden, c["q_lora_rank"]), Norm(c["q_lora_rank"])
        self.q_b_proj = Linear(c["q_lora_rank"], self.heads * (self.plain + self.turned))
        self.kv_a_proj_with_mqa = Linear(hidden, self.latent + self.turned)
        self.kv_a_layernorm = Norm(self.latent)
        self.kv_b_proj = Linear(self.latent, self.heads * (self.plain + self.value))
        self.o_proj = Linear(self.heads * self.value, hidden)
        yarn = c["rope_scaling"]
        stretch = 0.1 * yarn["mscale_all_dim"] * math.log(yarn["factor"]) + 1.0
        self.scale = stretch * stretch / math.sqrt(self.plain + self.turned)

    def forward(self, x, cos, sin):
        batch, length, _ = x.shape
        query = self.q_b_proj(self.q_a_layernorm(self.q_a_proj(x)).to(x.dtype))
        query = query.view(batch, length, self.heads, -1).transpose(1, 2)
        latent, key = self.kv_a_proj_with_mqa(x).split([self.latent, self.turned], dim=-1)
        both = self.kv_b_proj(self.kv_a_layernorm(latent).to(x.dtype))
        both = both.view(batch, length, self.heads, -1).transpose(1, 2)
        keys, values = both.split([self.plain, self.value], dim=-1)
        plain, turned = query.split([self.plain, self.turned], dim=-1)
        turned, key = turn(turned, cos, sin), turn(key[:, None], cos, sin)
        query = torch.cat([plain, turned.to(plain.dtype)], dim=-1)
        keys = torch.cat([keys, key.to(keys.dtype).expand(-1, self.heads, -1, -1)], dim=-1)
        # The fused kernel wants values as wide as keys.
        values = F.pad(values, (0, self.plain + self.turned - self.value))
        out = F.scaled_dot_product_attention(query, keys, values, is_causal=True, scale=self.scale)[..., : self.value]
        return self.o_proj(out.transpose(1, 2).reshape(batch, length, -1))


def turn(x, cos, sin):
    """Turns neighbouring pairs. The result stands in halves, as queries and keys alike are reordered."""
    even, odd = x[..., 0::2].float(), x[..., 1::2].float()
    return torch.cat([even * cos - odd * sin, odd * cos + even * sin], dim=-1)


class Layer(nn.Module):
    def __init__(self, config, index):
        super().__init__()
        hidden = config["hidden_size"]
        self.input_layernorm, self.post_attention_layernorm = Norm(hidden), Norm(hidden)
        self.self_attn = Attention(config)
        dense = index < config["first_k_dense_replace"]
        self.mlp = Gated(hidden, config["intermediate_size"]) if dense else Mixture(config)

    def forward(self, x, cos, sin):
        x = x + self.self_attn(self.input_layernorm(x), cos, sin)
        rows = self.post_attention_layernorm(x).flatten(0, 1)
        return x + self.mlp(rows).view_as(x)


class Trunk(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.embed_tokens = nn.Embedding(config["vocab_size"], config["hidden_size"])
        self.layers = nn.ModuleList(Layer(config, index) for index in range(config["num_hidden_layers"]))
        self.norm = Norm(config["hidden_size"])


class Model(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.model = Trunk(config)
        self.lm_head = Linear(config["hidden_size"], config["vocab_size"])
        self.register_buffer("frequencies", frequencies(config), persistent=False)
        for name, weight in self.named_parameters():
            if weight.ndim == 2:
                deep = name.endswith(("o_proj.weight", "down_proj.weight"))
                spread = 1.0 / math.sqrt(weight.shape[1]) if "embed" not in name else 0.5
                nn.init.normal_(weight, std=spread / math.sqrt(2 * config["num_hidden_layers"]) if deep else spread)
        nn.init.normal_(self.lm_head.weight, std=0.02)

    @torch.no_grad()
    def place_digits(self, ids):
        """Lays the digits' embeddings on circles, so that adding two of them is a turn: tables are then learned sooner."""
        turns = torch.outer(torch.arange(10).float(), torch.arange(1, 6).float()) * (2 * math.pi / 10)
        self.model.embed_tokens.weight[ids, :10] = torch.cat([turns.cos(), turns.sin()], dim=1)

    def hidden(self, tokens):
        angles = torch.outer(torch.arange(tokens.shape[1], device=tokens.device).float(), self.frequencies)
        cos, sin = angles.cos(), angles.sin()
        x = self.model.embed_tokens(tokens)
        for layer in self.model.layers:
            x = layer(x, cos, sin)
        return self.model.norm(x)

    def forward(self, tokens):
        return self.lm_head(self.hidden(tokens))

    def loss(self, tokens, counted):
        """Mean cross-entropy, in nats, of the tokens after the rows that `counted` marks."""
        rows = self.hidden(tokens[:, :-1]).flatten(0, 1)
        wanted = counted[:, 1:].flatten().nonzero().squeeze(1)
        logits = self.lm_head(rows.index_select(0, wanted)).float()
        return F.cross_entropy(logits, tokens[:, 1:].flatten().index_select(0, wanted))

    def routers(self):
        return [layer.mlp.gate for layer in self.model.layers if isinstance(layer.mlp, Mixture)]


def frequencies(config):
    """YaRN's frequencies (https://arxiv.org/abs/2309.00071, section 3.2), as DeepSeek's releases compute them."""
    width, base, yarn = config["qk_rope_head_dim"], config["rope_theta"], config["rope_scaling"]
    original = yarn["original_max_position_embeddings"]
    plain = base ** (-torch.arange(0, width, 2).float() / width)

    def dimension(turns):
        return width * math.log(original / (turns * 2 * math.pi)) / (2 * math.log(base))

    low = max(math.floor(dimension(yarn["beta_fast"])), 0)
    high = min(math.ceil(dimension(yarn["beta_slow"])), width - 1)
    ramp = ((torch.arange(width // 2).float() - low) / max(high - low, 0.001)).clamp(0, 1)
    return plain / yarn["factor"] * ramp + plain * (1 - ramp)
