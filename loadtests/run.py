"""``make loadtest``: a short run of each load against servers of its own, with reports.

``reports/loadtest*.html`` and ``*.csv`` are what Locust writes. docs/loadtests.md tells how to run
a long one.

    python -m loadtests.run [--seconds 20] [--users 40] [--connections 1000] [--rate 500]
"""

import argparse
import base64
import os
import subprocess
import sys
from pathlib import Path

from fastchat.bench.private_server import UNLIMITED, PrivateServer, private_database, private_server

REPORTS = Path("reports")
SPARE = 10  # users, so that the last group is whole


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--users", type=int, default=40, help="of locustfile.py")
    parser.add_argument("--connections", type=int, default=1000, help="of fast.py")
    parser.add_argument("--rate", type=int, default=500, help="messages per second of fast.py")
    parser.add_argument("--skip-limits", action="store_true", help="without the documented limits")
    args = parser.parse_args()
    REPORTS.mkdir(exist_ok=True)
    failed = []
    with private_database(max(args.users, args.connections) + SPARE) as (dsn, _):
        for name, options in (
            ("locustfile", ["-u", str(args.users), "-r", str(args.users)]),
            (
                "fast",
                [
                    *("-u", "1", "--rate", str(args.rate), "--connections", str(args.connections)),
                    *("--users-per-worker", str(args.connections)),
                ],
            ),
        ):
            with private_server(dsn, UNLIMITED) as server:
                if locust(server, name, [*options, "-t", f"{args.seconds}s"]):
                    failed.append(name)
    if not args.skip_limits:
        print("\n== documented limits ==", flush=True)
        if subprocess.run([sys.executable, "-m", "loadtests.documented_limits"]).returncode:
            failed.append("documented_limits")
    print(f"Reports: {REPORTS}/loadtest_*.html, {REPORTS}/loadtest_*.csv")
    if failed:
        print(f"Failed: {', '.join(failed)}")
    return 1 if failed else 0


def locust(server: PrivateServer, name: str, options: list[str]) -> int:
    """Run one of the locustfiles; return its exit code, which counts failures."""
    report = REPORTS / f"loadtest_{name}"
    print(f"\n== {name} ==", flush=True)
    command = [
        *(sys.executable, "-m", "locust", "-f", f"loadtests/{name}.py", "--headless"),
        *("--host", server.url, "--html", f"{report}.html", "--csv", str(report)),
        *("--only-summary", "--stop-timeout", "30", "--loglevel", "WARNING"),
        *options,
    ]
    environ = os.environ | {"JWT_SECRET": base64.b64encode(server.secret).decode()}
    return subprocess.run(command, env=environ).returncode


if __name__ == "__main__":
    sys.exit(main())
