"""The same decoder and step in PyTorch: python -m bench.peers.torch_step TASK (bench/worker.py).

RMSNorm, half-split rotary positions, SwiGLU, grouped heads, tied embedding; fused AdamW. It does
not clip gradients, which ours does; that is in its favour.
"""

import time

import torch
from torch import nn
from torch.nn import functional

from bench.worker import Measure, Task, peak_bytes, resident_bytes, serve, threads


class Block(nn.Module):
    def __init__(self, sizes: dict) -> None:
        super().__init__()
        width, head, ffn = sizes["d_model"], sizes["head_dim"], sizes["d_ff"]
        self.n_kv, self.n_heads = sizes["n_kv_heads"], sizes["n_kv_heads"] * sizes["n_query_groups"]
        self.norm_attn, self.norm_mlp = nn.RMSNorm(width, 1e-5), nn.RMSNorm(width, 1e-5)
        self.query = nn.Linear(width, self.n_heads * head, bias=False)
        self.key = nn.Linear(width, self.n_kv * head, bias=False)
        self.value = nn.Linear(width, self.n_kv * head, bias=False)
        self.out = nn.Linear(self.n_heads * head, width, bias=False)
        self.gate = nn.Linear(width, ffn, bias=False)
        self.up = nn.Linear(width, ffn, bias=False)
        self.down = nn.Linear(ffn, width, bias=False)

    def forward(self, x_BTD, rotation):
        normed_BTD = self.norm_attn(x_BTD)
        query, key, value = (
            part(normed_BTD).unflatten(-1, (heads, -1)).transpose(1, 2)
            for part, heads in (
                (self.query, self.n_heads),
                (self.key, self.n_kv),
                (self.value, self.n_kv),
            )
        )
        heads_BNTH = functional.scaled_dot_product_attention(
            rotate(query, rotation),
            rotate(key, rotation),
            value,
            is_causal=True,
            enable_gqa=self.n_kv != self.n_heads,
        )
        x_BTD = x_BTD + self.out(heads_BNTH.transpose(1, 2).flatten(2))
        normed_BTD = self.norm_mlp(x_BTD)
        return x_BTD + self.down(functional.silu(self.gate(normed_BTD)) * self.up(normed_BTD))


def rotate(x_BNTH, rotation):
    """Heads turned by their positions, first half against second."""
    cos_TH, sin_TH = rotation
    left, right = x_BNTH.chunk(2, -1)
    turned = x_BNTH * cos_TH + torch.cat((-right, left), -1) * sin_TH
    return turned.to(x_BNTH.dtype)


class Decoder(nn.Module):
    def __init__(self, sizes: dict) -> None:
        super().__init__()
        self.embed = nn.Embedding(sizes["vocab_size"], sizes["d_model"])
        nn.init.normal_(self.embed.weight, std=0.02)
        self.blocks = nn.ModuleList(Block(sizes) for _ in range(sizes["n_layers"]))
        self.norm_out = nn.RMSNorm(sizes["d_model"], 1e-5)
        half = torch.arange(sizes["head_dim"] // 2) / (sizes["head_dim"] // 2)
        angles_TH = torch.outer(torch.arange(sizes["context"]), 10_000.0**-half).repeat(1, 2)
        self.register_buffer("cos_TH", angles_TH.cos(), persistent=False)
        self.register_buffer("sin_TH", angles_TH.sin(), persistent=False)

    def forward(self, tokens_BT, targets_BT):
        x_BTD = self.embed(tokens_BT)
        for block in self.blocks:
            x_BTD = block(x_BTD, (self.cos_TH, self.sin_TH))
        logits_BTV = functional.linear(self.norm_out(x_BTD), self.embed.weight)
        return functional.cross_entropy(logits_BTV.flatten(0, 1).float(), targets_BT.flatten())


def set_up(task: Task) -> tuple[Measure, dict]:
    """Seconds of one training step on random windows, and the memory it took."""
    before = resident_bytes()
    torch.set_num_threads(threads())
    torch.manual_seed(0)
    sizes = task["sizes"]
    model = Decoder(sizes)
    n_parameters = sum(parameter.numel() for parameter in model.parameters())
    run = torch.compile(model) if task["compile"] else model
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.1, fused=True)
    ids_BT = torch.randint(sizes["vocab_size"], (task["batch"], sizes["context"] + 1))
    tokens_BT, targets_BT = ids_BT[:, :-1].contiguous(), ids_BT[:, 1:].contiguous()
    half = task["dtype"] == "bfloat16"

    def step():
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            loss = run(tokens_BT, targets_BT)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    def measure():
        started = time.perf_counter()
        for _ in range(task["repeats"]):
            step()
        seconds = (time.perf_counter() - started) / task["repeats"]
        return {"seconds": seconds, "bytes": peak_bytes() - before, "process": peak_bytes()}

    for _ in range(3):
        step()
    return measure, {"parameters": n_parameters}


if __name__ == "__main__":
    serve(set_up)
