"""The group of commands: help in sections, a start page, and a hint for what is not there."""

from __future__ import annotations

import difflib
from typing import Any

import click

from keras_transfer.support.errors import nearest_options
from keras_transfer.support.version import __version__

# What other programs call a command.
_COMMANDS_MEANT = {
    "classify": "predict",
    "compare": "recommend",
    "convert": "export",
    "embed": "features",
    "extract": "features",
    "finetune": "fit",
    "infer": "predict",
    "inspect": "check",
    "list": "models",
    "run": "fit",
    "test": "evaluate",
    "train": "fit",
    "transfer": "fit",
    "validate": "evaluate",
}
_SECTIONS = ("Data", "Network", "Head", "Fine-tuning", "Speed and storage", "Output")


class Option(click.Option):
    """An option that stands in a section of the help: that of its field in the recipe, or by default the last."""

    def __init__(self, *arguments: Any, section: str = _SECTIONS[-1], **attributes: Any) -> None:
        super().__init__(*arguments, **attributes)
        self.section = section


class Command(click.Command):
    """A command with examples in its help, and a hint for an option that it does not have.

    Args:
        example: A whole command after the program's name.
        section_examples: Another for sections of the help, by the section's name.
    """

    def __init__(
        self,
        *arguments: Any,
        example: str = "",
        section_examples: dict[str, str] | None = None,
        **attributes: Any,
    ) -> None:
        super().__init__(*arguments, **attributes)
        self.example = example
        self.section_examples = section_examples or {}

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Name the options that may be meant by one that is not there."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            names = [
                name for option in self.params for name in (*option.opts, *option.secondary_opts) if name[:2] == "--"
            ]
            hint = nearest_options(error.option_name, names)
            raise click.UsageError(f"No such option {error.option_name!r}.{hint}", ctx) from None

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options by section, where any of them belongs to another than the last."""
        sections: dict[str, list[tuple[str, str]]] = {name: [] for name in _SECTIONS}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None and isinstance(parameter, click.Option):
                sections[getattr(parameter, "section", _SECTIONS[-1])].append(record)
        sections = {name: records for name, records in sections.items() if records}
        for name, records in sections.items():
            with formatter.section(name if len(sections) > 1 else "Options"):
                formatter.write_dl(records)
                if name in self.section_examples:
                    _write_example(ctx, formatter, self.section_examples[name])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the example."""
        if self.example:
            formatter.write_paragraph()
            with formatter.indentation():
                _write_example(ctx, formatter, self.example)


def _write_example(ctx: click.Context, formatter: click.HelpFormatter, text: str) -> None:
    # Not wrapped, so that it can be copied.
    formatter.write(f"{'':{formatter.current_indent}}Example: {ctx.find_root().info_name} {text}\n")


class Commands(click.Group):
    """Commands that answer a user's mistake with one line, and an unknown name with the nearest right one."""

    command_class = Command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Name the nearest command for one that is not there."""
        if args and self.get_command(ctx, args[0]) is None:
            words = [*self.list_commands(ctx), *_COMMANDS_MEANT]
            close = difflib.get_close_matches(args[0].lower().replace("-", ""), words, n=1)
            hint = f" Did you mean {_COMMANDS_MEANT.get(close[0], close[0])!r}?" if close else ""
            raise click.UsageError(f"There is no command {args[0]!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what each command does as a whole sentence, which click would cut."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.get_short_help_str(limit=200)) for name, command in commands if command])


_START = """\
keras-transfer: labelled images in, a tested, servable classifier out.

Look your images over before training:
  {program} check photos/
Train (without photos/: on a built-in sample):
  {program} fit photos/ --base mobilenetv2
Measure the model on other images:
  {program} evaluate saved_models/photos-mobilenetv2 more-photos/
Ask it what images show:
  {program} predict saved_models/photos-mobilenetv2 a.jpg folder/
Serve it over HTTP:
  {program} serve saved_models/photos-mobilenetv2 --embedded

photos/ holds one folder per class, or train/, val/ and test/ of such folders.
All commands:   {program} --help
Options of one: {program} fit --help"""


@click.group(
    cls=Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(__version__, prog_name="keras-transfer")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Point it at a folder of labelled images, get back a tested classifier that serves."""
    if ctx.invoked_subcommand is None:
        click.echo(_START.format(program=ctx.info_name))
