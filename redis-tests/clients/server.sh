#!/bin/sh
# server.sh start|kill|stop: the server that the client programs speak to, by its pid.
# BASIN_SERVER is the program, BASIN_DIR its directory (with the file pid in it), BASIN_PORT its port.
set -eu

answers() {
    [ "$(redis-cli -p "$BASIN_PORT" ping 2>/dev/null)" = PONG ]
}

start() {
    "$BASIN_SERVER" --port "$BASIN_PORT" --bind 127.0.0.1 --dir "$BASIN_DIR" \
        >>"$BASIN_DIR/server.log" 2>&1 </dev/null &
    pid=$!
    echo "$pid" >"$BASIN_DIR/pid"
    tries=0
    until answers; do
        tries=$((tries + 1))
        if [ "$tries" -gt 300 ] || ! kill -0 "$pid" 2>/dev/null; then
            echo "the server does not start:" >&2
            tail -n 20 "$BASIN_DIR/server.log" >&2
            exit 1
        fi
        sleep 0.1
    done
}

# Whoever started the server may be gone, so its end is awaited by looking.
end() {
    pid=$(cat "$BASIN_DIR/pid" 2>/dev/null) || return 0
    kill "-$1" "$pid" 2>/dev/null || return 0
    tries=0
    while [ -d "/proc/$pid" ] && [ "$(cut -d' ' -f3 "/proc/$pid/stat" 2>/dev/null)" != Z ]; do
        tries=$((tries + 1))
        if [ "$tries" -gt 200 ]; then
            kill -KILL "$pid" 2>/dev/null || true
        fi
        sleep 0.05
    done
    rm -f "$BASIN_DIR/pid"
}

case ${1:-} in
start) start ;;
kill) end KILL ;;
stop) end TERM ;;
*)
    echo "usage: server.sh start|kill|stop" >&2
    exit 2
    ;;
esac
