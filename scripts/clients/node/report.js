// What every program of this folder says, a line a call, and where it notes what no log may hold. See ../README.md.
import { appendFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';

export const URL = process.env.PINVAULT_URL;
export const PLANTED = process.env.CLIENTS_PLANTED_PIN;

export function secret(text) {
  appendFileSync(process.env.CLIENTS_SECRETS, `${text}\n`);
  return text;
}

/** One line of the report. What was seen is shown where it is not what was wanted. */
export function told(client, call, seen, wanted) {
  const outcome = isDeepStrictEqual(seen, wanted) ? 'ok' : `FAILED\twanted ${JSON.stringify(wanted)}, got ${JSON.stringify(seen)}`;
  console.log(`${client}\t${call}\t${outcome}`);
}

/** Holds a reply, {status, body}, to its status and to some members of its JSON, each named by the way to it: "data.0.set_pin_url". */
export function expect(client, call, reply, status, wanted = {}) {
  if (reply.status !== status) told(client, call, `${reply.status} ${JSON.stringify(reply.body)}`, status);
  else told(client, call, Object.fromEntries(Object.keys(wanted).map((way) => [way, member(reply.body, way)])), wanted);
  return reply.body;
}

const member = (body, way) => way.split('.').reduce((at, step) => at?.[step], body);
