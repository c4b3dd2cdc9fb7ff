"""Does a job (see job.py) with the real llama.cpp: python with_llama_cpp.py JOB.json ANSWERS.npz

llama.cpp's own server answers, in this process, with its default settings (half-precision cache).
"""

import functools
import json
import urllib.request

import numpy as np
import xllamacpp
from job import do_job

FORCE = 1000.0


@functools.cache
def load(file, context):
    settings = xllamacpp.CommonParams()
    settings.model.path = file
    settings.n_ctx = context
    settings.n_parallel = 1
    settings.warmup = False
    settings.verbosity = -1
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = 1
    return xllamacpp.Server(settings)


def told(task, ids, token, n_probs=1):
    """What the server tells of `token` after a prompt; None for a byte within a character.

    The bias decides that it is drawn; the probabilities told are those before the bias.
    """
    request = {"prompt": ids, "n_predict": 1, "n_probs": n_probs, "logit_bias": [[token, FORCE]]}
    answer = load(task["model"], task["context"]).handle_completions(request)
    logprobs = answer["choices"][0]["logprobs"]
    return logprobs and logprobs["content"][0]


def post(task, path, request):
    data = json.dumps(request).encode()
    headers = {"Content-Type": "application/json"}
    url = load(task["model"], task["context"]).listening_address + path
    with urllib.request.urlopen(urllib.request.Request(url, data, headers)) as answer:
        return json.loads(answer.read())


def distribution(task, ids):
    """The log-probabilities of every next token by id."""
    # The last piece of a vocabulary is a whole character.
    drawn = told(task, ids, task["vocab_size"] - 1, n_probs=task["vocab_size"])
    return {token["id"]: token["logprob"] for token in drawn["top_logprobs"]}


def probs(task):
    """The whole distribution of the token after each prompt."""
    found = np.zeros((len(task["prompts"]), task["vocab_size"]))
    for row, ids in zip(found, task["prompts"], strict=True):
        for token, logprob in distribution(task, ids).items():
            row[token] = np.exp(logprob)
    return found


def nats(task):
    """The total negative log-likelihood of every next token within each window."""
    total = 0.0
    for ids in task["ids_BT"]:
        for length in range(1, len(ids)):
            drawn = told(task, ids[:length], ids[length])
            if drawn is None:
                total -= distribution(task, ids[:length])[ids[length]]
            else:
                assert drawn["id"] == ids[length]
                total -= drawn["logprob"]
    return total


def greedy(task):
    """The new ids after each prompt; rows end with the end mark or at the limit."""

    def draw(ids, limit, barred):
        bias = [[token, False] for token in barred]
        request = {"prompt": ids, "n_predict": limit, "temperature": 0, "logit_bias": bias}
        return post(task, "/completion", {**request, "return_tokens": True})["tokens"]

    rows = []
    for ids in task["ids_BT"]:
        first = draw(ids, 1, [*task["barred"], task["end"]])
        rows.append([*first, *draw([*ids, *first], task["limit"] - 1, task["barred"])])
    return rows


def tokenize(task):
    return [
        {
            "ids": ids,
            "text": post(task, "/detokenize", {"tokens": ids})["content"],
        }
        for text in task["texts"]
        for ids in [post(task, "/tokenize", {"content": text, "parse_special": True})["tokens"]]
    ]


def plain(task):
    return post(task, "/tokenize", {"content": task["text"], "add_special": True})["tokens"]


def chat(task):
    """The answer of llama.cpp's own chat handler, and the prompt that it made of the messages."""
    messages = {"messages": task["messages"]}
    prompt = post(task, "/apply-template", messages)["prompt"]
    request = {"content": prompt, "add_special": False, "parse_special": True}
    server = load(task["model"], task["context"])
    settings = {"temperature": 0, "max_tokens": task["limit"], "logprobs": True}
    answer = server.handle_chat_completions({**messages, **settings})
    return {
        "prompt": post(task, "/tokenize", request)["tokens"],
        "prompt_tokens": answer["usage"]["prompt_tokens"],
        "ids": [token["id"] for token in answer["choices"][0]["logprobs"]["content"]],
        "text": answer["choices"][0]["message"]["content"],
        "finish_reason": answer["choices"][0]["finish_reason"],
    }


TASKS = {task.__name__: task for task in (probs, nats, greedy, tokenize, plain, chat)}


if __name__ == "__main__":
    do_job(TASKS)
