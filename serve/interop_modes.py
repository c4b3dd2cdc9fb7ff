"""What --mode=export and --mode=import do."""

from pathlib import Path

from model.axes import count_parameters
from serve.flags import Options
from serve.output import Output
from serve.records import size_name
from train.flat_tree import tree_digest
from train.life import open_life
from train.replay import restore

# The libraries of the formats are imported only when a mode needs them.


def export_mode(options: Options, output: Output) -> int:
    """The weights are in a new folder for other programs."""
    from serve.export import export_model

    if options.to is None:
        raise ValueError("--mode=export writes into a new folder, got none; name it with --to.")
    with open_life(options.folder, read_only=True, store=options.store_config) as life:
        state, _ = restore(life, output.say)
        exported = export_model(
            life,
            state,
            Path(options.to).expanduser(),
            format_=options.format or "huggingface",
            dtype=options.dtype or "f32",
            context=options.dimensions.get("context"),
        )
    name, n_bytes = size_name(exported.parameters), sum(exported.files.values())
    output.done(
        {"event": "export", **exported._asdict()},
        f"Exported {name} parameters as {exported.format} ({exported.dtype}, "
        f"{exported.context} tokens of context, {n_bytes:,} bytes) to {exported.to}.",
    )
    return 0


def import_mode(options: Options, output: Output) -> int:
    """A Llama made elsewhere is a model folder."""
    from serve.importing import import_model

    source = options.values["from"]
    if source is None:
        raise ValueError("--mode=import reads a folder, got none; name it with --from.")
    with import_model(
        Path(source).expanduser(),
        options.folder,
        dtype=options.dtype or "bfloat16",
        moments=options.moments or "float32",
        seed=options.seed or 0,
        context=options.dimensions.get("context"),
    ) as life:
        state, _ = restore(life)
        model = state.config.model
        record = {
            "event": "import",
            "from": str(source),
            "workdir": str(options.folder),
            "parameters": count_parameters(model),
            "context": model.context,
            "sha256": tree_digest(state.train),
        }
    output.done(
        record,
        f"A model of {size_name(record['parameters'])} parameters from {source} lives in "
        f"{options.folder} now.",
    )
    return 0
