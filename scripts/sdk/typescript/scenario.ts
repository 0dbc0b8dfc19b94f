// The scenario of scripts/sdk/README.md, by the installed package: one new card, one PIN, every contract.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { ApiError, MessageKey, pinBlock, TokenKey } from '@pinvault/sdk';
import * as accosa from '@pinvault/sdk/accosa';
import * as common from '@pinvault/sdk/common';
import * as creditplus from '@pinvault/sdk/creditplus';
import * as hashdt from '@pinvault/sdk/hashdt';
import * as hosted from '@pinvault/sdk/hosted';
import * as issuer from '@pinvault/sdk/issuer';
import * as networkintl from '@pinvault/sdk/networkintl';
import * as sandbox from '@pinvault/sdk/sandbox';
import { Sandbox } from '@pinvault/sdk/testing';
import * as thredd from '@pinvault/sdk/thredd';

const space = await (await Sandbox.start()).space();
const { url } = space;
const pan = '9999990000001004';
const publicToken = '103170001';
let step = 0;

/** What a call gave. */
async function got<T>(what: string, call: Promise<T>): Promise<T> {
  const data = await call;
  console.log(`${String(++step).padStart(2)} ${what}`);
  return data;
}

/** The error that a call threw: it must be of the contract, and have status and code. */
async function refused(
  what: string, kind: new (...a: never[]) => ApiError, status: number, code: string, call: Promise<unknown>,
): Promise<ApiError> {
  const e = await call.then(() => assert.fail(`${what}: no error`), (e: unknown) => e);
  assert.ok(e instanceof kind, `${what}: ${e}`);
  assert.deepEqual([e.status, e.code], [status, code], what);
  assert.ok(e.advice, what);
  console.log(`${String(++step).padStart(2)} ${what}`);
  return e;
}

const commonClient = common.connect(url);
const { clients, cards } = await got('sandbox: fixtures', sandbox.getSandboxFixtures({ client: sandbox.connect(url) }));
const programId = cards.normal!.programId as string;

/** What the fixtures say of a client. */
const fixture = (name: string) => clients[name] as Record<string, string>;
const credentials = (name: string): [string, string] => [fixture(name).client_id!, fixture(name).client_secret!];

const token = (secret: string) => common.issueToken({
  client: commonClient, body: { grant_type: 'client_credentials', client_id: fixture('issuer').client_id!, client_secret: secret },
});
assert.equal((await got('common: a token', token(fixture('issuer').client_secret!))).token_type, 'Bearer');

// Clear JSON of this client is refused: what it gets through was sealed.
const sealing = fixture('creditplus_encrypted_only');
const { key_hex, 'x-api-key': apiKey, clientId, bankId, entityId, secureCode } = fixture('accosa');
const issuerClient = issuer.connect(url, ...credentials('issuer'));
const approverClient = issuer.connect(url, ...credentials('issuer_approver'));
const networkintlClient = networkintl.connect(url, ...credentials('networkintl'));
const threddClient = thredd.connect(url, ...credentials('thredd'));
const creditplusClient = creditplus.connect(
  url, ...credentials('creditplus_encrypted_only'), new MessageKey(sealing.key_hex!, sealing.key_id!),
);
const accosaClient = accosa.connect(url, apiKey!, new TokenKey(key_hex!));
const hashdtClient = hashdt.connect(url, fixture('hashdt')['x-api-key']!);
const hostedClient = hosted.connect(url);

const card = await got('issuer: create the card', issuer.createCard({
  client: issuerClient,
  body: {
    programId, pan, expiry: '3112', sequence: '01', customerId: 'IN00001201001001', cardholderId: 'CH00001001', walletId: 'WL00001001',
    references: [
      { kind: 'publicToken', value: publicToken },
      { kind: 'urn', value: '70000001001' },
      { kind: 'identifier', value: 'DEVICE0000001001' },
      { kind: 'hashdtCardId', value: 'CD00001001' },
    ],
  },
}));
assert.equal(card.maskedPan, '999999******1004');
const { cardId } = card;

async function read(pin: string): Promise<void> {
  const reply = await got('thredd: read the PIN', thredd.getCardPin({ client: threddClient, path: { publicToken } }));
  assert.equal(reply.pin, pin);
}

