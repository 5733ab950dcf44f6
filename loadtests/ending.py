"""How a run of Locust ends: workers are heard out, and what they found last is written too.

What was lost is known when everybody has left, so it comes last of all. The master by itself gives
its workers half a second for that, and the CSV files nothing. Importing this is enough.
"""

import logging
from typing import Any

import gevent
from gevent.event import Event
from locust import events, stats
from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner

FINISH, FINISHED = "finish", "finished"  # from the master, and from each worker
PATIENCE = 60.0  # seconds for the workers, besides --stop-timeout


class Workers:
    """What the master knows of its workers at the end."""

    def __init__(self, runner: MasterRunner) -> None:
        """Listen to them from now on."""
        self._runner = runner
        self._unfinished: set[str] = set()
        self._finished = Event()
        runner.register_message(FINISHED, self._note)

    def finish(self, patience: float) -> None:
        """Let all of them stop, and wait until they have; at most so many seconds."""
        self._unfinished = {client.id for client in self._runner.clients.all}
        if not self._unfinished:
            return
        self._runner.send_message(FINISH)
        if not self._finished.wait(patience):
            logging.error("%d workers did not finish in time", len(self._unfinished))

    def _note(self, environment: Environment, msg: Any, **_: Any) -> None:
        self._unfinished.discard(msg.node_id)
        if not self._unfinished:
            self._finished.set()


@events.init.add_listener
def prepare(environment: Environment, runner: Any, **_: Any) -> None:
    """Let master and workers hear each other."""
    logging.getLogger("fastchat").setLevel(logging.WARNING)  # no line for each connection
    if isinstance(runner, WorkerRunner):
        runner.register_message(FINISH, finish, concurrent=True)
    elif isinstance(runner, MasterRunner):
        workers = Workers(runner)
        options = environment.parsed_options

        def hear_out(**_: Any) -> None:
            # On its page the master may go on; there it waits by itself.
            if options is not None and options.headless:
                workers.finish(PATIENCE + (environment.stop_timeout or 0.0))

        environment.events.test_stop.add_listener(hear_out)


def finish(environment: Environment, msg: Any, **_: Any) -> None:
    """Stop this worker; what it found is sent when the master lets it go."""
    runner = environment.runner
    assert isinstance(runner, WorkerRunner)
    runner.stop()
    runner.send_message(FINISHED)


@events.quitting.add_listener
def let_files_be_written(environment: Environment, **_: Any) -> None:
    """Let the writer of the CSV files have another turn."""
    options = environment.parsed_options
    if options is not None and options.csv_prefix:
        gevent.sleep(1.5 * stats.CSV_STATS_INTERVAL_SEC)
