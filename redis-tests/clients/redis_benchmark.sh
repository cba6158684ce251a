#!/bin/sh
# redis-benchmark: every default test of the types that there are, alone and pipelined.
set -eu

tests=ping_inline,ping_mbulk,set,get,incr,lpush,rpush,lpop,rpop,lrange_100,lrange_300,lrange_500,lrange_600,mset
lines=15 # lrange needs a list first: redis-benchmark reports that step as one more.

# benchmark NAME COUNT ARGUMENT …: that many results, each with a rate, and no word of an error.
benchmark() {
    name=$1
    wanted=$2
    shift 2
    out=$BASIN_DIR/benchmark
    if ! redis-benchmark -p "$BASIN_PORT" -q "$@" >"$out" 2>&1; then
        echo "redis_benchmark: $name ended with an error:" >&2
        tr '\r' '\n' <"$out" | tail -n 5 >&2
        exit 1
    fi
    if tr '\r' '\n' <"$out" | grep -i -q 'error\|warning'; then
        echo "redis_benchmark: $name:" >&2
        tr '\r' '\n' <"$out" | grep -i 'error\|warning' >&2
        exit 1
    fi
    got=$(tr '\r' '\n' <"$out" | grep -c 'requests per second, p50')
    if [ "$got" -ne "$wanted" ]; then
        echo "redis_benchmark: $name: $got results, not $wanted" >&2
        tr '\r' '\n' <"$out" >&2
        exit 1
    fi
    echo "ok redis_benchmark $name"
}

benchmark plain "$lines" -t "$tests" -n 3000
benchmark pipelined "$lines" -t "$tests" -n 20000 -P 16
benchmark many_clients "$lines" -t "$tests" -n 5000 -c 200
benchmark random_keys 3 -t set,get,incr -n 20000 -r 100000 -P 8
benchmark large_values 2 -t set,get -n 1000 -d 100000
benchmark threads 2 -t set,get -n 20000 -P 16 --threads 2
benchmark resp3 2 -t set,get -n 2000 -3
benchmark own_command 1 -n 5000 -P 4 -r 1000 rpush list:__rand_int__ element
