"""The life of a worker process: an event loop with one ``Server`` in it, until SIGTERM."""

import asyncio
import gc
import logging
import signal
import ssl
from collections.abc import Mapping
from typing import Any

import uvloop

from fastchat.config import Config
from fastchat.host import Place
from fastchat.server import Server
from fastchat.store.backend import BackendTables
from fastchat.supervisor.processes import Report, StartError
from fastchat.telemetry import logs

READY = b"ready"
# Objects until the collector looks at the young ones. A batch makes thousands that live a few
# milliseconds; with the default of 700 it took a tenth of the time of a worker.
YOUNG = 10_000

log = logging.getLogger("fastchat")


def run(
    config: Config,
    arguments: Mapping[str, Any],
    tables: BackendTables,
    place: Place,
    report: Report,
) -> int:
    """Serve until SIGTERM, however often it comes; return the exit code.

    Args:
        config: The settings, with this worker's share of the database connections.
        arguments: Of ``asyncpg.connect``.
        tables: What the main backend's tables look like.
        place: Which worker this is.
        report: Called with ``READY`` once connections are accepted.

    Raises:
        StartError: it cannot serve.
    """
    logs.setup(config.log_level, config.log_format, worker=place.worker)
    uvloop.run(_serve(config, arguments, tables, place, report))
    return 0


async def _serve(
    config: Config,
    arguments: Mapping[str, Any],
    tables: BackendTables,
    place: Place,
    report: Report,
) -> None:
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    server = Server(config, arguments, tables, place)
    try:
        # Everything that connects this worker with the others begins in here, before the port.
        await server.start()
        # What lives from here on lives for ever; the collector need not look at it again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(YOUNG, *gc.get_threshold()[1:])
        # Before the report, upon which the one before may say that it drains.
        log.info("ready", extra={"run": place.run})
        report(READY)
        await stopped.wait()
        log.info("draining")
    except ssl.SSLError as error:
        raise StartError(f"TLS_CERT, TLS_KEY or TLS_CA cannot be used: {error}") from None
    except OSError as error:
        raise StartError(f"HOST={config.host}, PORT={config.port}: {error.strerror}") from None
    finally:
        await server.stop()
    log.info("drained")
