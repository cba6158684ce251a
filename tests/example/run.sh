#!/bin/sh
# The example of the embeddable engine: two runs, and the second knows of the first.
set -e
cd "$(dirname "$0")/../.."
dir=$(mktemp -d /tmp/basin-embed-XXXXXX)
trap 'rm -rf "$dir"' EXIT
first=$(build/release/tests/example/embed "$dir")
second=$(build/release/tests/example/embed "$dir")
[ "$first" = "done: run 1" ] && [ "$second" = "done: run 2" ] && echo "1 passed, 0 failed"
