// The scenario of ../README.md: one new card, one PIN, every contract by its generated client.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { TokenKey, tokenFetch } from './accosa.js';
import { MessageKey, sealedFetch } from './creditplus.js';
import { pinBlock } from './pinblock.js';
import { client as accosaClient } from './clients/accosa/client.gen.js';
import * as accosa from './clients/accosa/index.js';
import { client as commonClient } from './clients/common/client.gen.js';
import * as common from './clients/common/index.js';
import { client as creditplusClient } from './clients/creditplus/client.gen.js';
import * as creditplus from './clients/creditplus/index.js';
import { client as issuerClient } from './clients/issuer/client.gen.js';
import * as issuer from './clients/issuer/index.js';
import { client as networkintlClient } from './clients/networkintl/client.gen.js';
import * as networkintl from './clients/networkintl/index.js';
import { client as threddClient } from './clients/thredd/client.gen.js';
import * as thredd from './clients/thredd/index.js';

const baseUrl = process.env.PINVAULT_URL!;
const pan = '9999990000001004';
const publicToken = '103170001';
let step = 0;

type Result<T, E> = { response: Response } & ({ data: T; error: undefined } | { data: undefined; error: E });

/** What a call gave: it must have the status. */
async function got<T, E>(what: string, status: number, call: Promise<Result<T, E>>): Promise<T> {
  const { data, error, response } = await call;
  assert.equal(response?.status, status, `${what}: ${JSON.stringify(error) ?? error}`);
  console.log(`${String(++step).padStart(2)} ${what}`);
  return data as T;
}

/** The error that a call gave: it must have the status. */
async function refused<T, E>(what: string, status: number, call: Promise<Result<T, E>>): Promise<E> {
  const { data, error, response } = await call;
  assert.equal(response?.status, status, `${what}: ${JSON.stringify(data ?? error) ?? error}`);
  console.log(`${String(++step).padStart(2)} ${what}`);
  return error as E;
}

commonClient.setConfig({ baseUrl });
const { clients, cards } = await got('fixtures', 200, common.getSandboxFixtures());
const programId = cards.normal!.programId as string;

/** Credentials of a client of the fixtures. */
const fixture = (name: string) => clients[name] as Record<string, string>;
const credentials = (name: string) => ({
  grant_type: 'client_credentials', client_id: fixture(name).client_id!, client_secret: fixture(name).client_secret!,
});

async function token(name: string): Promise<string> {
  const issued = await got(`token for ${name}`, 200, common.issueToken({ body: credentials(name) }));
  assert.equal(issued.token_type, 'Bearer');
  return issued.access_token;
}

issuerClient.setConfig({ baseUrl, auth: await token('issuer') });
networkintlClient.setConfig({ baseUrl, auth: await token('networkintl') });

// Clear JSON of this client is refused: what it gets through was sealed.
const sealing = fixture('creditplus_encrypted_only');
creditplusClient.setConfig({
  baseUrl,
  auth: await token('creditplus_encrypted_only'),
  fetch: sealedFetch(new MessageKey(sealing.key_hex!, sealing.key_id!)),
});

threddClient.setConfig({ baseUrl });
const issued = await got('token for thredd', 200, thredd.issueToken({ body: credentials('thredd') }));
assert.equal(issued.token_type, 'Bearer');
threddClient.setConfig({ auth: issued.access_token });

const { key_hex, 'x-api-key': apiKey, clientId, bankId, entityId, secureCode } = fixture('accosa');
accosaClient.setConfig({ baseUrl, auth: apiKey!, fetch: tokenFetch(new TokenKey(key_hex!)) });

const card = await got('issuer: create the card', 201, issuer.createCard({
  headers: { 'Idempotency-Key': randomUUID() },
  body: {
    programId, pan, expiry: '3112', sequence: '01', customerId: 'IN00001201001001',
    references: [
      { kind: 'publicToken', value: publicToken },
      { kind: 'urn', value: '70000001001' },
      { kind: 'identifier', value: 'DEVICE0000001001' },
    ],
  },
}));
assert.equal(card.maskedPan, '999999******1004');
const { cardId } = card;

async function read(pin: string): Promise<void> {
  const reply = await got('thredd: read the PIN', 200, thredd.getCardPin({ path: { publicToken } }));
  assert.equal(reply.pin, pin);
}