async function status(state: string, tries: string): Promise<void> {
  const what = `thredd: status, ${state}, tries ${tries}`;
  const reply = await got(what, thredd.getCardPinStatus({ client: threddClient, path: { publicToken } }));
  assert.deepEqual(reply, { status: state, remainingTries: tries });
}

async function verify(pin: string, result: string, remainingTries: number, aes = false): Promise<void> {
  const { zpk_id, zpk_hex, zpk_aes_id, zpk_aes_hex } = fixture('issuer');
  const format = aes ? 'ISO-4' : 'ISO-0';
  const what = `issuer: verify a PIN, ${result}, tries ${remainingTries}`;
  const reply = await got(what, issuer.verifyPin({
    client: issuerClient,
    path: { cardId },
    body: {
      pinBlock: pinBlock(format, (aes ? zpk_aes_hex : zpk_hex)!, pan, pin),
      format,
      keyId: (aes ? zpk_aes_id : zpk_id)!,
    },
  }));
  assert.deepEqual(reply, { result, remainingTries });
}

await got('thredd: set the PIN', thredd.setCardPin({ client: threddClient, path: { publicToken }, body: { pin: '4826' } }));
await read('4826');

for (const left of [2, 1, 0]) await verify('9182', 'mismatch', left);
await verify('4826', 'blocked', 0);
await status('Blocked', '0');

const now = Date.now();
const counterReset = (identifier: string) => creditplus.resetPinRetryCounterV2({
  client: creditplusClient,
  body: {
    identifier,
    timestamp: new Date(now).toISOString(),
    dataValidUntilTimestamp: new Date(now + 60_000).toISOString(),
  },
});
const reset = await got('creditplus: reset the try counter, sealed', counterReset('DEVICE0000001001'));
assert.equal(reset.code, 'OK');
assert.match(reset.serviceRequestNumber, /^SR[0-9]{10,}$/);
await status('Unblocked', '3');

const { zpk_hex, zpk_id, bank_id } = fixture('networkintl');
const change = (card_number: string) => networkintl.changeCardPinV1({
  client: networkintlClient,
  body: { NISrvRequest: { request_card_pin_change: {
    header: {
      msg_id: randomUUID().slice(0, 12), msg_type: 'TRANSACTION', msg_function: 'REQ_CARD_PIN_CHANGE',
      src_application: 'IVR', target_application: 'PCMS', timestamp: new Date(now).toISOString(), bank_id: bank_id!,
    },
    body: {
      card_number, card_expiry_date: '3112', card_sequence_number: '01',
      encrypted_old_pin: pinBlock('ISO-0', zpk_hex!, card_number, '4826'),
      encrypted_new_pin: pinBlock('ISO-0', zpk_hex!, card_number, '7351'),
      encryption_method: 'SYMMETRIC_ENC', encryption_key_id: zpk_id!,
    },
  } } },
});
const changed = await got('networkintl: change the PIN', change(pan));
const outcome = changed.NISrvResponse.response_card_pin_change.exception_details;
assert.deepEqual([outcome.status, outcome.error_code], ['S', '000']);
await read('7351');
await verify('9182', 'mismatch', 2);

const resetPin = (clientTxnId: string, last4Digits: string) => accosa.resetPin({
  client: accosaClient,
  headers: { clientId: clientId!, bankId: bankId!, entityId: entityId!, secureCode: secureCode! },
  body: {
    messageCode: '1120', requestDateTime: new Date(now).toISOString().replace(/[^0-9]/g, '').slice(0, 14),
    clientTxnId, urn: '70000001001', last4Digits, newPIN: '2604',
  },
});
await refused('accosa: another card is unknown, sealed', accosa.AccosaError, 404, accosa.Code.CODE_1231, resetPin(randomUUID(), '0000'));
const done = await got('accosa: reset the PIN, sealed', resetPin(randomUUID(), '1004'));
assert.equal(done.responseCode, '00');
await verify('2604', 'match', 3, true);

const state = await got('issuer: status, the tries full', issuer.getPinStatus({ client: issuerClient, path: { cardId } }));
assert.deepEqual([state.state, state.blocked, state.remainingTries, state.tryLimit], ['chosen', false, 3, 3]);
await read('2604');

