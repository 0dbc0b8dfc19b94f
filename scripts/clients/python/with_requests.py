"""Every contract as it is called with requests, whose defaults are left as they are. The calls are those of ../README.md."""

import base64
import json
import os
import uuid
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import requests
from cryptography import x509
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.asymmetric import padding as rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from jwcrypto import jwe, jwk, jwt
from psec.des import encrypt_tdes_ecb
from psec.pinblock import encode_pinblock_iso_0

import report
from report import PLANTED, URL, secret

CLIENT = "requests"


def expect(call, reply, status, wanted=None):
    return report.expect(CLIENT, call, reply, status, wanted)


def header(token):
    return {"Authorization": f"Bearer {token}"}


requests.post(f"{URL}/sandbox/reset", timeout=10).raise_for_status()
fixtures = requests.get(f"{URL}/sandbox/fixtures", json=None, timeout=10).json()
clients, cards = fixtures["clients"], fixtures["cards"]
normal, second, unchosen, closed = (cards[name] for name in ("normal", "second", "unchosen", "closed"))
expect("common: health, with a body that means nothing", requests.get(f"{URL}/readyz", json={}, timeout=10), 200)


# Tokens, in each of the ways in which requests sends credentials.


def token(client, path="/oauth2/token"):
    known = clients[client]
    form = {"grant_type": "client_credentials", "client_id": known["client_id"], "client_secret": known["client_secret"]}
    reply = requests.post(f"{URL}{path}", data=form, timeout=10)
    expect(f"{client}: token, credentials in the form", reply, 200, {"token_type": "Bearer"})
    return secret(reply.json()["access_token"])


def basic(client, path):
    known = clients[client]
    reply = requests.post(
        f"{URL}{path}", data={"grant_type": "client_credentials"}, auth=(known["client_id"], known["client_secret"]), timeout=10
    )
    if expect(f"{client}: token, HTTP Basic", reply, 200, {"token_type": "Bearer"}).ok:
        secret(reply.json()["access_token"])
    wrong = requests.post(f"{URL}{path}", data={"grant_type": "client_credentials"}, auth=(known["client_id"], "guessed"), timeout=10)
    expect(f"{client}: a wrong secret, HTTP Basic", wrong, 401, {"error": "invalid_client"})


issuer, thredd, networkintl = token("issuer"), token("thredd", "/connect/token"), token("networkintl")
creditplus, sealing = token("creditplus"), token("creditplus_encrypted_only")
for name, at in (("issuer", "/oauth2/token"), ("networkintl", "/oauth2/token"), ("creditplus", "/oauth2/token"), ("thredd", "/connect/token")):
    basic(name, at)

# Thredd.

pin = f"{URL}/api/v1/cards/{normal['publicToken']}/pin"
expect("thredd: the PIN", requests.get(pin, headers=header(thredd), timeout=10), 200, {"pin": normal["pin"]})
expect("thredd: the PIN, with json={}", requests.get(pin, headers=header(thredd), json={}, timeout=10), 200, {"pin": normal["pin"]})
expect("thredd: status, with json='null'", requests.get(f"{pin}/status", headers=header(thredd), data="null", timeout=10), 200, {"status": "Unblocked", "remainingTries": "3"})
change = {"pin": "4826", "description": None, "updatedBy": None}
expect("thredd: set the PIN, optional members None", requests.post(pin, headers=header(thredd), json=change, timeout=10), 204)
again = header(thredd) | {"IdempotencyKey": str(uuid.uuid4())}
for _ in range(2):
    expect("thredd: set the PIN, with IdempotencyKey", requests.post(pin, headers=again, json={"pin": "7010"}, timeout=10), 204)
