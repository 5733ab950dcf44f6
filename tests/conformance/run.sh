#!/usr/bin/env bash
# Runs the Autobahn WebSocket test suite against the echo server and compares the result with
# expected.json. docs/conformance.md says more.
#
#   tests/conformance/run.sh              all sections that must pass
#   tests/conformance/run.sh '7.*' 2.3    only these cases
#
# PYTHON2       a Python 2.7; otherwise one is searched for
# AUTOBAHN_URL  another echo server, already running, instead of ours
#
# Exit code: 0 as expected, 1 something failed, 2 the suite could not be run.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/../.."
python=.venv/bin/python
suite=$PWD/.venv/autobahn       # survives `make clean`
reports=$PWD/reports/autobahn
limit=1800                      # seconds for the whole run

stop() {
    echo "conformance: $*" >&2
    exit 2
}

find_python2() {
    local candidate
    for candidate in "${PYTHON2:-}" python2.7 python2 \
        "${PYENV_ROOT:-$HOME/.pyenv}"/versions/2.7*/bin/python; do
        # A wrapper of that name may be there without an interpreter behind it.
        if [ -n "$candidate" ] &&
            "$candidate" -c 'import sys, zlib, ssl; assert sys.version_info[:2] == (2, 7)' \
                >/dev/null 2>&1; then
            echo "$candidate"
            return
        fi
    done
    return 1
}

python2=$(find_python2) || stop "no Python 2.7 found, which the suite needs" \
    "(Debian 12 has none; build one and name it with PYTHON2=/path/to/python2.7)"
[ -x "$python" ] || stop "no $python; run 'make build' first"

if ! cmp --silent "$here/requirements.txt" "$suite/requirements.txt"; then
    "$python2" -m pip --version >/dev/null 2>&1 || stop "$python2 has no pip"
    echo "conformance: installing the suite for $python2"
    rm -rf "$suite"
    mkdir -p "$suite"
    if ! "$python2" -m pip install --disable-pip-version-check --no-deps --target "$suite" \
        --requirement "$here/requirements.txt" >"$suite/install.log" 2>&1; then
        tail -n 20 "$suite/install.log" >&2
        stop "the suite could not be installed"
    fi
    cp "$here/requirements.txt" "$suite/requirements.txt"
fi

rm -rf "$reports"
mkdir -p "$reports"
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true' EXIT
url=${AUTOBAHN_URL:-}
if [ -z "$url" ]; then
    port=$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    "$python" -m fastchat.transport.echo --port "$port" >"$reports/server.log" 2>&1 &
    server=$!
    url=ws://127.0.0.1:$port
    for _ in $(seq 100); do
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break
        kill -0 "$server" 2>/dev/null || break
        sleep 0.1
    done
    if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
        cat "$reports/server.log" >&2
        stop "the echo server did not start"
    fi
fi

"$python" "$here/summary.py" spec "$url" "$reports" "$@" >"$reports/spec.json"
echo "conformance: running the suite; its output is in $reports/suite.log"
# The packages of the suite have path files, which only addsitedir reads.
if ! timeout "$limit" "$python2" -W ignore -c "
import site, sys
site.addsitedir('$suite')
from autobahntestsuite.wstest import run
run()" --mode fuzzingclient --spec "$reports/spec.json" >"$reports/suite.log" 2>&1; then
    tail -n 20 "$reports/suite.log" >&2
    stop "the suite did not finish within $limit s"
fi
if [ -n "$server" ] && ! kill -0 "$server" 2>/dev/null; then
    tail -n 20 "$reports/server.log" >&2
    stop "the echo server died"
fi
"$python2" --version 2>&1
"$python" "$here/summary.py" compare "$reports/index.json" "$@"
