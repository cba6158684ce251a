#!/bin/sh
# redis-cli: commands, mass insertion, walks.
set -eu

cli() {
    redis-cli -p "$BASIN_PORT" "$@"
}

# expect NAME EXPECTED ACTUAL
expect() {
    if [ "$2" != "$3" ]; then
        echo "redis_cli: $1: expected '$2', got '$3'" >&2
        exit 1
    fi
    echo "ok redis_cli $1"
}

expect ping PONG "$(cli ping)"
expect set OK "$(cli set greeting 'hello world')"
expect get 'hello world' "$(cli get greeting)"
expect stdin OK "$(printf 'a\0b\nc' | cli -x set binary)"
expect strlen 5 "$(cli strlen binary)"
expect raw "$(printf 'a\0b\nc' | od -c)" "$(cli --raw getrange binary 0 -1 | head -c 5 | od -c)"
expect error 'ERR wrong number of arguments for '"'get'"' command' "$(cli get | tr -d '\n' | sed 's/^(error) //')"
expect exit_code 1 "$(cli -e get >/dev/null 2>&1 && echo 0 || echo 1)"
expect list 'a b c' "$(cli rpush letters a b c >/dev/null && cli lrange letters 0 -1 | tr '\n' ' ' | sed 's/ $//')"
expect json '["a","b","c"]' "$(cli -3 --json lrange letters 0 -1 | tr -d '\n ')"
expect resp3 '(integer) 3' "$(cli -3 --no-raw llen letters)"
expect database 1 "$(cli -n 5 set there x >/dev/null && cli -n 5 dbsize)"
expect database_apart 0 "$(cli exists there)"
expect repeat 10 "$(cli -r 10 incr counter | tail -n 1)"
expect pipe_input 'OK
1' "$(printf 'set k 1\nget k\n' | cli)"

# Mass insertion: 20,000 requests in the protocol itself.
/usr/bin/python3 - >"$BASIN_DIR/mass" <<'PYTHON'
import sys
out = sys.stdout.buffer
for i in range(20000):
    argv = [b"SET", b"mass:%d" % i, b"v" * (i % 100)]
    out.write(b"*%d\r\n" % len(argv))
    for a in argv:
        out.write(b"$%d\r\n%s\r\n" % (len(a), a))
PYTHON
expect pipe 'errors: 0, replies: 20000' "$(cli --pipe <"$BASIN_DIR/mass" | tail -n 1)"
expect pipe_length 99 "$(cli strlen mass:19999)"
expect scan 20000 "$(cli --scan --pattern 'mass:*' | sort -u | wc -l)"
expect scan_pattern 10 "$(cli --scan --pattern 'mass:1999?' | sort -u | wc -l)"
expect bigkeys 0 "$(cli --bigkeys >"$BASIN_DIR/bigkeys" 2>&1; echo $?)"
expect bigkeys_sampled 1 "$(grep -c 'Sampled 20[0-9]* keys in the keyspace' "$BASIN_DIR/bigkeys")"
expect memkeys 0 "$(cli --memkeys >"$BASIN_DIR/memkeys" 2>&1; echo $?)"
expect info 1 "$(cli info server | grep -c '^redis_version:7\.2\.')"
expect help_unknown 'ERR unknown command '"'nope'"', with args beginning with: '"'a'"' ' "$(cli nope a | tr -d '\n')"