expect("thredd: a PIN that is a number", requests.post(pin, headers=header(thredd), json={"pin": 7010}, timeout=10), 400)
expect("thredd: unblock", requests.post(f"{pin}/unblock", headers=header(thredd), json={}, timeout=10), 204)
expect("thredd: unblock without a type", requests.post(f"{pin}/unblock", headers=header(thredd), timeout=10), 415)
unknown = f"{URL}/api/v1/cards/100000000/pin"
expect("thredd: an unknown card", requests.get(unknown, headers=header(thredd), timeout=10), 404, {"status": 404})
expect("thredd: no token", requests.get(pin, timeout=10), 401, {"status": 401})
made = {"embossName": "JOSÉ SMITH", "expiryDate": "2031-12-31", "customerReference": None}
expect("thredd: a new card", requests.post(f"{URL}/api/v1/cards", headers=header(thredd), json=made, timeout=10), 201, {"embossName": "JOSÉ SMITH", "expiryDate": "2031-12-31"})

# Credit+.

V2 = f"{URL}/deviceapi/apis/v2/services/helpdesk/resetpinretrycounter"
V1 = f"{URL}/deviceapi/apis/v1/services/helpdesk/resetpinretrycounter"


def reset(**members):
    now = datetime.now(UTC)
    return {"timestamp": now.isoformat(), "dataValidUntilTimestamp": (now + timedelta(minutes=5)).isoformat(), **members}


def sealed(message, client="creditplus_encrypted_only"):
    """A message as jwcrypto seals it."""
    key = jwk.JWK(kty="oct", k=base64.urlsafe_b64encode(bytes.fromhex(clients[client]["key_hex"])).decode().rstrip("="))
    protected = {"alg": "dir", "enc": "A256GCM", "kid": clients[client]["key_id"]}
    box = jwe.JWE(json.dumps(message).encode(), protected=protected)
    box.add_recipient(key)
    return box.serialize(compact=True)


def post_sealed(text):
    return requests.post(V2, data=text, headers=header(sealing) | {"Content-Type": "application/jose"}, timeout=10)


identified = reset(identifier=normal["identifier"], notes=None)
expect("creditplus: V2 in the clear", requests.post(V2, json=identified, headers=header(creditplus), timeout=10), 200, {"code": "OK"})
expect("creditplus: V2 sealed by jwcrypto", post_sealed(sealed(reset(identifier=normal["identifier"]))), 200, {"code": "OK"})
expect("creditplus: V2 sealed, with a newline behind it", post_sealed(sealed(reset(identifier=normal["identifier"])) + "\n"), 200, {"code": "OK"})
expect("creditplus: V2, an unknown card", post_sealed(sealed(reset(identifier="DEVICE9999999999"))), 400, {"code": "RECORD_NOT_FOUND"})
expect("creditplus: V2, sealed under another key", post_sealed(sealed(reset(identifier=normal["identifier"]), "creditplus")), 400, {"code": "CRYPTOGRAPHY_ERROR"})
logged = {
    "institutionCode": normal["institutionCode"],
    "deviceNumber": normal["number"],
    "serviceCode": "109",
    "requestDate": datetime.now(UTC).strftime("%m/%d/%Y %H:%M:%S"),
    "notes": None,
}
expect("creditplus: V1", requests.post(V1, json=logged, headers=header(creditplus), timeout=10), 201, {"code": "CCRBO0004"})
expect("creditplus: V1, an unknown device", requests.post(V1, json=logged | {"deviceNumber": "59999999999999"}, headers=header(creditplus), timeout=10), 404, {"code": "998"})

# Accosa.

accosa = clients["accosa"]
KEY = algorithms.AES(bytes.fromhex(accosa["key_hex"]))
WALLET = {name: accosa[name] for name in ("x-api-key", "clientId", "bankId", "entityId", "secureCode")}


def token_of(message, encode=base64.b64encode):
    iv, padder = os.urandom(16), padding.PKCS7(128).padder()
    encryptor = Cipher(KEY, modes.CBC(iv)).encryptor()
    text = padder.update(json.dumps(message).encode()) + padder.finalize()
    return secret(encode(iv + encryptor.update(text) + encryptor.finalize()).decode())


