// A receiver of webhooks for tests that kill it: it verifies what arrives with Standard Webhooks' reference library, notes
// it in RECEIVER_FILE, a line of JSON each, and then answers. impl/app/delivered_soak_test.go reads the lines.
import { openSync, writeSync } from 'node:fs';
import { createServer } from 'node:http';
import { Webhook } from 'standardwebhooks';

const [host, port] = process.env.RECEIVER_ADDRESS.split(':');
const webhook = new Webhook(process.env.RECEIVER_SECRET);
const file = openSync(process.env.RECEIVER_FILE, 'a', 0o600);

function verified(headers, body) {
  try {
    webhook.verify(body, headers);
    return true;
  } catch {
    return false;
  }
}

createServer(async (request, reply) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = Buffer.concat(chunks).toString();
  const { id, data = {} } = JSON.parse(body);
  const line = { id, card: data.cardId ?? '', sequence: data.sequence ?? 0, verified: verified(request.headers, body) && request.headers['webhook-id'] === id, by: 'Node' };
  writeSync(file, `${JSON.stringify(line)}\n`);
  reply.writeHead(204).end();
}).listen(Number(port), host);