async function status(state: string, tries: string): Promise<void> {
  const what = `thredd: status, ${state}, tries ${tries}`;
  const reply = await got(what, 200, thredd.getCardPinStatus({ path: { publicToken } }));
  assert.deepEqual(reply, { status: state, remainingTries: tries });
}

async function verify(pin: string, result: string, remainingTries: number, aes = false): Promise<void> {
  const { zpk_id, zpk_hex, zpk_aes_id, zpk_aes_hex } = fixture('issuer');
  const format = aes ? 'ISO-4' : 'ISO-0';
  const what = `issuer: verify a PIN, ${result}, tries ${remainingTries}`;
  const reply = await got(what, 200, issuer.verifyPin({
    path: { cardId },
    body: {
      pinBlock: pinBlock(format, (aes ? zpk_aes_hex : zpk_hex)!, pan, pin),
      format,
      keyId: (aes ? zpk_aes_id : zpk_id)!,
    },
  }));
  assert.deepEqual(reply, { result, remainingTries });
}

await got('thredd: set the PIN', 204, thredd.setCardPin({ path: { publicToken }, body: { pin: '4826' } }));
await read('4826');

for (const left of [2, 1, 0]) await verify('9182', 'mismatch', left);
await verify('4826', 'blocked', 0);
await status('Blocked', '0');

const now = Date.now();
const reset = await got('creditplus: reset the try counter, sealed', 200, creditplus.resetPinRetryCounterV2({
  body: {
    identifier: 'DEVICE0000001001',
    timestamp: new Date(now).toISOString(),
    dataValidUntilTimestamp: new Date(now + 60_000).toISOString(),
  },
}));
assert.equal(reset.code, 'OK');
assert.match(reset.serviceRequestNumber, /^SR[0-9]{10,}$/);
await status('Unblocked', '3');

const { zpk_hex, zpk_id, bank_id } = fixture('networkintl');
const changed = await got('networkintl: change the PIN', 200, networkintl.changeCardPinV1({
  body: { NISrvRequest: { request_card_pin_change: {
    header: {
      msg_id: randomUUID().slice(0, 12), msg_type: 'TRANSACTION', msg_function: 'REQ_CARD_PIN_CHANGE',
      src_application: 'IVR', target_application: 'PCMS', timestamp: new Date(now).toISOString(), bank_id: bank_id!,
    },
    body: {
      card_number: pan, card_expiry_date: '3112', card_sequence_number: '01',
      encrypted_old_pin: pinBlock('ISO-0', zpk_hex!, pan, '4826'),
      encrypted_new_pin: pinBlock('ISO-0', zpk_hex!, pan, '7351'),
      encryption_method: 'SYMMETRIC_ENC', encryption_key_id: zpk_id!,
    },
  } } },
}));
const outcome = changed.NISrvResponse.response_card_pin_change.exception_details;
assert.deepEqual([outcome.status, outcome.error_code], ['S', '000']);
await read('7351');
await verify('9182', 'mismatch', 2);

const resetPin = (clientTxnId: string, last4Digits: string) => accosa.resetPin({
  headers: { clientId: clientId!, bankId: bankId!, entityId: entityId!, secureCode: secureCode! },
  body: {
    messageCode: '1120', requestDateTime: new Date(now).toISOString().replace(/[^0-9]/g, '').slice(0, 14),
    clientTxnId, urn: '70000001001', last4Digits, newPIN: '2604',
  },
});
const unknown = await refused('accosa: another card is unknown, sealed', 404, resetPin(randomUUID(), '0000'));
const opened = unknown as accosa.ResetPinError; // an error in clear has no clientId
assert.deepEqual([opened.responseCode, opened.clientId], ['1231', clientId]);
const done = await got('accosa: reset the PIN, sealed', 200, resetPin(randomUUID(), '1004'));
assert.equal(done.responseCode, '00');
await verify('2604', 'match', 3, true);

const state = await got('issuer: status, the tries full', 200, issuer.getPinStatus({ path: { cardId } }));
assert.deepEqual([state.state, state.blocked, state.remainingTries, state.tryLimit], ['chosen', false, 3, 3]);
await read('2604');
