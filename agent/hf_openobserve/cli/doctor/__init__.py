"""``hf-openobserve doctor``: one screen that says whether calls are recorded and arrive, and what to do where not.

It must work where nothing else does: each check imports what it needs when it runs, and one that fails is a red line.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING, Dict, Iterator, List, Mapping, Optional, Tuple

import click

from hf_openobserve.cli.doctor import printing
from hf_openobserve.cli.doctor.finding import GREEN, RED, YELLOW, Finding, green, red, yellow

if TYPE_CHECKING:
    from hf_openobserve.cli.doctor.command_line import Target
    from hf_openobserve.cli.doctor.interpreter import Facts
    from hf_openobserve.config.settings import Settings


@click.command("doctor", context_settings={"allow_interspersed_args": False})
@click.option("--strict", is_flag=True, help="Exit status 1 if something is yellow.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def doctor_command(command: Tuple[str, ...], strict: bool, as_json: bool) -> None:
    """Say whether calls would be recorded and arrive in OpenObserve, and what to do where not.

    \b
    hf-openobserve doctor
    hf-openobserve doctor --strict -- opentelemetry-instrument python app.py

    With a COMMAND, also whether that one would be instrumented. It is not run: its interpreter alone is started, with
    its environment and options, and says where it would find what. One test span is sent to the server, under the
    service hf-openobserve: it is no call of a model. Exit status: 0 if nothing is broken, 1 with --strict if something
    is yellow, 2 if something is red.

    \b
    The shape of --json:
    {"level", "status", "findings": [{"section", "level", "subject",
      "sentence", "remedy", "details"}]}
    "level" is green, yellow or red; "details" are texts by name: of a setting
    its "value" and "source", of the test span its "trace_id" and "link".
    """  # noqa: D301 - click looks for the character
    examination = _Examination(list(command), quiet=as_json)
    examination.run()
    findings = [found for _, found in examination.findings]
    status = {RED: 2, YELLOW: 1 if strict else 0, GREEN: 0}[printing.worst_of(findings)]
    if as_json:
        click.echo(printing.as_json(examination.findings, status, examination.masked))
    else:
        examination.screen.end(findings)
    sys.exit(status)


class _Examination:
    """All checks in order, for one environment: that of the command, if there is one."""

    def __init__(self, command: List[str], *, quiet: bool) -> None:
        self.findings: List[Tuple[str, Finding]] = []
        """With the section of each."""
        self.screen = printing.Screen(self.masked)
        self._quiet = quiet
        self._section = "settings"
        self._command = command
        self._cwd = _working_directory()
        self._environ: Dict[str, str] = dict(os.environ)
        """Of the command, once it is known."""
        self._inner_environ = self._environ
        """The same as the wrapper command hands it on, where that stands before the program."""
        self._target: Optional[Target] = None
        self._facts: Optional[Facts] = None
        self._settings: Optional[Settings] = None

    def run(self) -> None:
        """Each line is printed as it is found: some take seconds."""
        if self._command:
            self._take("command", self._resolve())
        with _environment(self._environ):
            self._take("command" if self._command else "installation", self._ask_interpreter())
            self._take("settings", self._check_settings())
            if self._facts is not None:
                self._take("installation", self._check_installation(self._facts))
            if self._settings is not None:
                self._take("outbox", self._check_outbox(self._settings))
                self._take("destination", self._check_destination(self._settings))

    def masked(self, text: str) -> str:
        """The text as it may be shown; a text whose secrets cannot be masked is left out."""
        try:
            from hf_openobserve.cli.doctor import settings

            return settings.masked(self._settings, self._environ, text)
        except Exception as error:  # noqa: BLE001
            return f"left out, since its secrets could not be masked ({type(error).__name__})"

    def _take(self, section: str, findings: Iterator[Finding]) -> None:
        """Print and keep what a check yields. Its own failure is a finding: a broken installation is what it is for."""
        self._section = section
        try:
            for found in findings:
                self._add(found)
        except Exception as error:  # noqa: BLE001
            what = f"this could not be looked at ({type(error).__name__}: {error})"
            self._add(red(section, what, "Install hf-openobserve anew; if that does not help, report this line"))

    def _add(self, found: Finding) -> None:
        if found.level != GREEN and any(found.sentence == known.sentence for _, known in self.findings):
            return  # said already, by the check of the command
        if not self._quiet:
            if not self.findings or self.findings[-1][0] != self._section:
                self.screen.section(self._section)
            self.screen.finding(found)
        self.findings.append((self._section, found))

    # --- The sections ---

    def _resolve(self) -> Iterator[Finding]:
        from hf_openobserve.cli.doctor import command_line

        try:
            target = command_line.resolve(self._command, self._environ, self._cwd)
        except command_line.UnresolvedError as error:
            if error.broken:
                yield red("command", f"{error}", error.remedy)
            else:
                yield yellow("command", f"{error}: whether it would be instrumented is not known", error.remedy)
            return
        self._target, self._environ = target, target.environ
        yield green(
            "command", f"leads to {' -> '.join(target.steps)} (resolved, not run)", interpreter=target.interpreter
        )

    def _ask_interpreter(self) -> Iterator[Finding]:
        from hf_openobserve.cli.doctor import command_line, doors, interpreter

        if self._command and self._target is None:
            return
        path, flags, self._inner_environ = sys.executable, "", self._environ
        if self._target is not None:
            path, flags = self._target.interpreter, self._target.flags
        try:
            if self._target is not None and self._target.wrapper is not None:
                first = command_line.interpreter_of(self._target.wrapper, self._environ, self._cwd)
                wrapper = interpreter.ask(first.interpreter, self._environ, self._cwd, first.flags, imports=False)
                self._inner_environ = doors.preselected(self._environ, wrapper, self._cwd)
            self._facts = facts = interpreter.ask(path, self._inner_environ, self._cwd, flags)
        except (interpreter.ProbeError, command_line.UnresolvedError) as error:
            yield red("interpreter", f"{path} cannot be asked: {error}", "Use a Python of 3.8 or newer that starts")
            return
        if self._target is None:
            return
        through = doors.entrance(facts, self._inner_environ, flags)
        if through.obstacle is not None:
            yield through.obstacle
        elif facts.conflicts or facts.broken:
            what = f"the agent is loaded through {through.door}, and steps back: its packages are broken"
            yield red("instrumented", what, "Do what the lines under installation say")
        else:
            yield green("instrumented", f"yes, through {through.door}", door=through.door)

    def _check_settings(self) -> Iterator[Finding]:
        from hf_openobserve.cli.doctor import settings
        from hf_openobserve.config import settings as settings_module

        script = self._target.script if self._target is not None else None
        script_dir = os.path.dirname(script) if script else None
        cwd = self._cwd if os.path.isdir(self._cwd) else None
        self._settings = settings_module.load(self._environ, script_dir=script_dir, cwd=cwd)
        yield from settings.check(self._settings, self._environ, script_dir, cwd)

    def _check_installation(self, facts: Facts) -> Iterator[Finding]:
        from hf_openobserve.cli.doctor import doors, installation, other_tools

        yield from installation.check(facts)
        yield from doors.check(facts, self._inner_environ)
        yield from other_tools.check(facts)

    def _check_outbox(self, settings: Settings) -> Iterator[Finding]:
        from hf_openobserve.cli.doctor import outbox

        yield from outbox.check(settings)

    def _check_destination(self, settings: Settings) -> Iterator[Finding]:
        from hf_openobserve.cli.doctor import delivery, network

        cut_off = False
        for found in network.check(settings):
            cut_off = cut_off or (found.level == RED and found.subject != network.CLOCK)
            yield found
        if not cut_off:
            yield from delivery.check(settings)


def _working_directory() -> str:
    try:
        return os.getcwd()
    except OSError:  # deleted under us
        return os.sep


@contextlib.contextmanager
def _environment(environ: Mapping[str, str]) -> Iterator[None]:
    """Look at everything as the command would: its environment may name another home, proxy or certificate."""
    before = dict(os.environ)
    _become(environ)
    try:
        yield
    finally:
        _become(before)


def _become(environ: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environ)
