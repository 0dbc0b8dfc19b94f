"""What Schemathesis has to know of PinVault: who calls, and what is inside an encrypted message.

PINVAULT_URL names the server, a sandbox. PINVAULT_PASS is `messages` (what is inside an encrypted
message is generated and checked, and travels sealed) or `envelopes` (the sealed text itself is).
"""

import base64
import json
import os
import random
import secrets
import uuid
from collections.abc import Mapping

import requests
import schemathesis
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from jwcrypto import jwe, jwk
from schemathesis.core import NOT_SET
from schemathesis.core.failures import ServerError
from schemathesis.openapi.checks import AuthScenario, IgnoredAuth

URL = os.environ["PINVAULT_URL"]
MESSAGES = os.environ.get("PINVAULT_PASS", "messages") == "messages"


def fixture(document):
    """The sandbox's client of a document; {} where all is public."""
    response = requests.get(URL + "/sandbox/fixtures", timeout=10)
    response.raise_for_status()
    fixtures = response.json()
    CARDS.extend(fixtures["cards"].values())
    LINKS.update({"x-api-key": fixtures["clients"]["hashdt"]["x-api-key"]})
    return fixtures["clients"].get(document.get("x-fixture-client"), {})


RANDOM = random.Random(20260115)  # its own: Hypothesis seeds the shared one
CARDS = []
LINKS = {}  # headers of the contract that gives out links to the hosted page
CLIENT = {}  # of the document under test, set when it is loaded


# --- authorization ---


def token(path):
    """An access token from the token endpoint that the document names."""
    response = requests.post(
        URL + path,
        data={
            "grant_type": "client_credentials",
            "client_id": CLIENT["client_id"],
            "client_secret": CLIENT["client_secret"],
        },
        timeout=10,
    )
    response.raise_for_status()
    return response.json()["access_token"]


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
        if data and case.operation.definition.raw.get("security") != []:
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


def resolved(document, schema):
    name = schema.get("$ref", "").removeprefix("#/components/schemas/")
    return document["components"]["schemas"][name] if name else schema


@schemathesis.hook
def before_load_schema(context, raw_schema):
    """Has the document describe what is inside its messages instead of their envelopes."""
    CLIENT.update(fixture(raw_schema))
    if not MESSAGES:
        return
    for content in contents(raw_schema):
        message = {"$ref": "#/components/schemas/" + content["x-decrypted-schema"]}
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


# Serializers and not before_call: a body that is changed there counts as generated anew.
@schemathesis.serializer("application/json")
def to_json(context, value):
    if isinstance(value, bytes):
        return value
    if sealed_in(content_of(context.case)):
        value = {"token": aes_cbc(as_json(value))}
    return as_json(value)


def base64url(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


@schemathesis.serializer("application/jose")
def to_jose(context, value):
    """A JWE in compact serialization, dir and A256GCM (RFC 7516)."""
    if isinstance(value, bytes):
        return value
    if not MESSAGES:
        return str(value).encode()
    header = base64url(as_json({"alg": "dir", "enc": "A256GCM", "kid": CLIENT["key_id"]}))
    iv = secrets.token_bytes(12)
    sealed = AESGCM(bytes.fromhex(CLIENT["key_hex"])).encrypt(iv, as_json(value), header)
    return b".".join([header, b"", base64url(iv), base64url(sealed[:-16]), base64url(sealed[-16:])])


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
    return (
        isinstance(failure, IgnoredAuth)
        and case.path.startswith("/issuing/api/")
        and failure.scenario == AuthScenario.NO_AUTH
        and "`400 Bad Request`" in failure.message
    )


@schemathesis.hook
def filter_failure(context, failure, case, response):
    return not any(meant(failure, case, response) for meant in (wrong_type_is_500, no_key_is_400))


# --- depth ---

# Names by which contracts know what the fixtures list under another.
ALIASES = {
    "card_number": "pan",
    "card_expiry_date": "expiry",
    "card_sequence_number": "sequence",
    "deviceNumber": "number",
    "x-product-id": "programId",
    "x-cardholder-id": "cardholderId",
    "x-wallet-id": "walletId",
    "x-card-id": "hashdtCardId",
    "encryption_key_id": "zpk_id",
}

# What must be new in every request, or the request is a replay.
ONCE = {"Idempotency-Key", "IdempotencyKey", "x-request-id", "msg_id", "clientTxnId"}


def each(value, change):
    """The same with every named value changed."""
    if isinstance(value, dict):
        return {name: change(name, each(inner, change)) for name, inner in value.items()}
    return value


def once(name, value):
    if name not in ONCE:
        return value
    new = str(uuid.UUID(int=RANDOM.getrandbits(128), version=4))
    return new[:12] if name == "msg_id" else new


def session(card, step):
    """What a step of the hosted page takes: {} where the card takes no PIN. Step is the end of its path."""
    wanted = {name: card[listed] for name, listed in ALIASES.items() if name.startswith("x-")}
    action = RANDOM.choice(["setpin", "resetpin", "changepin"])
    headers = {**LINKS, **wanted, "x-request-id": str(uuid.UUID(int=RANDOM.getrandbits(128), version=4))}
    link = requests.get(f"{URL}/issuing/api/v1/card/{action}", headers=headers, timeout=10)
    if not link.ok:
        return {}
    page, secret = link.json()["data"][0]["set_pin_url"].split("#")
    parts = {"sessionId": page.rsplit("/", 1)[1], "secret": secret}
    if step in ("current", "new"):
        granted = requests.post(page + "/exchange", json={"secret": secret}, timeout=10).json()
        sealed = jwe.JWE(
            json.dumps({"for": step, "pin": RANDOM.choice([card["pin"], card["pin"], "4826", "1"])}).encode(),
            json.dumps({"alg": "ECDH-ES", "enc": "A256GCM"}),
            recipient=jwk.JWK(**granted["key"]),
        )
        parts |= {"token": granted["token"], "pin": sealed.serialize(compact=True)}
    return parts


@schemathesis.hook
def before_call(context, case, kwargs):
    """Has what is well formed reach the vault: a made-up card is unknown, a used idempotency key a replay."""
    if not (case.meta and case.meta.generation.mode.is_positive):
        return
    if case.body is NOT_SET and case.operation.definition.raw.get("x-content-type-required"):
        case.headers = {**(case.headers or {}), "Content-Type": "application/json"}
    known = {}
    if case.meta.phase.name.value == "fuzzing" and RANDOM.random() < 0.8:
        card = RANDOM.choice(CARDS)
        known = {**CLIENT, **card}
        if "sessionId" in (case.path_parameters or {}):
            known = session(card, case.path.rsplit("/", 1)[1])
    for part in ("path_parameters", "query", "headers", "body"):
        found = getattr(case, part)
        if not isinstance(found, Mapping):
            continue
        changed = each(each(dict(found), once), lambda name, value: known.get(ALIASES.get(name, name), value))
        if changed != dict(found):
            setattr(case, part, changed)


@schemathesis.hook
def after_call(context, case, response):
    if not sealed_in(content_of(case, response.status_code)):
        return
    try:
        response.content = opened(json.loads(response.content)["token"])
        response.headers["content-length"] = [str(len(response.content))]
    except (ValueError, KeyError, TypeError):
        pass  # the checks say what is wrong with a reply that is no token


@schemathesis.hook
def filter_path_parameters(context, path_parameters):
    """Spares the client that the run itself is authorized by: it would lock itself out."""
    return (path_parameters or {}).get("clientId") != CLIENT.get("client_id", "")
