// node-redis over RESP3: types of replies, buffers, iterators, many in flight, reconnecting.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createClient, RESP_TYPES } from 'redis';

const url = `redis://127.0.0.1:${process.env.BASIN_PORT}`;
const client = createClient({ url, RESP: 3, socket: { reconnectStrategy: () => 50 } });
client.on('error', () => {}); // The kill below is meant.
const buffers = client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });

function server(what) {
    execFileSync('./server.sh', [what], { stdio: ['ignore', 'inherit', 'inherit'] });
}

const tests = {
    async hello() {
        const hello = await client.hello(3);
        assert.equal(hello.proto, 3);
        assert.equal(hello.role, 'master');
        assert.ok(Number(await client.clientId()) > 0);
    },
    async strings() {
        assert.equal(await client.set('s', 'value', { expiration: { type: 'EX', value: 1000 } }), 'OK');
        assert.equal(await client.set('s', 'x', { condition: 'NX' }), null);
        assert.equal(await client.set('s', 'next', { GET: true }), 'value');
        assert.equal(await client.ttl('s'), -1);
        assert.deepEqual(await client.mGet(['s', 'absent']), ['next', null]);
        assert.equal(await client.incrByFloat('f', 10.5), '10.5');
        assert.equal(await client.setRange('s', 4, '!'), 5);
        assert.equal(await client.getEx('s', { type: 'PX', value: 100000 }), 'next!');
        assert.equal(await client.type('s'), 'string');
        assert.equal(await client.lcsLen('s', 's'), 5);
        await client.mSet({ lcs1: 'ohmytext', lcs2: 'mynewtext' });
        const idx = await client.lcsIdx('lcs1', 'lcs2');
        assert.equal(idx.len, 6);
        assert.equal(idx.matches.length, 2);
    },
    async binary() {
        const value = Buffer.from(Array.from({ length: 100000 }, (_, i) => (i * 31) & 255));
        await client.set('bin', value);
        assert.ok(value.equals(await buffers.get('bin')));
        assert.ok(value.subarray(10, 21).equals(await buffers.getRange('bin', 10, 20)));
    },
    async lists() {
        assert.equal(await client.rPush('l', Array.from({ length: 500 }, (_, i) => String(i))), 500);
        assert.deepEqual(await client.lRange('l', -2, -1), ['498', '499']);
        assert.deepEqual(await client.lPopCount('l', 2), ['0', '1']);
        assert.deepEqual(await client.lPosCount('l', '7', 2), [5]);
        assert.equal(await client.lRem('l', 0, '7'), 1);
        assert.equal(await client.lTrim('l', 0, 9), 'OK');
        assert.equal(await client.lLen('l'), 10);
        assert.equal(await client.lMove('l', 'l2', 'RIGHT', 'LEFT'), '12');
        assert.equal(await client.lPop('absent'), null);
    },
    async expiry() {
        assert.equal(await client.expire('l', 5000, 'XX'), 0);
        assert.equal(await client.pExpireAt('l', 5000000000123), 1);
        assert.equal(await client.pExpireTime('l'), 5000000000123);
        assert.equal(await client.persist('l'), 1);
        assert.equal(await client.copy('l', 'l3'), 1);
        assert.equal(await client.rename('l3', 'l4'), 'OK');
        assert.equal(await client.unlink(['l4', 'absent']), 1);
    },
    async in_flight() {
        const replies = await Promise.all(
            Array.from({ length: 5000 }, (_, i) => [client.set(`k:${i}`, i), client.get(`k:${i}`)]).flat(),
        );
        for (let i = 0; i < 5000; i++) {
            assert.equal(replies[2 * i + 1], String(i));
        }
    },
    async scan_iterator() {
        const seen = new Set();
        for await (const keys of client.scanIterator({ MATCH: 'k:*', COUNT: 50, TYPE: 'string' })) {
            [keys].flat().forEach((key) => seen.add(key));
        }
        assert.equal(seen.size, 5000);
    },
    async configuration() {
        const got = await client.configGet('maxmemory*');
        assert.equal(got.maxmemory, '0');
        assert.equal(got['maxmemory-policy'], 'noeviction');
        assert.match(await client.info('server'), /redis_version:7\.2/);
    },
    async chunks() {
        assert.equal(await client.sendCommand(['CHUNK.APPEND', 'c', 'one', 'two', 'one']), 2);
        const [first] = await client.sendCommand(['CHUNK.DIGESTS', 'c', '0', '0']);
        assert.equal(await client.sendCommand(['CHUNK.GET', 'c', first]), 'one');
        assert.equal(await client.sendCommand(['CHUNK.HAS', 'c', first]), 1);
        assert.equal(await client.lLen('c'), 2);
    },
    async errors() {
        await assert.rejects(client.lPush('s', 'x'), /WRONGTYPE Operation against a key holding the wrong kind of value/);
        await assert.rejects(client.sendCommand(['GET']), /ERR wrong number of arguments for 'get' command/);
    },
    async reconnects_after_kill() {
        await client.set('before', 'kept');
        server('kill');
        const waiting = client.get('before').catch(() => client.get('before'));
        server('start');
        assert.equal(await waiting, 'kept');
        assert.equal(await client.lLen('c'), 2);
        assert.equal((await client.hello(3)).proto, 3);
    },
};

await client.connect();
for (const [name, test] of Object.entries(tests)) {
    await test();
    console.log(`ok node_redis ${name}`);
}
client.destroy();
