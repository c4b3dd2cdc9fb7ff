"""llama.cpp on an exported GGUF: python -m bench.peers.llama_cpp_replies TASK (bench/worker.py).

Its own server in this process, asked over HTTP; all replies to one prompt are asked for at once.
"""

import json
import time
import urllib.request

import xllamacpp

from bench.worker import Measure, Task, prompt_ids, serve, threads


def set_up(task: Task) -> tuple[Measure, dict]:
    """Seconds of some replies of one length to a prompt."""
    settings = xllamacpp.CommonParams()
    settings.model.path = task["model"]
    settings.n_parallel = task["replies"]
    settings.n_ctx = task["replies"] * (task["prompt"] + task["tokens"] + 8)
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = threads()
    settings.verbosity = -1
    server = xllamacpp.Server(settings)
    turns = 0

    def measure():
        nonlocal turns
        turns += 1
        request = {
            "prompt": prompt_ids(task, turns),
            "n_predict": task["tokens"],
            "n_cmpl": task["replies"],
            "ignore_eos": True,
            "temperature": task["temperature"],
            "top_p": task["top_p"],
            "top_k": 0,
            "min_p": 0,
            "cache_prompt": False,
            "seed": turns,
            "return_tokens": True,
        }
        started = time.perf_counter()
        found = _post(server.listening_address + "/completion", request)
        seconds = time.perf_counter() - started
        rows = found if isinstance(found, list) else [found]
        if [len(row["tokens"]) for row in rows] != [task["tokens"]] * task["replies"]:
            raise ValueError(f"llama.cpp gave replies of {[len(row['tokens']) for row in rows]}")
        return {"seconds": seconds, "tokens": task["tokens"]}

    for _ in range(2):
        measure()
    return measure, {}


def _post(url: str, request: dict):
    headers = {"Content-Type": "application/json"}
    data = json.dumps(request).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data, headers)) as answer:
        return json.loads(answer.read())


if __name__ == "__main__":
    serve(set_up)
