"""redis-py of Debian: types of replies, pipelines, binary values, iterators, reconnecting."""
import os
import subprocess
import time

import redis

PORT = int(os.environ["BASIN_PORT"])
client = redis.Redis(port=PORT, retry_on_timeout=True)


def server(what):
    subprocess.run(["./server.sh", what], check=True)


def raises(kind, text, call, *arguments):
    try:
        call(*arguments)
    except kind as error:
        assert text in str(error), str(error)
        return
    raise AssertionError(f"no {kind.__name__}: {text}")


def strings():
    assert client.set("s", b"\x00\xff value", ex=1000, nx=True) is True
    assert client.set("s", "x", nx=True) is None
    assert client.get("s") == b"\x00\xff value"
    assert 990 < client.ttl("s") <= 1000
    assert client.set("s", "new", keepttl=True, get=True) == b"\x00\xff value"
    assert client.incr("n", 5) == 5 and client.decr("n") == 4
    assert client.incrbyfloat("n", 0.25) == 4.25
    assert client.mset({"a": 1, "b": 2}) is True
    assert client.msetnx({"a": 1, "z": 2}) is False
    assert client.mget("a", "b", "absent") == [b"1", b"2", None]
    assert client.setrange("r", 5, "x") == 6 and client.get("r") == b"\0\0\0\0\0x"
    assert client.getset("a", "9") == b"1" and client.getdel("a") == b"9"
    assert client.getex("b", px=100000) == b"2" and client.pttl("b") > 90000
    client.mset({"lcs1": "ohmytext", "lcs2": "mynewtext"})
    assert client.execute_command("LCS", "lcs1", "lcs2") == b"mytext"


def lists():
    assert client.rpush("l", *range(1000)) == 1000
    assert client.lrange("l", 0, 2) == [b"0", b"1", b"2"]
    assert client.lpop("l", 2) == [b"0", b"1"] and client.rpop("l") == b"999"
    assert client.linsert("l", "after", "500", "x") == 998
    assert client.lpos("l", "x") == 499 and client.lpos("l", "no") is None
    assert client.lset("l", 0, "first") is True and client.lindex("l", 0) == b"first"
    assert client.lmove("l", "m", "LEFT", "RIGHT") == b"first"
    assert client.lmpop(2, "none", "m", direction="LEFT") == [b"m", [b"first"]]
    assert client.lrem("l", 0, "x") == 1 and client.ltrim("l", 0, 9) is True
    assert client.llen("l") == 10


def keys():
    assert client.expire("l", 5000) is True and client.persist("l") is True
    assert client.expireat("l", 5000000000) is True and client.expiretime("l") == 5000000000
    assert client.copy("l", "copy") is True and client.rename("copy", "moved") is True
    assert client.type("moved") == b"list" and client.exists("moved", "moved") == 2
    assert client.object("encoding", "moved") in (b"listpack", b"quicklist")
    assert client.unlink("moved") == 1 and client.touch("l") == 1
    client.set("short", 1, px=50)
    time.sleep(0.15)
    assert client.get("short") is None


def pipelines():
    with client.pipeline(transaction=False) as pipe:
        for i in range(5000):
            pipe.set(f"p:{i}", i).get(f"p:{i}")
        replies = pipe.execute()
    assert replies[1::2] == [b"%d" % i for i in range(5000)]
    with client.pipeline(transaction=False) as pipe:
        pipe.set("word", "x").incr("word").get("word")
        replies = pipe.execute(raise_on_error=False)
    assert replies[0] is True and isinstance(replies[1], redis.ResponseError) and replies[2] == b"x"


def iterators():
    assert len(set(client.scan_iter("p:*", count=77))) == 5000
    assert len(client.keys("p:49*")) == 111
    assert client.dbsize() >= 5000


def chunks():
    assert client.execute_command("CHUNK.APPEND", "c", b"\0one", "two", b"\0one") == 2
    digests = client.execute_command("CHUNK.DIGESTS", "c", 0, -1)
    assert [client.execute_command("CHUNK.GET", "c", d) for d in digests] == [b"\0one", b"two"]
    assert client.execute_command("CHUNK.HAS", "c", digests[0]) == 1


def sessions():
    assert client.client_setname("py") and client.client_getname() in ("py", b"py")
    assert any(row["name"] == "py" for row in client.client_list())
    assert client.config_get("maxmemory")["maxmemory"] == "0"
    assert client.info("server")["redis_version"].startswith("7.2")
    assert client.echo("x") == b"x" and client.time()[0] > 1600000000
    other = redis.Redis(port=PORT, db=7, decode_responses=True)
    assert other.set("só", "ñ") and other.get("só") == "ñ" and client.exists("só") == 0
    assert other.flushdb() is True


def errors():
    raises(redis.ResponseError, "WRONGTYPE", client.incr, "l")
    raises(redis.ResponseError, "unknown command", client.execute_command, "NOPE")
    raises(redis.ResponseError, "wrong number of arguments for 'set' command", client.execute_command, "SET", "a")


def reconnects_after_kill():
    client.set("before", "kept")
    server("kill")
    raises(redis.ConnectionError, "", client.get, "before")
    server("start")
    assert client.get("before") == b"kept" and client.llen("l") == 10


for test in (strings, lists, keys, pipelines, iterators, chunks, sessions, errors, reconnects_after_kill):
    test()
    print(f"ok python_redis {test.__name__}")
