"""An event-loop process: `python -m maypacs_node.web`, run in DATA/run by the supervisor.

Several share the public port (SO_REUSEPORT). SIGTERM: no new connections, those under way get a few seconds.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server

from maypacs.errors import MayPACSError
from maypacs.runtime import Runtime
from maypacs_node import notifications
from maypacs_node.app import LARGEST_BODY, Host, HostSettings
from maypacs_node.asgi import Exchange
from maypacs_node.blobs import Blobs
from maypacs_node.room import Room
from maypacs_node.static import Dashboard
from maypacs_node.storage import Storage, StorageSettings
from maypacs_node.uploads import Uploads

GRACE_SECONDS = 3.0


async def serve() -> None:
    runtime = Runtime.from_environment()
    settings = runtime.settings

    def table_is_up() -> bool:
        try:
            runtime.index.get("health", "0")
        except MayPACSError:
            return False
        return True

    def is_known(exchange: Exchange) -> bool:
        try:
            runtime.gatekeeper.authenticate(dict(exchange.headers), exchange.client)
        except MayPACSError:
            return False
        return True

    def stored(key: str) -> None:
        notifications.nudge("ingest.sock", key)

    reached = StorageSettings(
        settings.s3_endpoint or "", os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
    )
    async with Storage(reached) as storage:
        host = Host(
            HostSettings(
                limits=settings.limits,
                behind_proxy=os.environ.get("MAYPACS_NODE_BEHIND_PROXY") == "1",
                largest_body=int(os.environ.get("MAYPACS_NODE_BODY_BYTES") or LARGEST_BODY),
            ),
            storage=storage,
            blobs=Blobs(storage, bucket=settings.archive_bucket, secret=bytes.fromhex(runtime.secrets["blob_key"])),
            uploads=Uploads(
                storage,
                bucket=settings.inbox_bucket,
                secret=bytes.fromhex(runtime.secrets["upload_key"]),
                stored=stored,
            ),
            dashboard=Dashboard(Path(os.environ["MAYPACS_NODE_DASHBOARD"])),
            table_is_up=table_is_up,
            archive_bucket=settings.archive_bucket,
            has_room=Room.of(Path()).takes_more,
            is_known=is_known,
        )
        server = Server(
            host,
            address=os.environ["MAYPACS_NODE_HOST"],
            port=int(os.environ["MAYPACS_NODE_PORT"]),
            interface=Interfaces.ASGINL,
            http=HTTPModes.http1,
            http1_settings=HTTP1Settings(header_read_timeout=30_000),
            websockets=False,
            backlog=1024,
            log_enabled=False,
        )

        def stop() -> None:
            server.stop()  # type: ignore[no-untyped-call]
            # Somebody may read one byte a second for ever.
            asyncio.get_running_loop().call_later(GRACE_SECONDS, _leave)

        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop)
        await server.serve()


def _leave() -> None:
    sys.stdout.flush()
    os._exit(0)


def main() -> None:
    # One line a request: whole lines, written when a few are there.
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    asyncio.run(serve())


if __name__ == "__main__":
    main()
