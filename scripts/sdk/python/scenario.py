"""The scenario of ../README.md: one new card, one PIN, every contract by its generated client."""

import itertools
import os
import re
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypeVar

from accosa import TokenKey, TokenTransport
from clients import accosa as accosa_client
from clients import common as common_client
from clients import creditplus as creditplus_client
from clients import issuer as issuer_client
from clients import networkintl as networkintl_client
from clients import thredd as thredd_client
from clients.accosa.api.pin import reset_pin
from clients.accosa.models import ResetPinError, ResetPinMessage, ResetPinReply
from clients.common.api.authorization import issue_token
from clients.common.api.sandbox import get_sandbox_fixtures
from clients.common.models import Fixtures, TokenRequest, TokenResponse
from clients.creditplus.api.helpdesk import reset_pin_retry_counter_v2
from clients.creditplus.models import Done, ResetRequest
from clients.issuer.api.cards import create_card
from clients.issuer.api.pin import get_pin_status, verify_pin
from clients.issuer.models import Card, CardRequest, PinBlock, Reference, Verification
from clients.issuer.models import PinStatus as IssuerPinStatus
from clients.networkintl.api.card_pin import change_card_pin_v1
from clients.networkintl.models import (
    BodyV1,
    CardPinChangeRequestV1,
    CardPinChangeResponse,
    ChangeV1,
    RequestHeader,
    ServiceRequestV1,
)
from clients.thredd.api.authorization import issue_token as issue_thredd_token
from clients.thredd.api.pin_management import get_card_pin, get_card_pin_status, set_card_pin
from clients.thredd.models import Pin, PinStatus, SetPinRequest
from clients.thredd.models import TokenRequest as ThreddTokenRequest
from clients.thredd.models import TokenResponse as ThreddTokenResponse
from creditplus import MessageKey, SealedTransport
from pinblock import pin_block

URL = os.environ["PINVAULT_URL"]
PAN = "9999990000001004"
TOKEN = "103170001"
STEP = itertools.count(1)

T = TypeVar("T")


class Reply(Protocol):
    """What every generated client gives, each in a class of its own."""

    @property
    def status_code(self) -> int: ...
    @property
    def content(self) -> bytes: ...
    @property
    def parsed(self) -> object: ...


def same(what: str, found: object, wanted: object) -> None:
    if found != wanted:
        raise SystemExit(f"{what}: {found!r} instead of {wanted!r}")


def got(what: str, status: int, kind: type[T], reply: Reply) -> T:
    """What a call gave: it must have the status and the type."""
    if reply.status_code != status or not isinstance(reply.parsed, kind):
        raise SystemExit(f"{what}: {reply.status_code} {reply.content.decode()}")
    print(f"{next(STEP):2} {what}")
    return reply.parsed


public = common_client.Client(URL)
fixtures = got("fixtures", 200, Fixtures, get_sandbox_fixtures.sync_detailed(client=public))
program: str = fixtures.cards["normal"]["programId"]


def fixture(name: str) -> dict[str, Any]:
    return fixtures.clients[name].additional_properties


def token(name: str) -> str:
    known = fixture(name)
    body = TokenRequest("client_credentials", known["client_id"], known["client_secret"])
    issued = got(f"token for {name}", 200, TokenResponse, issue_token.sync_detailed(client=public, body=body))
    same("type of the token", issued.token_type, "Bearer")
    return issued.access_token


def thredd_token() -> str:
    known = fixture("thredd")
    body = ThreddTokenRequest(known["client_id"], known["client_secret"], "client_credentials")
    reply = issue_thredd_token.sync_detailed(client=thredd_client.Client(URL), body=body)
    issued = got("token for thredd", 200, ThreddTokenResponse, reply)
    same("type of the token", issued.token_type, "Bearer")
    return issued.access_token


issuer = issuer_client.AuthenticatedClient(URL, token("issuer"))
networkintl = networkintl_client.AuthenticatedClient(URL, token("networkintl"))

# Clear JSON of this client is refused: what it gets through was sealed.
SEALING = fixture("creditplus_encrypted_only")
creditplus = creditplus_client.AuthenticatedClient(
    URL,
    token("creditplus_encrypted_only"),
    httpx_args={"transport": SealedTransport(MessageKey(SEALING["key_hex"], SEALING["key_id"]))},
)
thredd = thredd_client.AuthenticatedClient(URL, thredd_token())
accosa = accosa_client.AuthenticatedClient(
    URL,
    fixture("accosa")["x-api-key"],
    prefix="",
    auth_header_name="x-api-key",
    httpx_args={"transport": TokenTransport(TokenKey(fixture("accosa")["key_hex"]))},
)


def created() -> str:
    body = CardRequest(
        program_id=program,
        pan=PAN,
        expiry="3112",
        sequence="01",
        customer_id="IN00001201001001",
        references=[
            Reference("publicToken", TOKEN),
            Reference("urn", "70000001001"),
            Reference("identifier", "DEVICE0000001001"),
        ],
    )
    reply = create_card.sync_detailed(client=issuer, body=body, idempotency_key=str(uuid.uuid4()))
    card = got("issuer: create the card", 201, Card, reply)
    same("masked PAN", card.masked_pan, "999999******1004")
    return card.card_id