def opened(reply):
    """A reply with what is in its token in the place of it. One in the clear stays as it is."""
    if "token" not in reply.json():
        return reply
    raw = base64.b64decode(reply.json()["token"])
    decryptor, unpadder = Cipher(KEY, modes.CBC(raw[:16])).decryptor(), padding.PKCS7(128).unpadder()
    reply._content = unpadder.update(decryptor.update(raw[16:]) + decryptor.finalize()) + unpadder.finalize()
    return reply


def reset_pin(encode=base64.b64encode, **members):
    message = {
        "messageCode": "1120",
        "clientTxnId": uuid.uuid4().hex[:25],
        "requestDateTime": datetime.now(UTC).strftime("%Y%m%d%H%M%S"),
        "newPIN": "593817",
        "urn": int(second["urn"]),
        "last4Digits": second["last4Digits"],
        "customerId": second["customerId"],
    }
    body = {"token": token_of(message | members, encode)}
    return opened(requests.post(f"{URL}/mob1/api/onboarding/v1/resetPin", json=body, headers=WALLET, timeout=10))


expect("accosa: reset the PIN", reset_pin(), 200, {"responseCode": "00", "urn": int(second["urn"]), "bankId": 7000})
expect("accosa: base64 in lines (encodebytes)", reset_pin(base64.encodebytes), 200, {"responseCode": "00"})
expect("accosa: base64 without padding", reset_pin(lambda raw: base64.b64encode(raw).rstrip(b"=")), 200, {"responseCode": "00"})
expect("accosa: optional members None", reset_pin(customerId=None, mobileNumber=None, emailAddress=None, cardProfileId=None), 200, {"responseCode": "00"})
expect("accosa: other last digits", reset_pin(last4Digits="0000"), 404, {"responseCode": "1231"})
expect("accosa: no x-api-key", requests.post(f"{URL}/mob1/api/onboarding/v1/resetPin", json={"token": ""}, timeout=10), 401, {"message": "No API key found in request"})

# Network International.

CARD_PIN = "request_card_pin_change"
known = clients["networkintl"]


def change_pin(old, new, method="SYMMETRIC_ENC", card=normal, **members):
    message = {
        "header": {
            "msg_id": uuid.uuid4().hex[:12],
            "msg_type": "TRANSACTION",
            "msg_function": "REQ_CARD_PIN_CHANGE",
            "src_application": "IVR",
            "target_application": "PCMS",
            "timestamp": datetime.now(ZoneInfo("Asia/Dubai")).strftime("%d/%m/%Y %H:%M:%S"),
            "tracking_id": None,
            "bank_id": known["bank_id"],
            "instance_id": None,
        },
        "body": {
            "card_number": card["pan"],
            "card_sequence_number": card["sequence"],
            "card_expiry_date": card["expiry"],
            "encrypted_old_pin": old,
            "encrypted_new_pin": new,
            "encryption_method": method,
            "encryption_key_id": None,
            "encryption_key_type": "",
            **members,
        },
    }
    return requests.post(f"{URL}/CardServices/Transaction/V1/CardPinChange", json={"NISrvRequest": {CARD_PIN: message}}, headers=header(networkintl), timeout=10)


def outcome(status, code):
    way = "NISrvResponse.response_card_pin_change.exception_details"
    return {f"{way}.status": status, f"{way}.error_code": code}


def under_zpk(digits):
    return secret(encrypt_tdes_ecb(bytes.fromhex(known["zpk_hex"]), encode_pinblock_iso_0(digits, normal["pan"])).hex().upper())


certificate = requests.get(f"{URL}/CardServices/Security/V1/PinCertificate", headers=header(networkintl), timeout=10)
expect("networkintl: certificate", certificate, 200)
public = x509.load_der_x509_certificate(base64.b64decode(certificate.json()["certificate"])).public_key()


def under_rsa(digits):
    return secret(public.encrypt(encode_pinblock_iso_0(digits, normal["pan"]), rsa.PKCS1v15()).hex().upper())


