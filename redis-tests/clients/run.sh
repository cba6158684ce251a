#!/bin/sh
# run.sh [WORD …]: real clients against a real server. Each program in here asserts what it expects,
# prints "ok NAME" for each thing that it saw, and exits with 0 only if it saw all of them.
# Words choose programs by name. BASIN_SERVER: another server program than build/release/basin-server.
set -u
here=$(cd "$(dirname "$0")" && pwd)
cd "$here" || exit 1

BASIN_SERVER=${BASIN_SERVER:-$here/../../build/release/basin-server}
BASIN_DIR=$(mktemp -d /tmp/basin-clients-XXXXXX)
# Not from the range of outgoing ports: a client that tries to reconnect while the server is down
# could be given that very port and connect to itself.
BASIN_PORT=$(/usr/bin/python3 - <<'PYTHON'
import random, socket
while True:
    port = random.randrange(12000, 32000)
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            continue
    print(port)
    break
PYTHON
)
export BASIN_SERVER BASIN_DIR BASIN_PORT
trap './server.sh stop; rm -rf "$BASIN_DIR"' EXIT
trap 'exit 1' INT TERM

# The very versions of package-lock.json; again only when that file has changed.
install_packages() {
    if [ ! -f node_modules/.package-lock.json ] ||
        [ package-lock.json -nt node_modules/.package-lock.json ]; then
        npm ci --no-audit --no-fund --loglevel=error
    fi
}

passed=0
failed=0

# run NAME COMMAND …: each on an empty keyspace of a running server.
run() {
    name=$1
    shift
    if [ -n "$words" ]; then
        case " $words " in
        *" $name "*) ;;
        *) return ;;
        esac
    fi
    redis-cli -p "$BASIN_PORT" flushall >/dev/null 2>&1 || {
        ./server.sh kill
        ./server.sh start
        redis-cli -p "$BASIN_PORT" flushall >/dev/null
    }
    timeout 120 "$@"
    code=$?
    if [ "$code" -eq 0 ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED $name (exit code $code)"
    fi
}

words="$*"
./server.sh start || exit 1
install_packages || echo "npm ci failed: the node programs will fail too"
run redis_cli ./redis_cli.sh
run redis_benchmark ./redis_benchmark.sh
run ioredis node ioredis.mjs
run node_redis node node_redis.mjs
run python_redis /usr/bin/python3 python_redis.py
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
