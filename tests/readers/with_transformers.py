"""Does a job (see job.py) with transformers: python with_transformers.py JOB.json ANSWERS.npz"""

import os

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from job import do_job
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

# More threads than free cores wait for each other.
torch.set_num_threads(1)


def load(folder):
    """The model as its own config says, in float32."""
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def logits(task):
    with torch.no_grad():
        return load(task["model"])(torch.tensor(task["ids_BT"])).logits.numpy()


def nats(task):
    """The total negative log-likelihood of every next token within each window."""
    model, total = load(task["model"]), 0.0
    with torch.no_grad():
        for ids_BT in torch.tensor(task["ids_BT"]).split(32):
            rows = model(ids_BT[:, :-1]).logits.double()
            total += torch.nn.functional.cross_entropy(
                rows.flatten(0, 1), ids_BT[:, 1:].flatten(), reduction="sum"
            ).item()
    return total


def greedy(task):
    """The new ids after prompts of one length; rows end with the end mark or at the limit."""
    ids_BT = torch.tensor(task["ids_BT"])
    made_BT = load(task["model"]).generate(
        ids_BT,
        attention_mask=torch.ones_like(ids_BT),
        do_sample=False,
        max_new_tokens=task["limit"],
        suppress_tokens=task["barred"],
        begin_suppress_tokens=[task["end"]],
        eos_token_id=task["end"],
        pad_token_id=task["end"],
    )
    return made_BT[:, ids_BT.shape[1] :].tolist()


def tokenize(task):
    tokenizer = AutoTokenizer.from_pretrained(task["model"])
    return [
        {"ids": ids, "text": tokenizer.decode(ids)}
        for text in task["texts"]
        for ids in [tokenizer.encode(text, add_special_tokens=False)]
    ]


def plain(task):
    """The ids of a text as a reader would begin one, with what the tokenizer itself adds."""
    return AutoTokenizer.from_pretrained(task["model"])(task["text"])["input_ids"]


def chat(task):
    tokenizer = AutoTokenizer.from_pretrained(task["model"])
    made = tokenizer.apply_chat_template(task["messages"], add_generation_prompt=True)
    return list(made["input_ids"])


def make(task):
    """A random Llama is in the folder, gains far from 1; its logits come back."""
    torch.manual_seed(task["seed"])
    model = LlamaForCausalLM(LlamaConfig(**task["config"])).eval()
    with torch.no_grad():
        for name, value in model.named_parameters():
            value.copy_(torch.randn_like(value) * 0.1 + ("norm" in name))
    model = model.to(getattr(torch, task["dtype"]))
    model.save_pretrained(task["model"], max_shard_size=task.get("max_shard_size", "1GB"))
    return logits(task)


TASKS = {task.__name__: task for task in (logits, nats, greedy, tokenize, plain, chat, make)}


if __name__ == "__main__":
    do_job(TASKS)