expect("networkintl: change, SYMMETRIC_ENC, key id None", change_pin(under_zpk("7010"), under_zpk("4826")), 200, outcome("S", "000"))
expect("networkintl: change, ASYNC_ENC", change_pin(under_rsa("4826"), under_rsa("7010"), "ASYNC_ENC"), 200, outcome("S", "000"))
expect("networkintl: a wrong old PIN", change_pin(under_zpk("9182"), under_zpk("4826")), 200, outcome("F", "889"))
expect("networkintl: no card_number", change_pin(under_zpk("7010"), under_zpk("4826"), card_number=None), 400, outcome("F", "101"))
expect("networkintl: no token", requests.post(f"{URL}/CardServices/Transaction/V1/CardPinChange", json={}, timeout=10), 401, outcome("F", "401"))

# The hosted page, as the partner's page prints it for Python: data={}.

hashdt = clients["hashdt"]


def link(action, card, payload=None, **headers):
    sent = {
        "x-api-key": hashdt["x-api-key"],
        "x-product-id": hashdt["x-product-id"],
        "x-cardholder-id": card["cardholderId"],
        "x-wallet-id": card["walletId"],
        "x-card-id": card["hashdtCardId"],
        "x-client-id": hashdt["x-client-id"],
        "x-request-id": str(uuid.uuid4()),
        "Content-Type": "application/json",
        **headers,
    }
    return requests.request("GET", f"{URL}/issuing/api/v1/card/{action}", headers=sent, timeout=10, **(payload or {"data": {}}))


def success(message):
    return {"status": "Success", "message": message, "code": 200}


expect("hashdt: setpin", link("setpin", unchosen), 200, success("Set PIN URL fetched successfully."))
expect("hashdt: resetpin, with json={}", link("resetpin", normal, {"json": {}}), 200, success("Reset PIN URL fetched successfully."))
expect("hashdt: changepin, with an empty x-client-id", link("changepin", normal, **{"x-client-id": ""}), 200, success("Change PIN URL fetched successfully."))
expect("hashdt: setpin where a PIN was chosen", link("setpin", normal), 400, {"status": "error", "code": 400})
expect("hashdt: another's card", link("resetpin", unchosen | {"hashdtCardId": "CD99999999"}), 404, {"status": "error", "code": 404})
expect("hashdt: an unknown key", link("resetpin", normal, **{"x-api-key": "nobody.guessed"}), 401, {"status": "error", "code": 401})

# The issuer API.

card = {"programId": normal["programId"], "pan": "9999990000002002", "expiry": "3112", "sequence": "01", "customerId": None}
keyed = header(issuer) | {"Idempotency-Key": str(uuid.uuid4())}
reply = expect("issuer: a new card", requests.post(f"{URL}/issuer/v1/cards", json=card, headers=keyed, timeout=10), 201, {"maskedPan": "999999******2002"})
replay = expect("issuer: the same call again", requests.post(f"{URL}/issuer/v1/cards", json=card, headers=keyed, timeout=10), 201)
report.told(CLIENT, "issuer: the same card", replay.json().get("cardId"), reply.json().get("cardId"))
at = f"{URL}/issuer/v1/cards/{normal['cardId']}"
zpk = clients["issuer"]


def block(digits):
    clear = encode_pinblock_iso_0(digits, normal["pan"])
    return {"pinBlock": secret(encrypt_tdes_ecb(bytes.fromhex(zpk["zpk_hex"]), clear).hex()), "format": "ISO-0", "keyId": zpk["zpk_id"]}