const page = (card: string) => hashdt.resetPin({
  client: hashdtClient,
  path: { version: 'v1' },
  headers: {
    'x-product-id': fixture('hashdt')['x-product-id']!,
    'x-cardholder-id': 'CH00001001', 'x-wallet-id': 'WL00001001', 'x-card-id': card, 'x-request-id': randomUUID(),
  },
});
const link = new URL((await got('hashdt: a page for the cardholder', page('CD00001001'))).data[0]!.set_pin_url);
const sessionId = link.pathname.split('/').at(-1)!;
const fares = await got('issuer: how the page fares', issuer.getPinSession({ client: issuerClient, path: { sessionId } }));
assert.deepEqual([fares.state, fares.cardId], ['opened', cardId]);
const exchange = (secret: string) => hosted.exchangeSecret({ client: hostedClient, path: { sessionId }, body: { secret } });
await refused('hosted: a secret that is not the link\'s', hosted.HostedError, 404, hosted.Code.UNUSABLE, exchange('A'.repeat(43)));
assert.ok((await got('hosted: the link\'s secret', exchange(link.hash.slice(1)))).token);

const told = await got('issuer: what can be done with the PIN', issuer.getPinCapabilities({ client: issuerClient, path: { cardId } }));
assert.equal(told.language, 'en');
assert.deepEqual(told.capabilities.filter(({ possible }) => !possible), []);

// A PIN of a program that asks for a second client's approval.
const dual = { cardId: cards.dual!.cardId as string };
const reason = 'Cardholder identified at the branch';
const asked = await got('issuer: request an approval', issuer.requestApproval({
  client: issuerClient, path: dual, body: { action: 'unblock', reason },
}));
assert.deepEqual([asked.state, asked.clientId], ['pending', 'issuer-sandbox']);
const grant = (client: typeof issuerClient) => issuer.decideApproval({
  client, path: { approvalId: asked.approvalId }, body: { decision: 'grant' },
});
await refused('issuer: nobody grants what they have asked for', issuer.IssuerError, 409, issuer.Code.SAME_CLIENT, grant(issuerClient));
assert.equal((await got('issuer: another client grants it', grant(approverClient))).state, 'granted');
const unblock = () => issuer.unblockPin({ client: issuerClient, path: dual, body: { reason } });
await got('issuer: unblock a PIN, approved', unblock());
await refused('issuer: an approval is good for once', issuer.IssuerError, 409, issuer.Code.APPROVAL_NEEDED, unblock());

// A client that the alarm has halted.
const halted = { clientId: 'issuer_halted-sandbox' };
assert.ok((await got('issuer: a client that is halted', issuer.getClient({ client: issuerClient, path: halted }))).halted);
const free = await got('issuer: release it', issuer.releaseClient({
  client: issuerClient, path: halted, body: { reason: 'Another zone key' },
}));
assert.equal(free.halted, undefined);

// The card was unblocked through Credit+, and who may unblock one once a day is told to wait.
const limited = await got('issuer: one unblock a card and day for thredd', issuer.setClientLimits({
  client: issuerClient, path: { clientId: 'thredd-sandbox' }, body: { unblocksPerCardAndDay: 1 },
}));
assert.equal(Number(limited.limits?.unblocksPerCardAndDay), 1);
const busy = await refused('thredd: one unblock too many', thredd.ThreddError, 429, thredd.Code.CODE_429,
  thredd.unblockCardPin({ client: threddClient, path: { publicToken }, body: {} }));
assert.ok((busy.retryAfter ?? 0) > 3600, 'told to wait for hours');

await refused('common: a wrong client secret', common.CommonError, 401, common.Code.INVALID_CLIENT, token('wrong'));
await refused('thredd: an unknown card', thredd.ThreddError, 404, thredd.Code.CODE_404,
  thredd.getCardPin({ client: threddClient, path: { publicToken: '999999999' } }));
await refused('creditplus: an unknown card, sealed', creditplus.CreditPlusError, 400, creditplus.Code.RECORD_NOT_FOUND,
  counterReset('DEVICE0000009999'));
await refused('networkintl: an unknown card', networkintl.NetworkIntlError, 200, networkintl.Code.CODE_889, change('9999990000009999'));
await refused('hashdt: an unknown card', hashdt.HashdtError, 404, hashdt.Code.CODE_404, page('CD00009999'));
await refused('issuer: an unknown card', issuer.IssuerError, 404, issuer.Code.NOT_FOUND,
  issuer.getCard({ client: issuerClient, path: { cardId: randomUUID() } }));

await space.close();
