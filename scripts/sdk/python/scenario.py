"""The scenario of scripts/sdk/README.md, by the installed package: one new card, one PIN, every contract."""

import itertools
import os
import re
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import urlsplit

from pinvault import ApiError, MessageKey, TokenKey, pin_block
from pinvault import accosa as accosa_contract
from pinvault import common as common_contract
from pinvault import creditplus as creditplus_contract
from pinvault import hashdt as hashdt_contract
from pinvault import hosted as hosted_contract
from pinvault import issuer as issuer_contract
from pinvault import networkintl as networkintl_contract
from pinvault import sandbox as sandbox_contract
from pinvault import thredd as thredd_contract
from pinvault.clients.accosa.api.pin import reset_pin
from pinvault.clients.accosa.models import ResetPinMessage, ResetPinReply
from pinvault.clients.common.api.authorization import issue_token
from pinvault.clients.common.models import TokenRequest, TokenResponse
from pinvault.clients.creditplus.api.helpdesk import reset_pin_retry_counter_v2
from pinvault.clients.creditplus.models import Done, ResetRequest
from pinvault.clients.hashdt.api.pin import reset_pin as reset_by_page
from pinvault.clients.hashdt.models import Fetched
from pinvault.clients.hosted.api.session import exchange_secret
from pinvault.clients.hosted.models import Exchange, Granted
from pinvault.clients.issuer.api.approvals import decide_approval, request_approval
from pinvault.clients.issuer.api.cards import create_card, get_card
from pinvault.clients.issuer.api.clients import get_client, release_client, set_client_limits
from pinvault.clients.issuer.api.pin import get_pin_capabilities, get_pin_session, get_pin_status, unblock_pin, verify_pin
from pinvault.clients.issuer.models import (
    Approval,
    ApprovalDecision,
    ApprovalRequest,
    Card,
    CardRequest,
    ClientHalt,
    ClientLimits,
    PartnerClient,
    PinBlock,
    PinCapabilities,
    PinSession,
    Reference,
    Release,
    Unblock,
    Verification,
)
from pinvault.clients.issuer.models import PinStatus as IssuerPinStatus
from pinvault.clients.networkintl.api.card_pin import change_card_pin_v1
from pinvault.clients.networkintl.models import (
    BodyV1,
    CardPinChangeRequestV1,
    CardPinChangeResponse,
    ChangeV1,
    RequestHeader,
    ServiceRequestV1,
)
from pinvault.clients.sandbox.api.fixtures import get_sandbox_fixtures
from pinvault.clients.sandbox.models import Fixtures
from pinvault.clients.thredd.api.pin_management import get_card_pin, get_card_pin_status, set_card_pin, unblock_card_pin
from pinvault.clients.thredd.models import Pin, PinStatus, SetPinRequest, UnblockPinRequest
from pinvault.testing import Sandbox

SPACE = Sandbox(os.environ["PINVAULT_URL"]).space()
URL = SPACE.url
PAN = "9999990000001004"
TOKEN = "103170001"
STEP = itertools.count(1)

T = TypeVar("T")


def same(what: str, found: object, wanted: object) -> None:
    if found != wanted:
        raise SystemExit(f"{what}: {found!r} instead of {wanted!r}")


def got(what: str, kind: type[T], parsed: object) -> T:
    """What a call gave: it must have the type."""
    if not isinstance(parsed, kind):
        raise SystemExit(f"{what}: {parsed!r}")
    print(f"{next(STEP):2} {what}")
    return parsed


def refused(what: str, kind: type[ApiError], status: int, code: str, call: Callable[[], object]) -> ApiError:
    """The error that a call raised: it must be of the contract, and have status and code."""
    try:
        call()
    except kind as e:
        same(what, (e.status, e.code, bool(e.advice)), (status, code, True))
        print(f"{next(STEP):2} {what}")
        return e
    raise SystemExit(f"{what}: no error")


common = common_contract.connect(URL)
fixtures = got("sandbox: fixtures", Fixtures, get_sandbox_fixtures.sync(client=sandbox_contract.connect(URL)))
program: str = fixtures.cards["normal"]["programId"]


def fixture(name: str) -> dict[str, Any]:
    return fixtures.clients[name].additional_properties


def credentials(name: str) -> tuple[str, str]:
    return fixture(name)["client_id"], fixture(name)["client_secret"]


issued = issue_token.sync(client=common, body=TokenRequest("client_credentials", *credentials("issuer")))
same("type of the token", got("common: a token", TokenResponse, issued).token_type, "Bearer")