card_id = created()


def read(pin: str) -> None:
    reply = get_card_pin.sync_detailed(TOKEN, client=thredd)
    same("PIN", got("thredd: read the PIN", 200, Pin, reply).pin, pin)


def status(state: str, tries: str) -> None:
    reply = get_card_pin_status.sync_detailed(TOKEN, client=thredd)
    found = got(f"thredd: status, {state}, tries {tries}", 200, PinStatus, reply)
    same("status", (found.status, found.remaining_tries), (state, tries))


def verify(pin: str, result: str, tries: int, *, aes: bool = False) -> None:
    known = fixture("issuer")
    if aes:
        body = PinBlock("ISO-4", known["zpk_aes_id"], pin_block("ISO-4", known["zpk_aes_hex"], PAN, pin))
    else:
        body = PinBlock("ISO-0", known["zpk_id"], pin_block("ISO-0", known["zpk_hex"], PAN, pin))
    reply = verify_pin.sync_detailed(card_id, client=issuer, body=body)
    found = got(f"issuer: verify a PIN, {result}, tries {tries}", 200, Verification, reply)
    same("verification", (found.result, found.remaining_tries), (result, tries))


def reset_counter() -> None:
    now = datetime.now(UTC)
    body = ResetRequest(now + timedelta(minutes=1), now, identifier="DEVICE0000001001")
    reply = reset_pin_retry_counter_v2.sync_detailed(client=creditplus, body=body)
    done = got("creditplus: reset the try counter, sealed", 200, Done, reply)
    same("code", done.code, "OK")
    if not re.fullmatch("SR[0-9]{10,}", done.service_request_number):
        raise SystemExit(f"service request {done.service_request_number}")


def change(old: str, new: str) -> None:
    known = fixture("networkintl")
    header = RequestHeader(
        bank_id=known["bank_id"],
        msg_function="REQ_CARD_PIN_CHANGE",
        msg_id=str(uuid.uuid4())[:12],
        msg_type="TRANSACTION",
        src_application="IVR",
        target_application="PCMS",
        timestamp=datetime.now(UTC).isoformat(timespec="milliseconds"),
    )
    body = BodyV1(
        card_expiry_date="3112",
        card_number=PAN,
        card_sequence_number="01",
        encrypted_old_pin=pin_block("ISO-0", known["zpk_hex"], PAN, old),
        encrypted_new_pin=pin_block("ISO-0", known["zpk_hex"], PAN, new),
        encryption_method="SYMMETRIC_ENC",
        encryption_key_id=known["zpk_id"],
    )
    request = CardPinChangeRequestV1(ServiceRequestV1(ChangeV1(body, header)))
    reply = change_card_pin_v1.sync_detailed(client=networkintl, body=request)
    changed = got("networkintl: change the PIN", 200, CardPinChangeResponse, reply)
    outcome = changed.ni_srv_response.response_card_pin_change.exception_details
    same("outcome", (outcome.status, outcome.error_code), ("S", "000"))


def forgotten(pin: str, last_4_digits: str) -> Reply:
    known = fixture("accosa")
    message = ResetPinMessage(
        client_txn_id=str(uuid.uuid4()),
        last_4_digits=last_4_digits,
        message_code="1120",
        new_pin=pin,
        request_date_time=datetime.now(UTC).strftime("%Y%m%d%H%M%S"),
        urn="70000001001",
    )
    return reset_pin.sync_detailed(
        client=accosa,
        body=message,
        client_id=known["clientId"],
        bank_id=known["bankId"],
        entity_id=known["entityId"],
        secure_code=known["secureCode"],
    )


set_to = SetPinRequest("4826")
got("thredd: set the PIN", 204, type(None), set_card_pin.sync_detailed(TOKEN, client=thredd, body=set_to))
read("4826")

for left in (2, 1, 0):
    verify("9182", "mismatch", left)
verify("4826", "blocked", 0)
status("Blocked", "0")

reset_counter()
status("Unblocked", "3")

change("4826", "7351")
read("7351")
verify("9182", "mismatch", 2)

error = got("accosa: another card is unknown, sealed", 404, ResetPinError, forgotten("2604", "0000"))
same("responseCode", error.response_code, "1231")
same("client of the opened error", error.client_id, fixture("accosa")["clientId"])
done = got("accosa: reset the PIN, sealed", 200, ResetPinReply, forgotten("2604", "1004"))
same("responseCode", done.response_code, "00")
verify("2604", "match", 3, aes=True)

reply = get_pin_status.sync_detailed(card_id, client=issuer)
state = got("issuer: status, the tries full", 200, IssuerPinStatus, reply)
same("status", (state.state, state.blocked, state.remaining_tries, state.try_limit), ("chosen", False, 3, 3))
read("2604")
