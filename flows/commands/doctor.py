"""`cptflow doctor`: what is set, what is there, what is wrong and how to mend it."""

from __future__ import annotations

import typer

from flows.commands.options import Home, Json


def doctor(home: Home = None, json: Json = False) -> None:
    """Check settings, home, lock, libraries, the current snapshot and Prefect. Ends with 1 where something is wrong."""
    from dataclasses import asdict

    from flows import settings, terminal
    from flows.checkup import examine

    findings = examine(settings.load(home=home))
    wrong = [finding for finding in findings if not finding.good]
    if json:
        terminal.document({"healthy": not wrong, "findings": [asdict(finding) for finding in findings]})
    else:
        rows = [("ok" if finding.good else "WRONG", finding.what, finding.found) for finding in findings]
        terminal.show([terminal.Grid("cptflow doctor", ("", "what", "found"), rows)])
        for finding in wrong:
            terminal.say(f"{finding.what}: {finding.mend}", style="yellow")
    raise typer.Exit(1 if wrong else 0)
