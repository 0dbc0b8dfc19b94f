// The vectors that the wrappers of all languages share, and the transports without a network.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { TokenKey, tokenFetch } from './accosa.js';
import { MessageKey, sealedFetch } from './creditplus.js';
import { type Format, pinBlock } from './pinblock.js';

type Sealed = { name: string; iv: string; header: string; clear: string; sealed: string };
type Refused = { name: string; sealed: string };
type Vectors = {
  jwe: { key: string; kid: string; seal: Sealed[]; refuse: Refused[] };
  token: { key: string; seal: Sealed[]; refuse: Refused[] };
  pinBlock: { name: string; format: Format; key: string; pan: string; pin: string; fill: string; block: string }[];
};

const { jwe, token, pinBlock: blocks }: Vectors = JSON.parse(readFileSync(process.env.SDK_VECTORS!, 'utf8'));
const messageKey = new MessageKey(jwe.key, jwe.kid);
const tokenKey = new TokenKey(token.key);

for (const list of [jwe.seal, jwe.refuse, token.seal, token.refuse, blocks]) assert.ok(list.length > 0);

for (const v of jwe.seal) {
  test(`JWE, ${v.name}`, async () => {
    assert.equal(await messageKey.open(v.sealed), v.clear);
    assert.equal(await messageKey.seal(v.clear, JSON.parse(v.header), Buffer.from(v.iv, 'hex')), v.sealed);
    const anew = await messageKey.seal(v.clear);
    assert.notEqual(anew, v.sealed);
    assert.equal(await messageKey.open(anew), v.clear);
  });
}

for (const v of jwe.refuse) {
  test(`JWE refused, ${v.name}`, () => assert.rejects(messageKey.open(v.sealed)));
}

for (const v of token.seal) {
  test(`token, ${v.name}`, () => {
    assert.equal(tokenKey.open(v.sealed), v.clear);
    assert.equal(tokenKey.seal(v.clear, Buffer.from(v.iv, 'hex')), v.sealed);
    const anew = tokenKey.seal(v.clear);
    assert.notEqual(anew, v.sealed);
    assert.equal(tokenKey.open(anew), v.clear);
  });
}

for (const v of token.refuse) {
  test(`token refused, ${v.name}`, () => assert.throws(() => tokenKey.open(v.sealed)));
}

for (const v of blocks) {
  test(`PIN block, ${v.name}`, () => {
    assert.equal(pinBlock(v.format, v.key, v.pan, v.pin, v.fill), v.block);
    assert.match(pinBlock(v.format, v.key, v.pan, v.pin), new RegExp(`^[0-9A-F]{${v.block.length}}$`));
  });
}

const message = {
  method: 'POST',
  headers: { 'Content-Type': 'application/json', 'X-Other': 'kept' },
  body: '{"pin":"1234"}',
};

test('a V2 request of Credit+ leaves sealed', async () => {
  const send = sealedFetch(messageKey, async (input) => {
    const sent = input as Request;
    assert.equal(sent.headers.get('Content-Type'), 'application/jose');
    assert.equal(sent.headers.get('X-Other'), 'kept');
    assert.equal(await messageKey.open(await sent.text()), message.body);
    return Response.json({ code: 'OK' });
  });
  assert.deepEqual(await (await send('http://host/deviceapi/apis/v2/any', message)).json(), { code: 'OK' });
});

test('a V1 request of Credit+ leaves as it is', async () => {
  const send = sealedFetch(messageKey, async (input) => new Response(await (input as Request).text()));
  assert.equal(await (await send('http://host/deviceapi/apis/v1/any', message)).text(), message.body);
});

test('a request of Accosa leaves sealed, and its reply is opened', async () => {
  const send = tokenFetch(tokenKey, async (input) => {
    const sent = input as Request;
    assert.equal(sent.headers.get('X-Other'), 'kept');
    const { token } = (await sent.json()) as { token: string };
    assert.equal(tokenKey.open(token), message.body);
    return Response.json({ token: tokenKey.seal('{"responseCode":"00"}') }, { status: 201 });
  });
  const reply = await send('http://host/', message);
  assert.equal(reply.status, 201);
  assert.deepEqual(await reply.json(), { responseCode: '00' });
});

for (const clear of ['{"responseCode":"9005"}', 'null', 'no JSON']) {
  test(`a reply of Accosa in clear passes, ${clear}`, async () => {
    const send = tokenFetch(tokenKey, async () => new Response(clear, { status: 400 }));
    const reply = await send('http://host/', message);
    assert.equal(reply.status, 400);
    assert.equal(await reply.text(), clear);
  });
}

test('a reply of Accosa under another key is an error', async () => {
  const other = new TokenKey('00'.repeat(24));
  const send = tokenFetch(tokenKey, async () => Response.json({ token: other.seal('{}', Buffer.alloc(16)) }));
  await assert.rejects(send('http://host/', message));
});
