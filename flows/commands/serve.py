"""`cptflow serve`: Prefect on this machine, with its server, its UI and the schedule."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from flows.commands.options import Home

if TYPE_CHECKING:
    from pathlib import Path

    from flows.prefect_serving import Deployments


def serve(
    inputs: Annotated[
        list[str] | None,
        typer.Argument(metavar="INPUT", help="What each run lands, as `cptflow run` takes it.", show_default=False),
    ] = None,
    crawl: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SOURCE", help="A source to crawl before each run; again for another.", show_default=False
        ),
    ] = None,
    now: Annotated[bool, typer.Option("--now", help="Run once right away, too.")] = False,
    cron: Annotated[str, typer.Option(help="When to run, as five cron fields.")] = "0 6 * * 1",
    timezone: Annotated[str, typer.Option(help="Time zone of the cron fields.")] = "UTC",
    port: Annotated[
        int | None,
        typer.Option(help="Port of server and UI on loopback.  [default: 4200, else a free one]", show_default=False),
    ] = None,
    home: Home = None,
    engine: Annotated[str | None, typer.Option(help="inline or processes.", show_default=False)] = None,
    workers: Annotated[int | None, typer.Option(help="Processes of the pool.", show_default=False)] = None,
) -> None:
    """Run the pipeline on a schedule, with Prefect's server and UI on loopback, until Ctrl-C or SIGTERM.

    Everything that Prefect keeps lies in HOME/prefect, or in the PostgreSQL database that
    PREFECT_SERVER_DATABASE_CONNECTION_URL names. One run at a time; nothing is sent to Prefect's makers.
    """
    from flows import server, settings
    from flows.crawling import definition_of
    from flows.home import folder_of
    from flows.terminal import tell
    from raw.inputs import check_input

    chosen = settings.load(home=home, engine=engine, workers=workers)
    for name in inputs or []:
        check_input(name)
    for source in crawl or []:
        definition_of(source, chosen)
    if file := settings.config_file():
        os.environ[settings.CONFIG_VARIABLE] = str(file.resolve())  # whatever folder Prefect starts a run in
    folder = folder_of(chosen.home)
    server.state_folder(folder).mkdir(parents=True, exist_ok=True)
    with server.alone(folder):
        port = server.choose_port(port)
        os.environ.update(server.environment(folder, port))
        from flows import prefect_serving  # imports Prefect, which reads the environment

        deployments = prefect_serving.deployments(inputs or [], crawl or [], chosen, cron, timezone)
        _serve(deployments, folder, port, now, f"Schedule: {cron} ({timezone}), home {chosen.home}. Ctrl-C ends it.")
    tell("Ended; Prefect's server too.")


def _serve(deployments: Deployments, folder: Path, port: int, now: bool, told: str) -> None:
    from flows import prefect_serving, server
    from flows.terminal import say, tell

    signal.signal(signal.SIGTERM, _end)
    process = server.start(folder, port)
    try:
        tell(f"Starting Prefect's server on {server.HOST}:{port} (this takes 15 to 30 s) ...")
        seconds = server.wait_until_healthy(process, folder, port)
        tell(f"Prefect's server answers after {seconds:.0f} s; its log is {server.log_file(folder)}.")
        say(f"Prefect UI: http://{server.HOST}:{port}")
        prefect_serving.register_automation()
        if died := prefect_serving.end_what_died():
            tell(f"Marked as crashed: {died} runs that an earlier `cptflow serve` left behind.")
        say(told)
        prefect_serving.serve(deployments, process, now)
        if process.poll() is not None:
            raise server.ServerFailed(f"ended by itself (exit code {process.returncode})", server.log_file(folder))
    finally:
        server.stop(process)


def _end(signum: int, frame: object) -> NoReturn:
    raise SystemExit(128 + signum)
