"""The command line in this process, for tests."""

from keras_transfer import commands


def run(*arguments, capsys):
    """Run the command line in this process; return exit code, output and errors."""
    code = 0
    try:
        commands.main([str(argument) for argument in arguments])
    except SystemExit as stop:
        code = stop.code or 0
    captured = capsys.readouterr()
    return code, captured.out, captured.err
