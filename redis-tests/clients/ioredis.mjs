// ioredis: pipelines, binary values, streams of SCAN, errors, reconnecting after kill -9.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { Redis } from 'ioredis';

const port = Number(process.env.BASIN_PORT);
const redis = new Redis({ port, host: '127.0.0.1', retryStrategy: () => 50, maxRetriesPerRequest: null });

function server(what) {
    execFileSync('./server.sh', [what], { stdio: ['ignore', 'inherit', 'inherit'] });
}

const tests = {
    async strings() {
        assert.equal(await redis.set('s', 'value', 'EX', 1000, 'NX'), 'OK');
        assert.equal(await redis.set('s', 'other', 'NX'), null);
        assert.equal(await redis.get('s'), 'value');
        const ttl = await redis.ttl('s');
        assert.ok(ttl > 990 && ttl <= 1000);
        assert.deepEqual(await redis.mget('s', 'absent'), ['value', null]);
        assert.equal(await redis.incrby('n', 41), 41);
        assert.equal(await redis.incrbyfloat('n', '0.5'), '41.5');
        assert.equal(await redis.append('s', '!'), 6);
        assert.equal(await redis.getrange('s', 0, 2), 'val');
        assert.equal(await redis.getdel('s'), 'value!');
    },
    async binary() {
        const all = Buffer.from(Array.from({ length: 256 * 300 }, (_, i) => (i * 7 + (i >> 8)) & 255));
        const key = Buffer.from([0, 255, 13, 10, 36, 42]);
        await redis.set(key, all);
        assert.ok(all.equals(await redis.getBuffer(key)));
        assert.equal(await redis.strlen(key), all.length);
        await redis.rpush('blist', all, Buffer.alloc(0));
        const list = await redis.lrangeBuffer('blist', 0, -1);
        assert.ok(all.equals(list[0]) && list[1].length === 0);
    },
    async lists() {
        await redis.rpush('l', ...Array.from({ length: 3000 }, (_, i) => `e${i}`));
        assert.equal(await redis.llen('l'), 3000);
        assert.equal(await redis.lindex('l', -1), 'e2999');
        assert.deepEqual(await redis.lrange('l', 1000, 1002), ['e1000', 'e1001', 'e1002']);
        assert.equal(await redis.linsert('l', 'BEFORE', 'e1500', 'new'), 3001);
        assert.equal(await redis.lpos('l', 'new'), 1500);
        assert.equal(await redis.lmove('l', 'l2', 'LEFT', 'RIGHT'), 'e0');
        assert.deepEqual(await redis.lmpop(2, 'nope', 'l', 'LEFT', 'COUNT', 2), ['l', ['e1', 'e2']]);
        assert.deepEqual(await redis.rpop('l', 2), ['e2999', 'e2998']);
    },
    async expiry() {
        await redis.set('x', '1', 'PX', 60);
        assert.equal(await redis.exists('x'), 1);
        await new Promise((done) => setTimeout(done, 150));
        assert.equal(await redis.get('x'), null);
        await redis.set('y', '1');
        assert.equal(await redis.pexpire('y', 5000000, 'GT'), 0);
        assert.equal(await redis.expireat('y', 5000000000), 1);
        assert.equal(await redis.expiretime('y'), 5000000000);
        assert.equal(await redis.persist('y'), 1);
        assert.equal(await redis.pttl('y'), -1);
    },
    async pipeline() {
        const pipeline = redis.pipeline();
        for (let i = 0; i < 5000; i++) {
            pipeline.set(`p:${i}`, `v${i}`).get(`p:${i}`);
        }
        pipeline.lpush('p:0', 'wrong');
        const replies = await pipeline.exec();
        assert.equal(replies.length, 10001);
        for (let i = 0; i < 5000; i++) {
            assert.deepEqual(replies[2 * i + 1], [null, `v${i}`]);
        }
        assert.match(replies[10000][0].message, /^WRONGTYPE /);
    },
    async scan_stream() {
        const seen = new Set();
        for await (const keys of redis.scanStream({ match: 'p:*', count: 100 })) {
            keys.forEach((key) => seen.add(key));
        }
        assert.equal(seen.size, 5000);
    },
    async chunks() {
        const digestKnown = await redis.call('CHUNK.APPEND', 'c', 'one', 'two', 'one', Buffer.alloc(100000, 7));
        assert.equal(digestKnown, 3);
        assert.equal(await redis.call('CHUNK.APPEND', 'c', 'two'), 0);
        assert.deepEqual(await redis.lrange('c', 0, 1), ['one', 'two']);
        const digests = await redis.callBuffer('CHUNK.DIGESTS', 'c', 0, -1);
        assert.equal(digests.length, 3);
        assert.equal((await redis.callBuffer('CHUNK.GET', 'c', digests[1])).toString(), 'two');
        assert.equal(await redis.call('CHUNK.HAS', 'c', digests[0]), 1);
        assert.equal(await redis.call('CHUNK.HAS', 'c', '0'.repeat(64)), 0);
    },
    async errors() {
        await assert.rejects(redis.call('NOPE', 'a'), /ERR unknown command 'NOPE', with args beginning with: 'a'/);
        await redis.set('word', 'x');
        await assert.rejects(redis.incr('word'), /ERR value is not an integer or out of range/);
    },
    async databases() {
        const other = redis.duplicate({ db: 3 });
        await other.set('only-here', '1');
        assert.equal(await redis.exists('only-here'), 0);
        assert.equal(await other.move('only-here', 0), 1);
        assert.equal(await redis.get('only-here'), '1');
        other.disconnect();
    },
    async reconnects_after_kill() {
        await redis.set('before', 'kept');
        const closed = once(redis, 'close');
        server('kill');
        await closed;
        const waiting = redis.get('before'); // Queued until the server is back.
        server('start');
        assert.equal(await waiting, 'kept');
        assert.equal(await redis.llen('l'), 2996);
    },
};

for (const [name, test] of Object.entries(tests)) {
    await test();
    console.log(`ok ioredis ${name}`);
}
redis.disconnect();
