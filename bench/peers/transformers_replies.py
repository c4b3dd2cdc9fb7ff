"""transformers on an export: python -m bench.peers.transformers_replies TASK (bench/worker.py)."""

import time

import torch
from transformers import AutoModelForCausalLM

from bench.worker import Measure, Task, prompt_ids, serve, threads


def set_up(task: Task) -> tuple[Measure, dict]:
    """Seconds of some replies of one length to a prompt, by `generate`."""
    torch.set_num_threads(threads())
    torch.manual_seed(0)
    dtype = getattr(torch, task["dtype"])
    model = AutoModelForCausalLM.from_pretrained(task["model"], dtype=dtype).eval()
    turns = 0

    def measure():
        nonlocal turns
        turns += 1
        ids_1T = torch.tensor([prompt_ids(task, turns)])
        started = time.perf_counter()
        made_CT = model.generate(
            ids_1T,
            attention_mask=torch.ones_like(ids_1T),
            do_sample=True,
            temperature=task["temperature"],
            top_p=task["top_p"],
            top_k=0,
            num_return_sequences=task["replies"],
            min_new_tokens=task["tokens"],
            max_new_tokens=task["tokens"],
            pad_token_id=0,
        )
        seconds = time.perf_counter() - started
        return {"seconds": seconds, "tokens": made_CT.shape[1] - ids_1T.shape[1]}

    for _ in range(2):
        measure()
    return measure, {}


if __name__ == "__main__":
    serve(set_up)
