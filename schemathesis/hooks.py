"""What Schemathesis has to know of PinVault: who calls, what is inside an encrypted message, and what is real.

PINVAULT_URL names the server, a sandbox. PINVAULT_PASS is `messages` or `links` (what is inside an encrypted
message is generated and checked, and travels sealed), or `envelopes` (the sealed text itself is).
PINVAULT_SECRETS names the file that gets what the server must not log, one a line.
"""

import base64
import itertools
import json
import os
import random
import secrets
import uuid
from collections import Counter
from collections.abc import Mapping
from urllib.parse import urljoin

import requests
import schemathesis
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from jwcrypto import jwe, jwk
from schemathesis.core import NOT_SET
from schemathesis.core.failures import ServerError
from schemathesis.generation import GenerationMode
from schemathesis.openapi.checks import AuthScenario, IgnoredAuth

URL = os.environ["PINVAULT_URL"]
MESSAGES = os.environ.get("PINVAULT_PASS") != "envelopes"
SECRETS = open(os.environ.get("PINVAULT_SECRETS", os.devnull), "a", buffering=1)  # noqa: SIM115

RANDOM = random.Random(20260115)  # its own: Hypothesis seeds the shared one
PLANTED = "907153862417"  # a PIN that no log may hold
CLIENTS = {}  # the fixtures' clients
CLIENT = {}  # the one of the document under test, set when it is loaded
CARDS = {}  # the fixtures' cards
ISSUED = set()  # every longer text that the server has given out or taken, which links hand on
SCOPES = {}  # of contracts, by name
BEARERS = {}  # of clients, by their id: the headers that authorize what is made ready for a request
KEYS = {}  # of sessions of the hosted page, by the token that came with them


def secret(value):
    SECRETS.write(value + "\n")
    return value


def load_fixtures(document):
    """Reads the sandbox's clients and cards. A document without a client of its own gets the issuer's."""
    response = requests.get(URL + "/sandbox/fixtures", timeout=10)
    response.raise_for_status()
    fixtures = response.json()
    CLIENTS.update(fixtures["clients"])
    CLIENT.update(CLIENTS[document.get("x-fixture-client", "issuer")])
    CARDS.update(fixtures["cards"])
    for fate in requests.get(URL + "/openapi/sandbox.json", timeout=10).json()["x-fates"]:
        if "card" in fate and ("fault" in fate or "delayMs" in fate):  # whose answers are failures on purpose
            del CARDS[fate["card"]]
    secret(PLANTED)
    for card in CARDS.values():
        secret(card["pan"])
    for client in CLIENTS.values():
        for name, value in client.items():
            if name.endswith(("_secret", "_hex", "-key", "Code", "token")):
                secret(value)


# --- authorization ---


def token(path, client=CLIENT):
    """An access token from the token endpoint that the document names."""
    response = requests.post(
        urljoin(URL, path),
        data={
            "grant_type": "client_credentials",
            "client_id": client["client_id"],
            "client_secret": client["client_secret"],
        },
        timeout=10,
    )
    response.raise_for_status()
    return secret(response.json()["access_token"])


# An auth provider and not a hook: ignored_auth has to be able to take it away.
@schemathesis.auth(refresh_interval=300)
class Fixture:
    def get(self, case, ctx):
        schemes = ctx.operation.schema.raw_schema["components"].get("securitySchemes", {})
        if "apiKey" in schemes:
            return schemes["apiKey"]["name"], CLIENT["x-api-key"]
        if "oauth2" in schemes:
            flow = schemes["oauth2"]["flows"]["clientCredentials"]
            return "Authorization", "Bearer " + token(flow["tokenUrl"])
        return None

    def set(self, case, data, ctx):
        if data and "x-public" not in case.operation.definition.raw:
            name, value = data
            case.headers = {**(case.headers or {}), name: value}


# --- encryption ---


def contents(document):
    """Every content of a request or reply that holds an encrypted message."""
    for methods in document["paths"].values():
        for operation in methods.values():
            if not isinstance(operation, dict):
                continue
            for part in (operation.get("requestBody", {}), *operation["responses"].values()):
                for content in part.get("content", {}).values():
                    if "x-decrypted-schema" in content:
                        yield content


def resolved(document, part):
    """What a reference within the document stands for; anything else is itself."""
    reference = part.get("$ref", "")
    if not reference.startswith("#/"):
        return part
    for name in reference.removeprefix("#/").split("/"):
        document = document[name]
    return document


