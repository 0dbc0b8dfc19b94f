// The vectors that the packages of all languages share, and the transport without a network.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import * as accosa from './accosa.js';
import * as creditplus from './creditplus.js';
import * as issuer from './issuer.js';
import { type Format, pinBlock } from './pinblock.js';
import { MessageKey, TokenKey } from './sealing.js';
import * as thredd from './thredd.js';

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

/** What reaches a server that has a reply for each attempt, the last one for all that follow. */
function server(...replies: [status: number, body: unknown, retryAfter?: string][]) {
  const sent: Request[] = [];
  const fetch = async (input: unknown) => {
    const request = input as Request;
    if (request.url.endsWith('/token')) return Response.json({ access_token: 'T', expires_in: 3600 });
    const [status, body, after = '0'] = replies[Math.min(sent.push(request), replies.length) - 1]!;
    return new Response(status === 204 ? null : typeof body === 'string' ? body : JSON.stringify(body), {
      status, headers: { 'Content-Type': 'application/json', 'Retry-After': after },
    });
  };
  return { sent, options: { fetch: fetch as typeof globalThis.fetch } };
}

const url = 'http://host/prefix';
const headers = { clientId: '1', bankId: '1', entityId: '1', secureCode: '1' };
const reset = {
  messageCode: '1120', requestDateTime: '20260101000000', clientTxnId: '1', urn: '1', last4Digits: '0000', newPIN: '1234',
};
const selector = { timestamp: '2026-01-01T00:00:00Z', dataValidUntilTimestamp: '2026-01-01T00:00:00Z', identifier: '1' };
const done = { code: 'OK', description: '', serviceRequestNumber: 'SR1' };

test('a V2 request of Credit+ leaves sealed, and again to the byte', async () => {
  const { sent, options } = server([503, {}], [200, done]);
  const client = creditplus.connect(url, 'id', 'secret', messageKey, options);
  assert.deepEqual(await creditplus.resetPinRetryCounterV2({ client, body: selector }), done);
  const [first, second] = await Promise.all(sent.map((request) => request.text()));
  assert.equal(sent.length, 2);
  assert.equal(sent[0]!.headers.get('Content-Type'), 'application/jose');
  assert.equal(sent[0]!.headers.get('Authorization'), 'Bearer T');
  assert.deepEqual(JSON.parse(await messageKey.open(first!)), selector);
  assert.equal(second, first);
});

test('a V2 request of Credit+ without a key leaves in the clear, and once', async () => {
  const { sent, options } = server([503, {}], [200, done]);
  const client = creditplus.connect(url, 'id', 'secret', undefined, options);
  await assert.rejects(creditplus.resetPinRetryCounterV2({ client, body: selector }), creditplus.CreditPlusError);
  assert.equal(sent.length, 1);
  assert.deepEqual(await sent[0]!.json(), selector);
});

test('a request of Accosa leaves sealed, and its reply is opened', async () => {
  const { sent, options } = server([200, { token: tokenKey.seal('{"responseCode":"00"}') }]);
  const client = accosa.connect(url, 'key', tokenKey, options);
  assert.equal((await accosa.resetPin({ client, headers, body: reset })).responseCode, '00');
  const { token } = (await sent[0]!.json()) as { token: string };
  assert.deepEqual(JSON.parse(tokenKey.open(token)), reset);
  assert.equal(sent[0]!.headers.get('x-api-key'), 'key');
});

for (const [clear, code] of [['{"responseCode":"9004"}', '9004'], ['null', '400'], ['no JSON', '400']] as const) {
  test(`a reply of Accosa in the clear is an error too, ${clear}`, async () => {
    const { options } = server([400, clear]);
    const client = accosa.connect(url, 'key', tokenKey, options);
    await assert.rejects(accosa.resetPin({ client, headers, body: reset }), (e) => {
      assert.ok(e instanceof accosa.AccosaError);
      assert.deepEqual([e.status, e.code], [400, code]);
      return true;
    });
  });
}

test('a reply of Accosa under another key is an error', async () => {
  const { options } = server([200, { token: new TokenKey('00'.repeat(24)).seal('{}', Buffer.alloc(16)) }]);
  await assert.rejects(accosa.resetPin({ client: accosa.connect(url, 'key', tokenKey, options), headers, body: reset }));
});

test('a call with a key is repeated with the same one, and each call has its own', async () => {
  const { sent, options } = server([503, {}], [204, ''], [204, '']);
  const client = thredd.connect(url, 'id', 'secret', options);
  for (let i = 0; i < 2; i++) await thredd.setCardPin({ client, path: { publicToken: '1' }, body: { pin: '4826' } });
  const keys = sent.map((request) => request.headers.get('IdempotencyKey'));
  assert.equal(keys.length, 3);
  assert.match(keys[0]!, /^[0-9a-f-]{36}$/);
  assert.equal(keys[1], keys[0]);
  assert.notEqual(keys[2], keys[0]);
});

for (const [after, told] of [['11', 11], ['86400', 86400], ['1', undefined]] as const) {
  test(`what asks for more patience is an error at once, ${after}`, async () => {
    const { sent, options } = server([429, {}, after], [204, '']);
    const client = thredd.connect(url, 'id', 'secret', options);
    const call = thredd.setCardPin({ client, path: { publicToken: '1' }, body: { pin: '4826' } });
    const error = await call.then(() => undefined, (e) => e as thredd.ThreddError);
    assert.deepEqual([error?.retryAfter, sent.length], [told, told ? 1 : 2]);
  });
}

test('what no contract lets be repeated is not', async () => {
  const { sent, options } = server([503, {}]);
  const client = issuer.connect(url, 'id', 'secret', options);
  await assert.rejects(issuer.searchCards({ client, body: { kind: 'urn', value: '1' } }), (e) => {
    assert.ok(e instanceof issuer.IssuerError);
    assert.deepEqual([e.status, e.code], [503, '503']);
    return true;
  });
  assert.equal(sent.length, 1);
});
