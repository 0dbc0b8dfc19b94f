"""The vectors that the packages of all languages share, and the transport without a network."""

import asyncio
import json
import os
import pathlib
import unittest
from collections.abc import Callable
from unittest import mock

import httpx

from pinvault import ApiError, MessageKey, TokenKey, accosa, creditplus, issuer, pin_block, thredd
from pinvault.sealing import Envelope
from pinvault.transport import Contract, Transport

VECTORS = json.loads(pathlib.Path(os.environ["SDK_VECTORS"]).read_text("utf-8"))
JWE, TOKEN, PIN_BLOCK = VECTORS["jwe"], VECTORS["token"], VECTORS["pinBlock"]
MESSAGE_KEY = MessageKey(JWE["key"], JWE["kid"])
TOKEN_KEY = TokenKey(TOKEN["key"])


class Vectors(unittest.TestCase):
    def test_none_is_missing(self) -> None:
        for listed in (JWE["seal"], JWE["refuse"], TOKEN["seal"], TOKEN["refuse"], PIN_BLOCK):
            self.assertTrue(listed)

    def test_jwe_opens_and_is_sealed_anew(self) -> None:
        for v in JWE["seal"]:
            with self.subTest(v["name"]):
                self.assertEqual(MESSAGE_KEY.open(v["sealed"]), v["clear"])
                # The library draws the IV, so what is sealed differs behind the header.
                anew = MESSAGE_KEY.seal(v["clear"], v["header"])
                self.assertEqual(anew.split(".")[0], v["sealed"].split(".")[0])
                for other in (anew, MESSAGE_KEY.seal(v["clear"])):
                    self.assertNotEqual(other, v["sealed"])
                    self.assertEqual(MESSAGE_KEY.open(other), v["clear"])

    def test_jwe_is_refused(self) -> None:
        for v in JWE["refuse"]:
            with self.subTest(v["name"]), self.assertRaises(ValueError):
                MESSAGE_KEY.open(v["sealed"])

    def test_token_opens_and_is_sealed_as_it_was(self) -> None:
        for v in TOKEN["seal"]:
            with self.subTest(v["name"]):
                self.assertEqual(TOKEN_KEY.open(v["sealed"]), v["clear"])
                self.assertEqual(TOKEN_KEY.seal(v["clear"], bytes.fromhex(v["iv"])), v["sealed"])
                anew = TOKEN_KEY.seal(v["clear"])
                self.assertNotEqual(anew, v["sealed"])
                self.assertEqual(TOKEN_KEY.open(anew), v["clear"])

    def test_token_is_refused(self) -> None:
        for v in TOKEN["refuse"]:
            with self.subTest(v["name"]), self.assertRaises(ValueError):
                TOKEN_KEY.open(v["sealed"])

    def test_pin_block(self) -> None:
        for v in PIN_BLOCK:
            with self.subTest(v["name"]):
                drawn = pin_block(v["format"], v["key"], v["pan"], v["pin"])
                self.assertEqual(pin_block(v["format"], v["key"], v["pan"], v["pin"], v["fill"]), v["block"])
                self.assertRegex(drawn, f"^[0-9A-F]{{{len(v['block'])}}}$")


def sent_through(
    contract: Contract,
    envelope: Envelope | None,
    server: Callable[[httpx.Request], httpx.Response],
    path: str = "/",
    headers: dict[str, str] | None = None,
) -> httpx.Response:
    """What a request to the server gives, by the sync transport; the asyncio one must give the same."""
    transport = Transport(contract, envelope, verify=False)
    transport._sync = transport._async = httpx.MockTransport(server)  # type: ignore[assignment]
    message = {"json": {"pin": "1234"}, "headers": {"X-Other": "kept", **(headers or {})}}

    async def asynchronous() -> tuple[int, str]:
        async with httpx.AsyncClient(transport=transport, base_url="http://host") as client:
            reply = await client.post(path, **message)  # type: ignore[arg-type]
            return reply.status_code, reply.text

    with (
        mock.patch("time.sleep"),
        mock.patch("asyncio.sleep", new_callable=mock.AsyncMock),
        httpx.Client(transport=transport, base_url="http://host") as client,
    ):
        reply = client.post(path, **message)  # type: ignore[arg-type]
        if (reply.status_code, reply.text) != asyncio.run(asynchronous()):
            raise AssertionError("the two transports differ")
        return reply