def or_unsent(schema, *values):
    """A schema that takes these values too, which count as not sent."""
    empty = [{"type": "string", "enum": [""]}] if "" in values else []
    return {"anyOf": [schema, *empty], "nullable": None in values}


def admit_unsent(document, schema, seen):
    """Has a request's schema say that an optional object may be null, and so may what is in a map."""
    schema = resolved(document, schema)
    if id(schema) in seen:
        return
    seen.add(id(schema))
    items = [schema["items"]] if "items" in schema else []
    for part in (*schema.get("properties", {}).values(), *schema.get("oneOf", []), *items):
        admit_unsent(document, part, seen)
    for name, member in schema.get("properties", {}).items():
        if name not in schema.get("required", []) and not resolved(document, member).get("nullable"):
            schema["properties"][name] = or_unsent(member, None)
    if isinstance(schema.get("additionalProperties"), dict):
        schema["additionalProperties"] = or_unsent(schema["additionalProperties"], None)
    if "minProperties" in schema:  # of members that count as sent
        sent = {name: {**resolved(document, member), "nullable": False} for name, member in schema["properties"].items()}
        least = itertools.combinations(sent, schema.pop("minProperties"))
        some = [{**schema, "properties": schema["properties"] | {n: sent[n] for n in names}, "required": [*names]} for names in least]
        schema.clear()
        schema["anyOf"] = some


def describe_unsent(document):
    """Has the document say what its introduction says of what counts as not sent, and what the schemas that are served
    leave out since generators would make types of it: null for an object and for a body, and an empty header."""
    seen = set()
    for item in document["paths"].values():
        operations = [operation for operation in item.values() if isinstance(operation, dict)]
        for operation in operations:
            for name, content in operation.get("requestBody", {}).get("content", {}).items():
                if "form" not in name:
                    admit_unsent(document, content["schema"], seen)
                if "json" in name and not operation["requestBody"].get("required"):
                    content["schema"] = or_unsent(content["schema"], None)
        for part in (item, *operations):
            for parameter in part.get("parameters", []):
                parameter = resolved(document, parameter)
                if parameter["in"] == "header" and not parameter.get("required") and id(parameter) not in seen:
                    seen.add(id(parameter))
                    parameter["schema"] = or_unsent(parameter["schema"], "")


@schemathesis.hook
def before_load_schema(context, raw_schema):
    """Has the document describe what is inside its messages instead of their envelopes, and what counts as not sent."""
    load_fixtures(raw_schema)
    if MESSAGES:
        unseal(raw_schema)
    describe_unsent(raw_schema)


def unseal(raw_schema):
    """Puts the messages' schemas and examples in the place of their envelopes'."""
    for content in contents(raw_schema):
        message = content["x-decrypted-schema"]
        if isinstance(message, str):  # as it is written; what is served has the schema itself
            message = {"$ref": "#/components/schemas/" + message}
        # A reply may be in clear where no key is known to seal it with.
        clear = [s for s in resolved(raw_schema, content["schema"]).get("oneOf", []) if not s["$ref"].endswith("/Token")]
        content["schema"] = {"oneOf": [message, *clear]} if clear else message
        content["examples"] = {
            name: {"value": example["x-decrypted"]}
            for name, example in content.get("examples", {}).items()
            if "x-decrypted" in example
        }


def aes_cbc(text):
    """Accosa's token: Base64 of the IV and the AES-CBC ciphertext, padded as PKCS #7 says."""
    iv = secrets.token_bytes(16)
    padder = padding.PKCS7(128).padder()
    encryptor = Cipher(algorithms.AES(bytes.fromhex(CLIENT["key_hex"])), modes.CBC(iv)).encryptor()
    sealed = encryptor.update(padder.update(text) + padder.finalize()) + encryptor.finalize()
    return base64.b64encode(iv + sealed).decode()


def opened(sealed):
    raw = base64.b64decode(sealed)
    decryptor = Cipher(algorithms.AES(bytes.fromhex(CLIENT["key_hex"])), modes.CBC(raw[:16])).decryptor()
    unpadder = padding.PKCS7(128).unpadder()
    return unpadder.update(decryptor.update(raw[16:]) + decryptor.finalize()) + unpadder.finalize()