# Clear JSON of this client is refused: what it gets through was sealed.
SEALING = fixture("creditplus_encrypted_only")
issuer = issuer_contract.connect(URL, *credentials("issuer"))
approver = issuer_contract.connect(URL, *credentials("issuer_approver"))
networkintl = networkintl_contract.connect(URL, *credentials("networkintl"))
thredd = thredd_contract.connect(URL, *credentials("thredd"))
creditplus = creditplus_contract.connect(
    URL, *credentials("creditplus_encrypted_only"), MessageKey(SEALING["key_hex"], SEALING["key_id"])
)
accosa = accosa_contract.connect(URL, fixture("accosa")["x-api-key"], TokenKey(fixture("accosa")["key_hex"]))
hashdt = hashdt_contract.connect(URL, fixture("hashdt")["x-api-key"])
hosted = hosted_contract.connect(URL)


def created() -> str:
    body = CardRequest(
        program_id=program,
        pan=PAN,
        expiry="3112",
        sequence="01",
        customer_id="IN00001201001001",
        cardholder_id="CH00001001",
        wallet_id="WL00001001",
        references=[
            Reference("publicToken", TOKEN),
            Reference("urn", "70000001001"),
            Reference("identifier", "DEVICE0000001001"),
            Reference("hashdtCardId", "CD00001001"),
        ],
    )
    card = got("issuer: create the card", Card, create_card.sync(client=issuer, body=body))
    same("masked PAN", card.masked_pan, "999999******1004")
    return card.card_id


card_id = created()


def read(pin: str) -> None:
    same("PIN", got("thredd: read the PIN", Pin, get_card_pin.sync(TOKEN, client=thredd)).pin, pin)


def status(state: str, tries: str) -> None:
    found = got(f"thredd: status, {state}, tries {tries}", PinStatus, get_card_pin_status.sync(TOKEN, client=thredd))
    same("status", (found.status, found.remaining_tries), (state, tries))


def verify(pin: str, result: str, tries: int, *, aes: bool = False) -> None:
    known = fixture("issuer")
    if aes:
        block = pin_block("ISO-4", known["zpk_aes_hex"], PAN, pin)
        body = PinBlock(pin_block=block, format_="ISO-4", key_id=known["zpk_aes_id"])
    else:
        block = pin_block("ISO-0", known["zpk_hex"], PAN, pin)
        body = PinBlock(pin_block=block, format_="ISO-0", key_id=known["zpk_id"])
    reply = verify_pin.sync(card_id, client=issuer, body=body)
    found = got(f"issuer: verify a PIN, {result}, tries {tries}", Verification, reply)
    same("verification", (found.result, found.remaining_tries), (result, tries))


def counter_reset(identifier: str) -> object:
    now = datetime.now(UTC)
    body = ResetRequest(timestamp=now, data_valid_until_timestamp=now + timedelta(minutes=1), identifier=identifier)
    return reset_pin_retry_counter_v2.sync(client=creditplus, body=body)


def reset_counter() -> None:
    done = got("creditplus: reset the try counter, sealed", Done, counter_reset("DEVICE0000001001"))
    same("code", done.code, "OK")
    if not re.fullmatch("SR[0-9]{10,}", done.service_request_number):
        raise SystemExit(f"service request {done.service_request_number}")


def changed(pan: str, old: str, new: str) -> object:
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
        card_number=pan,
        card_sequence_number="01",
        encrypted_old_pin=pin_block("ISO-0", known["zpk_hex"], pan, old),
        encrypted_new_pin=pin_block("ISO-0", known["zpk_hex"], pan, new),
        encryption_method="SYMMETRIC_ENC",
        encryption_key_id=known["zpk_id"],
    )
    request = CardPinChangeRequestV1(ServiceRequestV1(ChangeV1(header, body)))
    return change_card_pin_v1.sync(client=networkintl, body=request)


def change(old: str, new: str) -> None:
    reply = got("networkintl: change the PIN", CardPinChangeResponse, changed(PAN, old, new))
    outcome = reply.ni_srv_response.response_card_pin_change.exception_details
    same("outcome", (outcome.status, outcome.error_code), ("S", "000"))


def forgotten(pin: str, last_4_digits: str) -> object:
    known = fixture("accosa")
    message = ResetPinMessage(
        client_txn_id=str(uuid.uuid4()),
        last_4_digits=last_4_digits,
        message_code="1120",
        new_pin=pin,
        request_date_time=datetime.now(UTC).strftime("%Y%m%d%H%M%S"),
        urn="70000001001",
    )
    return reset_pin.sync(
        client=accosa,
        body=message,
        client_id=known["clientId"],
        bank_id=known["bankId"],
        entity_id=known["entityId"],
        secure_code=known["secureCode"],
    )


def page(card: str) -> object:
    return reset_by_page.sync(
        "v1",
        client=hashdt,
        x_product_id=fixture("hashdt")["x-product-id"],
        x_cardholder_id="CH00001001",
        x_wallet_id="WL00001001",
        x_card_id=card,
        x_request_id=str(uuid.uuid4()),
    )


got("thredd: set the PIN", type(None), set_card_pin.sync(TOKEN, client=thredd, body=SetPinRequest("4826")))
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

Accosa = accosa_contract.Code
refused("accosa: another card is unknown, sealed", accosa_contract.AccosaError, 404, Accosa.CODE_1231,
        lambda: forgotten("2604", "0000"))