expect("issuer: a card", requests.get(at, headers=header(issuer), json={}, timeout=10), 200, {"cardId": normal["cardId"]})
expect("issuer: the right PIN", requests.post(f"{at}/pin/verifications", json=block("7010"), headers=header(issuer), timeout=10), 200, {"result": "match", "remainingTries": 3})
expect("issuer: a wrong PIN", requests.post(f"{at}/pin/verifications", json=block(PLANTED), headers=header(issuer), timeout=10), 200, {"result": "mismatch", "remainingTries": 2})
expect("issuer: unblock", requests.post(f"{at}/pin/unblock", json={"reason": "asked for"}, headers=header(issuer), timeout=10), 204)
expect("issuer: status", requests.get(f"{at}/pin", headers=header(issuer), timeout=10), 200, {"state": "chosen", "remainingTries": 3})
nowhere = f"{URL}/issuer/v1/cards/00000000-0000-7000-8000-0000ffffffff"
expect("issuer: an unknown card", requests.get(nowhere, headers=header(issuer), timeout=10), 404, {"code": "not_found"})
found = requests.get(f"{URL}/issuer/v1/cards", params={"kind": "publicToken", "value": normal["publicToken"], "programId": None}, headers=header(issuer), timeout=10)
expect("issuer: a card by reference", found, 200, {"items.0.cardId": normal["cardId"]})

capabilities = requests.get(f"{at}/pin/capabilities", headers=header(issuer), json={}, timeout=10)
expect("issuer: what can be done with the PIN, with json={}", capabilities, 200, {"language": "en", "capabilities.0.possible": True})
dual = f"{URL}/issuer/v1/cards/{cards['dual']['cardId']}"
wish = {"action": "unblock", "clientId": None, "reason": "asked for"}
asked = expect("issuer: request an approval, clientId None", requests.post(f"{dual}/approvals", json=wish, headers=header(issuer), timeout=10), 201, {"state": "pending"})
decision = f"{URL}/issuer/v1/approvals/{asked.json()['approvalId']}/decision"
grant = {"decision": "grant", "reason": None}
expect("issuer: a grant by the client that asks", requests.post(decision, json=grant, headers=header(issuer), timeout=10), 409, {"code": "same_client"})
expect("issuer: a grant by another client", requests.post(decision, json=grant, headers=header(token("issuer_approver")), timeout=10), 200, {"state": "granted"})
expect("issuer: unblock, approved", requests.post(f"{dual}/pin/unblock", json={"reason": "asked for"}, headers=header(issuer), timeout=10), 204)
expect("issuer: unblock, approved no more", requests.post(f"{dual}/pin/unblock", json={"reason": "asked for"}, headers=header(issuer), timeout=10), 409, {"code": "approval_needed"})
halted = f"{URL}/issuer/v1/clients/issuer_halted-sandbox"
expect("issuer: a client that is halted", requests.get(halted, headers=header(issuer), timeout=10), 200, {"halted.bin": "999999"})
expect("issuer: release it", requests.post(f"{halted}/release", json={"reason": "another key"}, headers=header(issuer), timeout=10), 200, {"halted": None})
limits = {"requestsPerMinute": None, "unblocksPerCardAndDay": 1}
expect("issuer: limit thredd", requests.put(f"{URL}/issuer/v1/clients/thredd-sandbox/limits", json=limits, headers=header(issuer), timeout=10), 200, {"limits": {"unblocksPerCardAndDay": 1}})
limited = expect("thredd: one unblock too many", requests.post(f"{pin}/unblock", headers=header(thredd), json={}, timeout=10), 429, {"status": 429})
report.told(CLIENT, "thredd: after how many seconds to try again", 3600 < int(limited.headers["Retry-After"]) <= 86400, True)

# What is signed is read with jwcrypto.

CLIENT = "jwcrypto"
keys = jwk.JWKSet.from_json(requests.get(f"{URL}/oauth2/jwks", timeout=10).text)
for name, signed in (("issuer", issuer), ("thredd", thredd)):
    read = json.loads(jwt.JWT(jwt=signed, key=keys, expected_type="JWS").claims)
    report.told(CLIENT, f"{name}: the token is signed by a key of /oauth2/jwks", read["client_id"], clients[name]["client_id"])