def content_of(case, status=None):
    """What the document says of a request's content, or of a reply's."""
    operation = case.operation.definition.raw
    part = operation.get("requestBody", {}) if status is None else operation["responses"].get(str(status), {})
    return part.get("content", {}).get(case.media_type if status is None else "application/json", {})


def sealed_in(content):
    return MESSAGES and "x-decrypted-schema" in content


def as_json(value):
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


def base64url(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def jwe_dir(text):
    """Credit+'s message: a JWE in compact serialization, dir and A256GCM (RFC 7516)."""
    header = base64url(as_json({"alg": "dir", "enc": "A256GCM", "kid": CLIENT["key_id"]}))
    iv = secrets.token_bytes(12)
    sealed = AESGCM(bytes.fromhex(CLIENT["key_hex"])).encrypt(iv, text, header.encode())
    return ".".join([header, "", base64url(iv), base64url(sealed[:-16]), base64url(sealed[-16:])])


def envelope(media_type, message):
    """A message as it travels."""
    text = as_json(message)
    return jwe_dir(text) if media_type == "application/jose" else {"token": aes_cbc(text)}


# Serializers and not before_call: a body that is changed there counts as generated anew.
@schemathesis.serializer("application/json")
def to_json(context, value):
    if isinstance(value, bytes):
        return value
    return as_json(envelope("application/json", value) if sealed_in(content_of(context.case)) else value)


@schemathesis.serializer("application/jose")
def to_jose(context, value):
    if isinstance(value, bytes):
        return value
    return (envelope("application/jose", value) if MESSAGES else str(value)).encode()


# --- what is meant ---

# Replies that a check takes for a failure and that the partner's contract demands. Nothing else of the
# check is lost.


def wrong_type_is_500(failure, case, response):
    """Credit+ V1 answers a Content-Type that it does not take, and none, with 500 and 999 (DOC)."""
    return (
        isinstance(failure, ServerError)
        and case.path.startswith("/deviceapi/apis/v1/")
        and response.content == b'{"code":"999","reason":"Invalid Request Type"}'
    )


def no_key_is_400(failure, case, response):
    """hashdt answers a missing header with 400, and the API key is a header (LOCAL). A wrong key is 401."""
    meant = (
        isinstance(failure, IgnoredAuth)
        and case.path.startswith("/issuing/api/")
        and failure.scenario == AuthScenario.NO_AUTH
        and "`400 Bad Request`" in failure.message
    )
    if meant:  # the copy without a key shares the metadata of the request, which was well formed
        case.meta.generation.mode = GenerationMode.POSITIVE
    return meant


@schemathesis.hook
def filter_failure(context, failure, case, response):
    return not any(meant(failure, case, response) for meant in (wrong_type_is_500, no_key_is_400))


# --- real data ---

# Generated data is well formed and means nothing: a made-up card is unknown, a random block does not open.
# So that requests reach the vault, most of the well-formed ones speak of the fixtures, the first of each
# operation and phase always. One in so many does not:
MADE_UP = {"examples": 1, "coverage": 2, "fuzzing": 5}
CHANGED = ("cardId", "programId")  # what PATCH changes
SENT = Counter()  # well-formed requests, by operation and phase

# What must be new in every request, or the request is a replay.
ONCE = {"Idempotency-Key", "IdempotencyKey", "x-request-id", "msg_id", "clientTxnId"}

# Where a PIN is asked for, and where somebody might write one: PLANTED stands there now and then.
TEMPTING = {"pin", "newPIN", "description", "notes", "reason"}


def pin_block(pin, pan=""):
    """Format 0 over a PAN, format 1 without one (ISO 9564-1), under the client's zone PIN key (TDES, ECB)."""
    block = int(f"{0 if pan else 1}{len(pin):X}{pin}".ljust(16, "F"), 16)
    if pan:
        block ^= int(pan[-13:-1], 16)
    key = bytes.fromhex(CLIENT["zpk_hex"])
    encryptor = Cipher(TripleDES(key + key[:8]), modes.ECB()).encryptor()
    return (encryptor.update(block.to_bytes(8, "big")) + encryptor.finalize()).hex().upper()


def facts(card):
    """What is true of a card and good in a request, by the names that the contracts have for it."""
    made = {"pan", "pin", "status", "upgradeStatus", "expiry", "sequence", "token"}  # whoever makes a card chooses
    known = {name: value for name, value in {**CLIENT, **card}.items() if name not in made}
    pin = card["pin"] or PLANTED  # one card has none
    if "zpk_hex" in CLIENT:
        known |= {
            "pinBlock": pin_block(RANDOM.choice([pin, PLANTED])),
            "format": "ISO-1",
            "keyId": CLIENT["zpk_id"],
            "encryption_key_id": CLIENT["zpk_id"],
            "encryption_key_type": "TDES",
            "encryption_method": "SYMMETRIC_ENC",
            "encrypted_old_pin": pin_block(pin, card["pan"]),
            "encrypted_new_pin": pin_block(pin, card["pan"]),
        }
    return known | {
        "card_number": card["pan"],
        "card_expiry_date": card["expiry"],
        "card_sequence_number": card["sequence"],
        "expiryDate": f"20{card['expiry'][:2]}-{card['expiry'][2:]}-01",
        "card_identifier_type": "EXID",
        "card_identifier_id": card["exid"],
        "deviceNumber": card["number"],
        "x-product-id": card["programId"],
        "x-cardholder-id": card["cardholderId"],
        "x-wallet-id": card["walletId"],
        "x-card-id": card["hashdtCardId"],
        "timestamp": "2099-12-31T12:00:00.000+00:00",
        "dataValidUntilTimestamp": "2099-12-31T23:59:59.000+00:00",
        "requestDate": "01/15/2026 15:59:59",
        "requestDateTime": "20260115155959",
        "timeZone": "Asia/Dubai",
        "grant_type": "client_credentials",
        "scope": "pins:read",
    }


def phase_of(case):
    return case.meta.phase.name.value


def step_of(case):
    """The end of a path: on the hosted page and in hashdt's contract, what is to be done."""
    return case.path.rsplit("/", 1)[1]


def fresh():
    return str(uuid.UUID(int=RANDOM.getrandbits(128), version=4))


def session(card, step, action):
    """What a step of the hosted page takes, by a link just made: {} where the card takes no PIN."""
    known = facts(card) | {"x-api-key": CLIENTS["hashdt"]["x-api-key"], "x-request-id": fresh()}
    headers = {name: value for name, value in known.items() if name.startswith("x-")}
    link = requests.get(f"{URL}/issuing/api/v1/card/{action}", headers=headers, timeout=10)
    if not link.ok:
        return {}
    page, fragment = link.json()["data"][0]["set_pin_url"].split("#")
    parts = {"sessionId": page.rsplit("/", 1)[1], "secret": secret(fragment)}
    ISSUED.add(parts["sessionId"])
    if step in ("current", "new"):
        granted = requests.post(page + "/exchange", json={"secret": fragment}, timeout=10).json()
        KEYS[granted["token"]] = granted["key"]
        parts["token"] = secret(granted["token"])
    return parts


def sealed_pin(case):
    """A PIN as the hosted page sends it, to the key of its session."""
    pins = [CARDS["normal"]["pin"]]
    if phase_of(case) != "stateful":
        pins = [PLANTED, "1", *(card["pin"] for card in CARDS.values())]
    message = jwe.JWE(
        json.dumps({"for": step_of(case), "pin": RANDOM.choice(pins)}).encode(),
        json.dumps({"alg": "ECDH-ES", "enc": "A256GCM"}),
        recipient=jwk.JWK(**KEYS[case.body["token"]]),
    )
    return message.serialize(compact=True)


def known(case):
    """Real values for this request, by name; {} where what was generated stays as it is."""
    phase, step, path = phase_of(case), step_of(case), case.path_parameters or {}
    stateful = phase == "stateful"
    if stateful and not any(before == "stateful" for _, before in SENT):
        # Scenarios start with the cards as they were, and with no id that is gone.
        requests.post(URL + "/sandbox/reset", timeout=10).raise_for_status()
        ISSUED.clear()
    turn = SENT[case.operation.label, phase]
    SENT[case.operation.label, phase] += 1
    if case.method.upper() == "PATCH":
        # Of the fixtures one card alone may change, and its program: a closed card is of no use to the others.
        spared = {card[name] for card in CARDS.values() for name in CHANGED}
        made_up = not stateful and turn % 5 == 4 and spared.isdisjoint(path.values())
        return {} if made_up else {name: CARDS["alias_disabled"][name] for name in CHANGED}
    made_up = not stateful and (turn + 1) % MADE_UP[phase] == 0
    if case.path.startswith((PARTNER_KEYS, BLOCKS)):
        return partner_key(case, made_up)
    if "approvalId" in path or step == "approvals" and "cardId" in path:
        return {} if made_up and phase != "examples" else approval(case)
    if made_up and (phase != "examples" or step != "setpin"):
        return {}  # examples are of the fixtures already, but for a parameter that is good for one operation alone
    if case.path.startswith(OWN) and case.path != "/sandbox/iframe":
        return made_for(case)
    if case.path.startswith(VAULT_KEYS):
        return vault_key(case)
    suited = CARDS["unchosen" if step == "setpin" else "normal"]
    card = suited if stateful or turn % 2 == 0 else RANDOM.choice(list(CARDS.values()))
    if "sessionId" in path:
        if step in ("current", "new") and linked(case, path["sessionId"]):
            return {}
        ISSUED.discard(path["sessionId"])  # it was used before, and no link leads here
        action = "changepin" if step == "current" or stateful else "resetpin"
        return session(card, step, action) or session(suited, step, action)
    if "number" in path:
        return {"number": "SR0000000000"}
    if "encryption_key_id" in (case.query or {}):
        return {"encryption_key_id": CLIENT["rsa_key_id"]}
    if isinstance(case.body, dict) and "contract" in case.body:
        others = {name: None for name in CLIENTS if name != case.body["contract"]}
        return facts(card) | others | ({} if stateful else workable(case.body["contract"]))
    return facts(card)


def waiting(client):
    """A client's request for an approval, the only one of its own that waits for a decision or was granted."""
    withdrawn(client)
    asked = requests.post(
        f"{URL}/issuer/v1/cards/{CARDS['dual']['cardId']}/approvals",
        json={"action": "unblock", "reason": "Cardholder identified at the branch"},
        headers=bearer(client),
        timeout=10,
    )
    asked.raise_for_status()
    return asked.json()["approvalId"]


def withdrawn(client):
    """Has a client take back what it has asked for: there is one approval at a time for a card, action and client."""
    approvals = URL + "/issuer/v1/approvals"
    for state in ("pending", "granted"):
        listed = requests.get(approvals, {"state": state, "limit": 100}, headers=bearer(client), timeout=10).json()
        for one in listed["items"]:
            if one["requestedBy"] == client["client_id"]:
                requests.post(f"{approvals}/{one['approvalId']}/cancel", headers=bearer(client), timeout=10).raise_for_status()


def bearer(client):
    if client["client_id"] not in BEARERS:
        BEARERS[client["client_id"]] = {"Authorization": "Bearer " + token("/oauth2/token", client)}
    return BEARERS[client["client_id"]]


def approval(case):
    """Real values for an approval: a card whose program asks for one, and nothing that was asked for already; or a request
    that waits, the other client's where this one is to decide."""
    if "cardId" in case.path_parameters:
        withdrawn(CLIENT)
        return {"cardId": CARDS["dual"]["cardId"], "clientId": None}
    if linked(case, case.path_parameters["approvalId"]):
        return {}
    return {"approvalId": waiting(CLIENTS["issuer_approver"] if step_of(case) == "decision" else CLIENT)}


# Where the vault's own keys are.
VAULT_KEYS = "/issuer/v1/vault-keys"


def vault_key(case):
    """Real values for what is asked of the vault's own keys: a use without a rotation under way, or a key that may take the step."""
    keys, own = URL + VAULT_KEYS, bearer(CLIENT)
    step = step_of(case)
    if step not in ("rotations", "steps"):
        return {"use": "pan"}

    def listed():
        return requests.get(keys, headers=own, timeout=10).json()["items"]

    def take(wish, key):
        requests.post(f"{keys}/{key['use']}/keys/{key['version']}/steps", json={"step": wish}, headers=own, timeout=10)

    for key in listed():
        if key["state"] == "pending":
            take("retire", key)
    now = listed()  # a key that is about to become active is not retired
    waiting = {key["use"] for key in now if key["state"] == "pending"}
    use = next(key["use"] for key in now if key["use"] not in waiting)
    if step == "rotations":
        return {"use": use}
    made = requests.post(f"{keys}/{use}/rotations", json={}, headers=own, timeout=10).json()
    if isinstance(case.body, dict) and case.body.get("step") in ("restore", "destroy"):
        take("retire", made)
    return {"use": use, "version": made["version"]}


# Where the partners' keys are, and where one comes in by a key block.
PARTNER_KEYS = "/issuer/v1/keys"
BLOCKS = "/issuer/v1/key-blocks"


def partner_key(case, made_up):
    """Real values for what is asked of a partner's key: one that was made for it and may take the step. The fixtures'
    keys take none, whatever else is made up: what is retired opens no PIN block any more."""
    if made_up and phase_of(case) != "examples":
        return {"keyId": fresh()}
    keys, own = URL + PARTNER_KEYS, bearer(CLIENT)
    step = step_of(case)
    drawn = {"programId": CARDS["normal"]["programId"], "usage": "zone-pin", "algorithm": "AES"}
    real = drawn | {"keyId": fresh(), "masterKeyId": CLIENT["zmk_id"], "bits": None, "succeeds": None, "components": None, "expiresInSeconds": None, "at": None}
    if "keyId" not in (case.path_parameters or {}):
        return real
    of_components = step in ("components", "confirmations")
    body = drawn | {"keyId": real["keyId"]} | ({"components": 2} if of_components else {})
    requests.post(keys, json=body, headers=own, timeout=10).raise_for_status()
    if step in ("rotate", "retire"):
        requests.post(f"{keys}/{real['keyId']}/activate", headers=own, timeout=10).raise_for_status()
    if step == "components":
        real |= {"number": 1, "component": secrets.token_hex(32)}
    return real


# Of the sandbox's own contract nothing is there that was not made before: what an operation is about is made for it,
# and what it makes anew is removed, since there may be so many.
OWN = "/sandbox/"
MAKES = {
    "spaceId": ("spaces", {"id": "made"}),
    "ruleId": ("rules", {"id": "made", "row": "getLiveness/alive"}),
    "snapshotId": ("snapshots", {"id": "made"}),
}


def keeping(kind):
    """The header of a space that can be kept, whatever the sandbox's database is: only the first one may not be SQLite."""
    if kind != "snapshots":
        return {}
    requests.post(URL + OWN + "spaces", json={"id": "kept"}, timeout=10)  # it may be there
    return {"PinVault-Space": "kept"}


def made_for(case):
    """Real values for an operation of the sandbox's own contract."""
    real = {
        "PinVault-Space": "first",
        "contract": "common",
        "operation": "getLiveness",
        "row": "getLiveness/alive",
        "event": None,  # a rule is about calls or about deliveries
        "delivery": None,
        "fault": None,
        "delay": None,  # which may end before it begins
        "client": "thredd-sandbox",
        "card": CARDS["normal"]["cardId"],
        "snapshot": "made",
    }
    kind = step_of(case)
    if case.method.upper() == "POST" and kind in ("spaces", "rules", "snapshots"):
        for one in requests.get(URL + OWN + kind, timeout=10).json()[kind]:
            requests.delete(f"{URL}{OWN}{kind}/{one['id']}", timeout=10).raise_for_status()
    if kind == "rules" and isinstance(case.body, dict):
        case.body = {"row": "", **case.body}  # without an effect it is refused
    if "/snapshots" in case.path and case.method.upper() == "POST":
        kept = keeping("snapshots")
        real |= kept
        case.headers = {**(case.headers or {}), **kept}
    needed = [*(case.path_parameters or {}), *(["snapshotId"] if kind == "spaces" else [])]
    for parameter in needed:
        if parameter in MAKES:
            kind, body = MAKES[parameter]
            requests.post(URL + OWN + kind, json=body, headers=keeping(kind), timeout=10)  # it may be there
            real[parameter] = body["id"]
        if parameter == "number":
            requests.get(URL + "/livez", timeout=10).raise_for_status()
            real[parameter] = requests.get(URL + OWN + "journal?limit=1", timeout=10).json()["entries"][0]["number"]
    return real


def end_at_once(case):
    """Has the journal's stream end at once: what it waits for does not come while it is read."""
    if case.path == OWN + "journal/live":
        entries = (case.query or {}).get("entries")
        if entries is None or str(entries).strip("+0123456789") == "":
            case.query = {**(case.query or {}), "entries": 0}


def workable(contract):
    """What makes a client one that its contract can use: a scope of it, and settings where it demands some."""
    if contract not in SCOPES:
        schemes = requests.get(f"{URL}/openapi/{contract}.json", timeout=10).json()["components"]["securitySchemes"]
        SCOPES[contract] = [
            scope
            for scheme in schemes.values()
            for scope in scheme.get("x-scopes") or scheme.get("flows", {}).get("clientCredentials", {}).get("scopes", {})
        ]
    fixture = CLIENTS[contract]
    own = {"networkintl": {"bankId": fixture.get("bank_id")}}
    if contract == "accosa":
        names = ("clientId", "bankId", "entityId", "secureCode")
        own[contract] = {name: fixture[name] for name in names} | {"messageKeyIds": [fixture["key_id"]]}
    return {"scopes": SCOPES[contract][:1]} | ({contract: own[contract]} if contract in own else {})


def repeatable(name, value):
    """Takes from a new card what only one card can have. Schemathesis repeats the steps of a scenario to build the
    next one, and gives up when one is answered otherwise than before."""
    return {"pan": f"{RANDOM.randrange(10**15, 10**16)}", "references": []}.get(name, value)


def linked(case, value):
    """Whether the value may have come by a link: then it stays."""
    return phase_of(case) == "stateful" and isinstance(value, str) and value in ISSUED


def each(value, change):
    """The same with every named value changed."""
    if isinstance(value, dict):
        return {name: change(name, each(inner, change)) for name, inner in value.items()}
    return value


def rewrite(case, change):
    """Changes every named value of a request."""
    for part in ("path_parameters", "query", "headers", "body"):
        found = getattr(case, part)
        if isinstance(found, Mapping):
            changed = each(dict(found), change)
            if changed != dict(found):
                setattr(case, part, changed)


def spare(case):
    """Spares the client that the run itself is authorized by, wherever its id is from: the run would lock itself out."""
    if "client_id" in CLIENT and (case.path_parameters or {}).get("clientId") == CLIENT["client_id"]:
        case.path_parameters = {**case.path_parameters, "clientId": "nobody"}


@schemathesis.hook
def before_call(context, case, kwargs):
    """Has what is well formed reach the vault, and plants a PIN where it might leak."""
    spare(case)
    end_at_once(case)
    if not case.meta:
        return
    if case.meta.generation.mode.is_positive:
        if case.body is NOT_SET and case.operation.definition.raw.get("x-content-type-required"):
            case.headers = {**(case.headers or {}), "Content-Type": "application/json"}
        real = known(case)

        def replaced(name, value):
            if name in ONCE:
                return fresh()[:12] if name == "msg_id" else fresh()
            return value if linked(case, value) else real.get(name, value)

        rewrite(case, replaced)
        if real and step_of(case) == "rotate" and isinstance(case.body, dict):
            case.body = {**case.body, "keyId": fresh()}  # the successor's
        if isinstance(case.body, dict) and real.get(contract := case.body.get("contract")):
            case.body = {**case.body, contract: real[contract]}
        if phase_of(case) == "stateful":
            rewrite(case, repeatable)
        if real and not MESSAGES and "x-decrypted-schema" in content_of(case):
            example = next(iter(content_of(case)["examples"].values()))
            case.body = envelope(case.media_type, each(example["x-decrypted"], replaced))
        if real and case.media_type == "application/x-www-form-urlencoded" and isinstance(case.body, dict):
            case.body |= {name: real[name] for name in ("grant_type", "client_id", "client_secret")}
    if phase_of(case) == "fuzzing" and RANDOM.random() < 0.1:
        rewrite(case, lambda name, value: PLANTED if name in TEMPTING and isinstance(value, str) else value)
    if case.meta.generation.mode.is_positive and isinstance(case.body, dict) and str(case.body.get("token")) in KEYS:
        case.body = {**case.body, "pin": sealed_pin(case)}


def named(value, name=""):
    """Every text in a JSON value, with its name."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from named(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from named(inner, name)
    elif isinstance(value, str):
        yield name, value


@schemathesis.hook
def after_call(context, case, response):
    """Opens a sealed reply, and remembers what was given out and taken."""
    try:
        reply = json.loads(response.content or "null")
        if sealed_in(content_of(case, response.status_code)):
            response.content = opened(reply["token"])
            response.headers["content-length"] = [str(len(response.content))]
    except (ValueError, KeyError, TypeError):
        return  # the checks say what is wrong with it
    if response.status_code >= 300:
        return
    if isinstance(reply, dict) and "key" in reply and "token" in reply:
        KEYS[reply["token"]] = reply["key"]
    for name, value in named(reply):
        if name in ("access_token", "clientSecret", "token"):
            secret(value)
    for _, value in (*named(reply), *named(case.body)):
        if len(value) > 8:  # else it is a word
            ISSUED.add(value)