done = got("accosa: reset the PIN, sealed", ResetPinReply, forgotten("2604", "1004"))
same("responseCode", done.response_code, "00")
verify("2604", "match", 3, aes=True)

state = got("issuer: status, the tries full", IssuerPinStatus, get_pin_status.sync(card_id, client=issuer))
same("status", (state.state, state.blocked, state.remaining_tries, state.try_limit), ("chosen", False, 3, 3))
read("2604")

link = urlsplit(str(got("hashdt: a page for the cardholder", Fetched, page("CD00001001")).data[0].set_pin_url))
session = link.path.rsplit("/", 1)[1]
fares = got("issuer: how the page fares", PinSession, get_pin_session.sync(session, client=issuer))
same("session", (fares.state, fares.card_id), ("opened", card_id))


def exchanged(secret: str) -> object:
    return exchange_secret.sync(session, client=hosted, body=Exchange(secret))


refused("hosted: a secret that is not the link's", hosted_contract.HostedError, 404, hosted_contract.Code.UNUSABLE,
        lambda: exchanged("A" * 43))
got("hosted: the link's secret", Granted, exchanged(link.fragment))

told = got("issuer: what can be done with the PIN", PinCapabilities, get_pin_capabilities.sync(card_id, client=issuer))
same("language", told.language, "en")
same("possible", {one.operation for one in told.capabilities if not one.possible}, set())

# A PIN of a program that asks for a second client's approval.
dual: str = fixtures.cards["dual"]["cardId"]
REASON = "Cardholder identified at the branch"
asked = got("issuer: request an approval", Approval,
            request_approval.sync(dual, client=issuer, body=ApprovalRequest(action="unblock", reason=REASON)))
same("approval", (asked.state, asked.client_id), ("pending", "issuer-sandbox"))
GRANT = ApprovalDecision(decision="grant")
refused("issuer: nobody grants what they have asked for", issuer_contract.IssuerError, 409, issuer_contract.Code.SAME_CLIENT,
        lambda: decide_approval.sync(asked.approval_id, client=issuer, body=GRANT))
granted = got("issuer: another client grants it", Approval, decide_approval.sync(asked.approval_id, client=approver, body=GRANT))
same("state", granted.state, "granted")
got("issuer: unblock a PIN, approved", type(None), unblock_pin.sync(dual, client=issuer, body=Unblock(REASON)))
refused("issuer: an approval is good for once", issuer_contract.IssuerError, 409, issuer_contract.Code.APPROVAL_NEEDED,
        lambda: unblock_pin.sync(dual, client=issuer, body=Unblock(REASON)))

# A client that the alarm has halted.
HALTED = "issuer_halted-sandbox"
found = got("issuer: a client that is halted", PartnerClient, get_client.sync(HALTED, client=issuer))
same("halted", isinstance(found.halted, ClientHalt), True)
free = got("issuer: release it", PartnerClient, release_client.sync(HALTED, client=issuer, body=Release("Another zone key")))
same("halted", isinstance(free.halted, ClientHalt), False)

# The card was unblocked through Credit+, and who may unblock one once a day is told to wait.
limits = ClientLimits(unblocks_per_card_and_day=1)
limited = got("issuer: one unblock a card and day for thredd", PartnerClient,
              set_client_limits.sync("thredd-sandbox", client=issuer, body=limits))
same("limits", limited.limits, limits)
busy = refused("thredd: one unblock too many", thredd_contract.ThreddError, 429, thredd_contract.Code.CODE_429,
               lambda: unblock_card_pin.sync(TOKEN, client=thredd, body=UnblockPinRequest()))
same("told to wait for hours", (busy.retry_after or 0) > 3600, True)

refused("common: a wrong client secret", common_contract.CommonError, 401, common_contract.Code.INVALID_CLIENT,
        lambda: issue_token.sync(client=common, body=TokenRequest("client_credentials", "issuer-sandbox", "wrong")))
refused("thredd: an unknown card", thredd_contract.ThreddError, 404, thredd_contract.Code.CODE_404,
        lambda: get_card_pin.sync("999999999", client=thredd))
refused("creditplus: an unknown card, sealed", creditplus_contract.CreditPlusError, 400,
        creditplus_contract.Code.RECORD_NOT_FOUND, lambda: counter_reset("DEVICE0000009999"))
refused("networkintl: an unknown card", networkintl_contract.NetworkIntlError, 200,
        networkintl_contract.Code.CODE_889, lambda: changed("9999990000009999", "4826", "7351"))
refused("hashdt: an unknown card", hashdt_contract.HashdtError, 404, hashdt_contract.Code.CODE_404,
        lambda: page("CD00009999"))
refused("issuer: an unknown card", issuer_contract.IssuerError, 404, issuer_contract.Code.NOT_FOUND,
        lambda: get_card.sync(str(uuid.uuid4()), client=issuer))

SPACE.close()
