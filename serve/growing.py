"""--mode=grow: flags to a plan, the plan shown or carried out."""

from grow.plan import Plan, plan_growth
from model.config import SIZES, new_config
from serve.flags import Options
from serve.output import Output
from serve.records import growth_record, plan_record
from serve.session import Session
from train.growth import seconds_per_step


def grow_session(session: Session, options: Options, output: Output) -> None:
    """The model is as large as the flags say, or with --dry_run the plan was shown."""
    plan = _plan(session, options)
    if plan.remark:
        output.say(plan.remark)
    if options.dry_run:
        output.growth(plan_record(plan, seconds_per_step(session.life)))
        return
    before = session.held_out() if options.noise else None
    report = session.grow(plan, options.noise)
    after = session.held_out() if options.noise else None
    output.growth(growth_record(report, before, after))


def _plan(session: Session, options: Options) -> Plan:
    sizes = dict(options.sizes)
    if options.size is not None:
        named = new_config(options.size)
        sizes = {name: getattr(named, name) for name in SIZES[options.size]} | sizes
    if options.context_tokens is not None:
        sizes["context"] = options.context_tokens
    config = session.state.config
    return plan_growth(
        config.model, options.ratios, sizes, state_bytes=config.optimizer.state_bytes
    )
