// Every contract, by each of Node's clients in turn. The calls are those of ../README.md.
import { constants, createCipheriv, createDecipheriv, publicEncrypt, randomBytes, randomUUID, X509Certificate } from 'node:crypto';
import { CompactEncrypt, createRemoteJWKSet, jwtVerify } from 'jose';
import { asPrinted, client as axios, nullPosted } from './axios.js';
import { client as fetch } from './fetch.js';
import * as report from './report.js';
import { PLANTED, secret, URL } from './report.js';

const bearer = (token) => ({ Authorization: `Bearer ${token}` });

async function walk(client) {
  const expect = (...said) => report.expect(client.name, ...said);

  await client.nothing(`${URL}/sandbox/reset`, {});
  const { body: fixtures } = await client.get(`${URL}/sandbox/fixtures`, {});
  const { clients } = fixtures;
  const { normal, second, unchosen, dual } = fixtures.cards;
  expect('common: health', await client.get(`${URL}/readyz`, {}), 200);

  // Tokens.

  async function token(name, path = '/oauth2/token') {
    const { client_id, client_secret } = clients[name];
    const grant = { grant_type: 'client_credentials' };
    const basic = await client.basic(URL + path, grant, client_id, client_secret);
    if (expect(`${name}: token, HTTP Basic`, basic, 200, { token_type: 'Bearer' }).access_token) secret(basic.body.access_token);
    expect(`${name}: a wrong secret`, await client.form(URL + path, { ...grant, client_id, client_secret: 'guessed' }), 401, { error: 'invalid_client' });
    const given = await client.form(URL + path, { ...grant, client_id, client_secret });
    return secret(expect(`${name}: token, credentials in the form`, given, 200, { token_type: 'Bearer' }).access_token);
  }
  const issuer = bearer(await token('issuer'));
  const approver = bearer(await token('issuer_approver'));
  const thredd = bearer(await token('thredd', '/connect/token'));
  const networkintl = bearer(await token('networkintl'));
  const creditplus = bearer(await token('creditplus'));
  const sealing = bearer(await token('creditplus_encrypted_only'));

  // Thredd.

  const pin = `${URL}/api/v1/cards/${normal.publicToken}/pin`;
  expect('thredd: the PIN', await client.get(pin, thredd), 200, { pin: normal.pin });
  expect('thredd: status', await client.get(`${pin}/status`, thredd), 200, { status: 'Unblocked', remainingTries: '3' });
  expect('thredd: set the PIN, optional members null', await client.json(pin, thredd, { pin: '4826', description: null, updatedBy: null }), 204);
  const again = { ...thredd, IdempotencyKey: randomUUID() };
  for (let i = 0; i < 2; i++) expect('thredd: set the PIN, with IdempotencyKey', await client.json(pin, again, { pin: '7010', description: undefined }), 204);
  expect('thredd: a PIN that is a number', await client.json(pin, thredd, { pin: 7010 }), 400, { status: 400 });
  expect('thredd: unblock', await client.json(`${pin}/unblock`, thredd, {}), 204);
  expect('thredd: unblock without a body', await client.nothing(`${pin}/unblock`, thredd), 415, { status: 415 });
  expect('thredd: an unknown card', await client.get(`${URL}/api/v1/cards/100000000/pin`, thredd), 404, { status: 404 });
  expect('thredd: no token', await client.get(pin, {}), 401, { status: 401 });
  const made = await client.json(`${URL}/api/v1/cards`, thredd, { embossName: 'JOSÉ SMITH', expiryDate: '2031-12-31' });
  expect('thredd: a new card', made, 201, { embossName: 'JOSÉ SMITH', expiryDate: '2031-12-31' });

  // Credit+, sealed by jose.

  const helpdesk = (version) => `${URL}/deviceapi/apis/${version}/services/helpdesk/resetpinretrycounter`;
  const reset = (members) => ({
    timestamp: new Date().toISOString(),
    dataValidUntilTimestamp: new Date(Date.now() + 300_000).toISOString(),
    ...members,
  });
  const sealed = (message, { key_id, key_hex } = clients.creditplus_encrypted_only) =>
    new CompactEncrypt(new TextEncoder().encode(JSON.stringify(message)))
      .setProtectedHeader({ alg: 'dir', enc: 'A256GCM', kid: key_id })
      .encrypt(Buffer.from(key_hex, 'hex'));
  const post = (text) => client.text(helpdesk('v2'), sealing, 'application/jose', text);
  const identified = { identifier: normal.identifier };
  expect('creditplus: V2 in the clear', await client.json(helpdesk('v2'), creditplus, reset({ ...identified, notes: null })), 200, { code: 'OK' });
  expect('creditplus: V2 sealed by jose', await post(await sealed(reset(identified))), 200, { code: 'OK' });
  expect('creditplus: V2 sealed, with a newline behind it', await post(`${await sealed(reset(identified))}\n`), 200, { code: 'OK' });
  expect('creditplus: V2, an unknown card', await post(await sealed(reset({ identifier: 'DEVICE9999999999' }))), 400, { code: 'RECORD_NOT_FOUND' });
  expect('creditplus: V2, sealed under another key', await post(await sealed(reset(identified), clients.creditplus)), 400, { code: 'CRYPTOGRAPHY_ERROR' });
  const [date, time] = new Date().toISOString().split(/[TZ.]/);
  const logged = {
    institutionCode: normal.institutionCode,
    deviceNumber: normal.number,
    serviceCode: '109',
    requestDate: `${date.slice(5, 7)}/${date.slice(8)}/${date.slice(0, 4)} ${time}`,
  };
  expect('creditplus: V1', await client.json(helpdesk('v1'), creditplus, logged), 201, { code: 'CCRBO0004' });
  expect('creditplus: V1, an unknown device', await client.json(helpdesk('v1'), creditplus, { ...logged, deviceNumber: '59999999999999' }), 404, { code: '998' });

  // Accosa, sealed by node:crypto.

  const { key_hex, key_id, client_id, client_secret, next_key_hex, next_key_id, ...wallet } = clients.accosa;
  const key = Buffer.from(key_hex, 'hex');
  const tokenOf = (message) => {
    const iv = randomBytes(16);
    const cipher = createCipheriv('aes-192-cbc', key, iv);
    return Buffer.concat([iv, cipher.update(JSON.stringify(message), 'utf8'), cipher.final()]).toString('base64');
  };
  const opened = ({ status, body }) => {
    if (!body.token) return { status, body };
    const raw = Buffer.from(body.token, 'base64');
    const decipher = createDecipheriv('aes-192-cbc', key, raw.subarray(0, 16));
    return { status, body: JSON.parse(Buffer.concat([decipher.update(raw.subarray(16)), decipher.final()]).toString()) };
  };
  const resetPin = async (members = {}, written = (token) => token) => {
    const message = {
      messageCode: '1120',
      clientTxnId: randomUUID().slice(0, 25),
      requestDateTime: new Date().toISOString().replace(/\D/g, '').slice(0, 14),
      newPIN: '593817',
      urn: Number(second.urn),
      last4Digits: second.last4Digits,
      customerId: second.customerId,
      ...members,
    };
    return opened(await client.json(`${URL}/mob1/api/onboarding/v1/resetPin`, wallet, { token: written(secret(tokenOf(message))) }));
  };
  expect('accosa: reset the PIN', await resetPin(), 200, { responseCode: '00', urn: Number(second.urn), bankId: 7000 });
  expect('accosa: base64 in lines', await resetPin({}, (token) => token.replace(/.{64}/g, '$&\n')), 200, { responseCode: '00' });
  expect('accosa: base64 without padding', await resetPin({}, (token) => token.replace(/=+$/, '')), 200, { responseCode: '00' });
  const none = { customerId: null, mobileNumber: null, emailAddress: null, cardProfileId: null };
  expect('accosa: optional members null', await resetPin(none), 200, { responseCode: '00' });
  expect('accosa: other last digits', await resetPin({ last4Digits: '0000' }), 404, { responseCode: '1231' });
  const bare = await client.json(`${URL}/mob1/api/onboarding/v1/resetPin`, {}, { token: '' });
  expect('accosa: no x-api-key', bare, 401, { message: 'No API key found in request' });

  // Network International.

  const known = clients.networkintl;
  const changePin = (encrypted_old_pin, encrypted_new_pin, members = {}) => {
    const request_card_pin_change = {
      header: {
        msg_id: randomBytes(6).toString('hex'),
        msg_type: 'TRANSACTION',
        msg_function: 'REQ_CARD_PIN_CHANGE',
        src_application: 'IVR',
        target_application: 'PCMS',
        timestamp: new Date().toISOString(),
        tracking_id: '',
        bank_id: known.bank_id,
        instance_id: null,
      },
      body: {
        card_number: normal.pan,
        card_sequence_number: '01',
        card_expiry_date: normal.expiry,
        encrypted_old_pin,
        encrypted_new_pin,
        encryption_method: 'SYMMETRIC_ENC',
        encryption_key_id: '',
        encryption_key_type: null,
        ...members,
      },
    };
    return client.json(`${URL}/CardServices/Transaction/V1/CardPinChange`, networkintl, { NISrvRequest: { request_card_pin_change } });
  };
  const outcome = (status, error_code) => ({
    'NISrvResponse.response_card_pin_change.exception_details.status': status,
    'NISrvResponse.response_card_pin_change.exception_details.error_code': error_code,
  });
  const certificate = await client.get(`${URL}/CardServices/Security/V1/PinCertificate`, networkintl);
  expect('networkintl: certificate', certificate, 200);
  const { publicKey } = new X509Certificate(Buffer.from(certificate.body.certificate, 'base64'));
  const hex = (bytes) => secret(bytes.toString('hex').toUpperCase());
  const zpk = (digits) => hex(underTDES(known.zpk_hex, format0(digits, normal.pan)));
  const rsa = (digits) => hex(publicEncrypt({ key: publicKey, padding: constants.RSA_PKCS1_PADDING }, format0(digits, normal.pan)));
  expect('networkintl: change, SYMMETRIC_ENC, key id ""', await changePin(zpk('7010'), zpk('4826')), 200, outcome('S', '000'));
  const asynchronous = { encryption_method: 'ASYNC_ENC' };
  expect('networkintl: change, ASYNC_ENC', await changePin(rsa('4826'), rsa('7010'), asynchronous), 200, outcome('S', '000'));
  expect('networkintl: a wrong old PIN', await changePin(zpk('9182'), zpk('4826')), 200, outcome('F', '889'));
  expect('networkintl: no card_number', await changePin(zpk('7010'), zpk('4826'), { card_number: undefined }), 400, outcome('F', '101'));
  expect('networkintl: no token', await client.json(`${URL}/CardServices/Transaction/V1/CardPinChange`, {}, {}), 401, outcome('F', '401'));

  // The hosted page.

  const { hashdt } = clients;
  const link = (action, card, members = {}, get = client.get) =>
    get(`${URL}/issuing/api/v1/card/${action}`, {
      'x-api-key': hashdt['x-api-key'],
      'x-product-id': hashdt['x-product-id'],
      'x-cardholder-id': card.cardholderId,
      'x-wallet-id': card.walletId,
      'x-card-id': card.hashdtCardId,
      'x-client-id': hashdt['x-client-id'],
      'x-request-id': randomUUID(),
      ...members,
    });
  const success = (message) => ({ status: 'Success', message, code: 200 });
  const failure = (code) => ({ status: 'error', code });
  expect('hashdt: setpin', await link('setpin', unchosen), 200, success('Set PIN URL fetched successfully.'));
  expect('hashdt: resetpin', await link('resetpin', normal), 200, success('Reset PIN URL fetched successfully.'));
  expect('hashdt: changepin, with an empty x-client-id', await link('changepin', normal, { 'x-client-id': '' }), 200, success('Change PIN URL fetched successfully.'));
  expect('hashdt: setpin where a PIN was chosen', await link('setpin', normal), 400, failure(400));
  expect("hashdt: another's card", await link('resetpin', { ...unchosen, hashdtCardId: 'CD99999999' }), 404, failure(404));
  expect('hashdt: an unknown key', await link('resetpin', normal, { 'x-api-key': 'nobody.guessed' }), 401, failure(401));
  if (client === axios) {
    const printed = await link('resetpin', normal, {}, asPrinted);
    expect('hashdt: resetpin, as the partner prints it for NodeJs', printed, 200, success('Reset PIN URL fetched successfully.'));
    expect('thredd: unblock, null as JSON', await nullPosted(`${pin}/unblock`, thredd), 204);
  }

  // The issuer API.

  const keyed = { ...issuer, 'Idempotency-Key': randomUUID() };
  const card = { programId: normal.programId, pan: '9999990000002002', expiry: '3112', sequence: '01', customerId: null };
  const { cardId } = expect('issuer: a new card', await client.json(`${URL}/issuer/v1/cards`, keyed, card), 201, { maskedPan: '999999******2002' });
  expect('issuer: the same call again', await client.json(`${URL}/issuer/v1/cards`, keyed, card), 201, { cardId });
  const at = `${URL}/issuer/v1/cards/${normal.cardId}`;
  const { zpk_hex, zpk_id } = clients.issuer;
  const block = (digits) => ({ pinBlock: hex(underTDES(zpk_hex, format0(digits, normal.pan))), format: 'ISO-0', keyId: zpk_id });
  expect('issuer: a card', await client.get(at, issuer), 200, { cardId: normal.cardId });
  expect('issuer: the right PIN', await client.json(`${at}/pin/verifications`, issuer, block('7010')), 200, { result: 'match', remainingTries: 3 });
  expect('issuer: a wrong PIN', await client.json(`${at}/pin/verifications`, issuer, block(PLANTED)), 200, { result: 'mismatch', remainingTries: 2 });
  expect('issuer: set the PIN', await client.json(`${at}/pin`, issuer, block('4826'), 'PUT'), 204);
  expect('issuer: unblock', await client.json(`${at}/pin/unblock`, issuer, { reason: 'asked for' }), 204);
  expect('issuer: status', await client.get(`${at}/pin`, issuer), 200, { state: 'chosen', remainingTries: 3 });
  expect('issuer: an unknown card', await client.get(`${URL}/issuer/v1/cards/00000000-0000-7000-8000-0000ffffffff`, issuer), 404, { code: 'not_found' });
  const capabilities = await client.get(`${at}/pin/capabilities`, issuer);
  expect('issuer: what can be done with the PIN', capabilities, 200, { language: 'en', 'capabilities.0.possible': true });
  const guarded = `${URL}/issuer/v1/cards/${dual.cardId}`;
  const asked = await client.json(`${guarded}/approvals`, issuer, { action: 'unblock', clientId: null, reason: 'asked for' });
  const { approvalId } = expect('issuer: request an approval, clientId null', asked, 201, { state: 'pending' });
  const grant = (headers) => client.json(`${URL}/issuer/v1/approvals/${approvalId}/decision`, headers, { decision: 'grant', reason: null });
  expect('issuer: a grant by the client that asks', await grant(issuer), 409, { code: 'same_client' });
  expect('issuer: a grant by another client', await grant(approver), 200, { state: 'granted' });
  expect('issuer: unblock, approved', await client.json(`${guarded}/pin/unblock`, issuer, { reason: 'asked for' }), 204);
  expect('issuer: unblock, approved no more', await client.json(`${guarded}/pin/unblock`, issuer, { reason: 'asked for' }), 409, { code: 'approval_needed' });
  const halted = `${URL}/issuer/v1/clients/issuer_halted-sandbox`;
  expect('issuer: a client that is halted', await client.get(halted, issuer), 200, { 'halted.bin': '999999' });
  expect('issuer: release it', await client.json(`${halted}/release`, issuer, { reason: 'another key' }), 200, { halted: undefined });
  const limits = { requestsPerMinute: null, unblocksPerCardAndDay: 1 };
  const limited = await client.json(`${URL}/issuer/v1/clients/thredd-sandbox/limits`, issuer, limits, 'PUT');
  expect('issuer: limit thredd', limited, 200, { 'limits.unblocksPerCardAndDay': 1 });
  expect('thredd: one unblock too many', await client.json(`${pin}/unblock`, thredd, {}), 429, { status: 429 });
  return { issuer, thredd };
}

/** The clear PIN block of format 0 (ISO 9564-1). */
function format0(pin, pan) {
  const field = Buffer.from(`0${pin.length.toString(16)}${pin}`.padEnd(16, 'F'), 'hex');
  const account = Buffer.from(pan.slice(-13, -1).padStart(16, '0'), 'hex');
  return Buffer.from(field.map((byte, i) => byte ^ account[i]));
}

function underTDES(key, block) {
  const cipher = createCipheriv('des-ede3', Buffer.from(key + key.slice(0, 16), 'hex'), null).setAutoPadding(false);
  return Buffer.concat([cipher.update(block), cipher.final()]);
}

await walk(fetch);
const tokens = await walk(axios);

// What is signed is read with jose.
const keys = createRemoteJWKSet(new globalThis.URL(`${URL}/oauth2/jwks`));
for (const [name, { Authorization }] of Object.entries(tokens)) {
  const { payload } = await jwtVerify(Authorization.replace('Bearer ', ''), keys, { audience: name });
  report.told('jose', `${name}: the token is signed by a key of /oauth2/jwks`, payload.client_id, `${name}-sandbox`);
}