class Transports(unittest.TestCase):
    def test_a_v2_request_of_creditplus_leaves_sealed(self) -> None:
        def server(request: httpx.Request) -> httpx.Response:
            self.assertEqual(request.headers["Content-Type"], "application/jose")
            self.assertEqual(request.headers["Content-Length"], str(len(request.content)))
            self.assertEqual(request.headers["X-Other"], "kept")
            self.assertEqual(json.loads(MESSAGE_KEY.open(request.content.decode())), {"pin": "1234"})
            return httpx.Response(200, json={"code": "OK"})

        reply = sent_through(creditplus.CONTRACT, MESSAGE_KEY, server, "/deviceapi/apis/v2/any")
        self.assertEqual(reply.json(), {"code": "OK"})

    def test_a_v1_request_of_creditplus_leaves_as_it_is(self) -> None:
        def server(request: httpx.Request) -> httpx.Response:
            return httpx.Response(200, content=request.content)

        reply = sent_through(creditplus.CONTRACT, MESSAGE_KEY, server, "/deviceapi/apis/v1/any")
        self.assertEqual(reply.json(), {"pin": "1234"})

    def test_a_request_of_accosa_leaves_sealed_and_its_reply_is_opened(self) -> None:
        def server(request: httpx.Request) -> httpx.Response:
            self.assertEqual(request.headers["Content-Type"], "application/json")
            self.assertEqual(request.headers["Content-Length"], str(len(request.content)))
            self.assertEqual(request.headers["X-Other"], "kept")
            self.assertEqual(json.loads(TOKEN_KEY.open(json.loads(request.content)["token"])), {"pin": "1234"})
            return httpx.Response(201, json={"token": TOKEN_KEY.seal('{"responseCode":"00"}')})

        reply = sent_through(accosa.CONTRACT, TOKEN_KEY, server)
        self.assertEqual((reply.status_code, reply.json()), (201, {"responseCode": "00"}))

    def test_a_reply_of_accosa_in_the_clear_is_an_error_too(self) -> None:
        for clear, code in (('{"responseCode":"9004"}', "9004"), ("null", "400"), ("no JSON", "400")):
            with self.subTest(clear):
                passed = httpx.Response(400, text=clear)
                with self.assertRaises(accosa.AccosaError) as raised:
                    sent_through(accosa.CONTRACT, TOKEN_KEY, lambda request, passed=passed: passed)  # type: ignore[misc]
                self.assertEqual((raised.exception.status, raised.exception.code), (400, code))

    def test_a_reply_of_accosa_under_another_key_is_an_error(self) -> None:
        other = TokenKey("00" * 24).seal("{}", bytes(range(16)))
        with self.assertRaises(ValueError):
            sent_through(accosa.CONTRACT, TOKEN_KEY, lambda request: httpx.Response(200, json={"token": other}))


class Repeats(unittest.TestCase):
    """A server that is busy at first, and what reaches it."""

    def attempts(self, contract: Contract, path: str, envelope: Envelope | None = None) -> list[httpx.Request]:
        sent: list[httpx.Request] = []

        def server(request: httpx.Request) -> httpx.Response:
            sent.append(request)
            return httpx.Response(503 if len(sent) % 2 else 200, json={})

        try:
            sent_through(contract, envelope, server, path)
        except ApiError as e:
            self.assertEqual((e.status, e.code), (503, "503"))
        return sent

    def test_a_call_with_a_key_is_repeated_with_the_same_one(self) -> None:
        for contract, path, key in (
            (thredd.CONTRACT, "/api/v1/cards/1/pin", "IdempotencyKey"),
            (issuer.CONTRACT, "/prefix/issuer/v1/cards/1/pin/verifications", "Idempotency-Key"),
        ):
            first, again, other, other_again = self.attempts(contract, path)
            self.assertRegex(first.headers[key], "^[0-9a-f-]{36}$")
            self.assertEqual(first.headers[key], again.headers[key])
            self.assertNotEqual(first.headers[key], other.headers[key], "each call has its own")
            self.assertEqual(other.headers[key], other_again.headers[key])

    def test_a_sealed_message_is_repeated_to_the_byte(self) -> None:
        path = "/deviceapi/apis/v2/services/helpdesk/resetpinretrycounter"
        first, again, *_ = self.attempts(creditplus.CONTRACT, path, MESSAGE_KEY)
        self.assertEqual(first.content, again.content)
        path = "/mob1/api/onboarding/v1/resetPin"
        first, again, *_ = self.attempts(accosa.CONTRACT, path, TOKEN_KEY)
        self.assertEqual(first.content, again.content)

    def test_what_asks_for_more_patience_is_an_error_at_once(self) -> None:
        for after, told in (("11", 11), ("86400", 86400), ("10", None), ("Wed, 21 Oct 2015 07:28:00 GMT", None)):
            sent: list[httpx.Request] = []

            def server(request: httpx.Request, sent: list[httpx.Request] = sent, after: str = after) -> httpx.Response:
                sent.append(request)
                return httpx.Response(429 if len(sent) % 2 else 200, json={}, headers={"Retry-After": after})

            with self.subTest(after):
                if told is None:
                    self.assertEqual(sent_through(thredd.CONTRACT, None, server, "/api/v1/cards/1/pin").status_code, 200)
                    continue
                with self.assertRaises(thredd.ThreddError) as raised:
                    sent_through(thredd.CONTRACT, None, server, "/api/v1/cards/1/pin")
                self.assertEqual((raised.exception.status, raised.exception.retry_after, len(sent)), (429, told, 1))

    def test_what_no_contract_lets_be_repeated_is_not(self) -> None:
        for contract, path in (
            (creditplus.CONTRACT, "/deviceapi/apis/v2/services/helpdesk/resetpinretrycounter"),  # in the clear
            (creditplus.CONTRACT, "/deviceapi/apis/v1/services/helpdesk/resetpinretrycounter"),
            (thredd.CONTRACT, "/connect/token"),
            (issuer.CONTRACT, "/issuer/v1/cards/search"),
        ):
            self.assertEqual(len(self.attempts(contract, path)), 1, path)


if __name__ == "__main__":
    unittest.main()
