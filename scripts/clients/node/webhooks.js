// Webhooks, verified by Standard Webhooks' reference library and, without a secret, by Node's own Ed25519.
import { createPublicKey, verify } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { Webhook } from 'standardwebhooks';
import { URL, secret, told } from './report.js';

const CLIENT = 'standardwebhooks';
const arrived = [];
let woken = () => {};
const server = createServer(async (request, reply) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  arrived.push({ headers: request.headers, body: Buffer.concat(chunks).toString() });
  reply.writeHead(204).end();
  woken();
});
server.listen(0, 'localhost');
await once(server, 'listening');

async function next() {
  if (!arrived.length) await Promise.race([new Promise((resolve) => (woken = resolve)), new Promise((_, reject) => setTimeout(reject, 20_000, new Error('nothing arrived')))]);
  return arrived.shift();
}

function verified(key, { headers, body }) {
  try {
    new Webhook(key).verify(body, headers);
    return true;
  } catch {
    return false;
  }
}

/** v1a: any of the signatures that the public key verifies. */
function signed(key, { headers, body }) {
  const message = Buffer.from(`${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`);
  const x = Buffer.from(key.slice('whpk_'.length), 'base64').toString('base64url');
  const publicKey = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
  return headers['webhook-signature'].split(' ').some((one) => one.startsWith('v1a,') && verify(null, message, publicKey, Buffer.from(one.slice(4), 'base64')));
}

await fetch(`${URL}/sandbox/reset`, { method: 'POST' });
const { clients } = await (await fetch(`${URL}/sandbox/fixtures`)).json();
const headers = { Authorization: `Bearer ${secret(clients.issuer.token)}`, 'Content-Type': 'application/json' };
const post = (path, value) => fetch(`${URL}/issuer/v1${path}`, { method: 'POST', headers, body: value && JSON.stringify(value) });
const made = await (await post('/webhooks', { url: `http://localhost:${server.address().port}/` })).json();
secret(made.secret);
await post(`/webhooks/${made.webhookId}/test`);
const test = await next();
told(CLIENT, 'a test arrives', JSON.parse(test.body).type, 'webhook.test');
told(CLIENT, 'v1, by the reference library', verified(made.secret, test), true);
told(CLIENT, 'v1, of another body', verified(made.secret, { ...test, body: `${test.body} ` }), false);
told(CLIENT, 'v1a, by the public key', signed(made.publicKey, test), true);
told(CLIENT, 'v1a, of another body', signed(made.publicKey, { ...test, body: `${test.body} ` }), false);
const rotated = await (await post(`/webhooks/${made.webhookId}/rotate`, { overlapSeconds: 60 })).json();
secret(rotated.secret);
await post('/cards/00000000-0000-7000-8000-000000000001/pin/unblock', { reason: 'asked' });
const both = await next();
told(CLIENT, 'while a secret is rotated: both', [verified(made.secret, both), verified(rotated.secret, both)], [true, true]);
told(CLIENT, 'while a key is rotated: both', [signed(made.publicKey, both), signed(rotated.publicKey, both)], [true, true]);
server.close();
server.closeAllConnections();
