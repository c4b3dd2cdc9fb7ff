"""Growing over the wire: a plan with its costs by part, the growth, and its proof."""

import math
from typing import Any

import jax
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from grow.plan import RATIOS, Plan, plan_growth
from model.axes import param_axes, shape_of
from model.config import ModelConfig
from serve.lines import growth_lines
from serve.records import growth_record, plan_record
from serve.session import Session
from serve.web.house import House, result
from serve.web.learner import Job
from serve.web.replies import Refusal, field, read_object
from train.growth import seconds_per_step
from train.memory import available_bytes

PARTS = {"attn": "attention", "mlp": "feed-forward", "embed": "embedding", "head": "head"}


async def plan(house: House, request: Request) -> Response:
    """What a growth would make, and what it costs; nothing is grown."""
    house.origin(request)
    made = _plan(house.session, await read_object(request))
    record = plan_record(made, seconds_per_step(house.session.life))
    # `present`: what a lesson still owes need not be made for a plan.
    each = house.session.present.config.optimizer.state_bytes
    before, after = part_bytes(made.old, each), part_bytes(made.new, each)
    parts = [
        {"part": name, "before": before.get(name, 0), "after": bytes_after}
        for name, bytes_after in after.items()
    ]
    more = {"lines": growth_lines(record), "remark": made.remark, "parts": parts}
    return JSONResponse({**record, **more, "available_bytes": available_bytes()})


async def grow(house: House, request: Request) -> Response:
    """The model is larger and says the same; the proof comes with the answer."""
    house.require_writer()
    wanted = await read_object(request)

    def work(session: Session, job: Job) -> dict[str, Any]:
        del job
        report = session.grow(_plan(session, wanted))
        record = growth_record(report, None, None)
        lines = growth_lines(record)
        house.board.notice("grow", "; ".join(lines), event=report.event)
        return {**record, "lines": lines, "event_id": report.event}

    job = house.start(request, "grow", "growing", work, body=await request.body(), long=True)
    return JSONResponse(await result(job))


def _plan(session: Session, wanted: dict[str, Any]) -> Plan:
    ratios = field(wanted, "ratios", dict, {})
    if not set(ratios) <= set(RATIOS):
        raise Refusal(400, f"ratios are of {', '.join(RATIOS)}; correct them.", "bad_input")
    given = {name: float(field(ratios, name, float)) for name in ratios}
    config, each = session.state.config, session.state.config.optimizer.state_bytes
    ratios = {n: r for n, r in given.items() if r != 1}
    return plan_growth(config.model, ratios, state_bytes=each)


def part_bytes(config: ModelConfig, each: float) -> dict[str, int]:
    """Bytes of weights and moments by part of the model, `each` a parameter; gains together."""
    found: dict[str, int] = {}
    for path, axes in jax.tree.leaves_with_path(param_axes(config)):
        keys = jax.tree_util.keystr(path, simple=True, separator="/").split("/")
        name = next((PARTS[key] for key in keys if key in PARTS), "norms")
        found[name] = found.get(name, 0) + math.ceil(each * math.prod(shape_of(axes, config)))
    return found
