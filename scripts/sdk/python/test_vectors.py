"""The vectors that the wrappers of all languages share, and the transports without a network."""

import json
import os
import pathlib
import unittest
from collections.abc import Callable

import httpx

from accosa import TokenKey, TokenTransport
from creditplus import MessageKey, SealedTransport
from pinblock import pin_block

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
    transport: Callable[[httpx.BaseTransport], httpx.BaseTransport],
    server: Callable[[httpx.Request], httpx.Response],
    path: str = "/",
) -> httpx.Response:
    with httpx.Client(transport=transport(httpx.MockTransport(server)), base_url="http://host") as client:
        return client.post(path, json={"pin": "1234"}, headers={"X-Other": "kept"})


def sealed(inner: httpx.BaseTransport) -> httpx.BaseTransport:
    return SealedTransport(MESSAGE_KEY, inner)


def tokens(inner: httpx.BaseTransport) -> httpx.BaseTransport:
    return TokenTransport(TOKEN_KEY, inner)


class Transports(unittest.TestCase):
    def test_a_v2_request_of_creditplus_leaves_sealed(self) -> None:
        def server(request: httpx.Request) -> httpx.Response:
            self.assertEqual(request.headers["Content-Type"], "application/jose")
            self.assertEqual(request.headers["Content-Length"], str(len(request.content)))
            self.assertEqual(request.headers["X-Other"], "kept")
            self.assertEqual(json.loads(MESSAGE_KEY.open(request.content.decode())), {"pin": "1234"})
            return httpx.Response(200, json={"code": "OK"})

        self.assertEqual(sent_through(sealed, server, "/deviceapi/apis/v2/any").json(), {"code": "OK"})

    def test_a_v1_request_of_creditplus_leaves_as_it_is(self) -> None:
        def server(request: httpx.Request) -> httpx.Response:
            return httpx.Response(200, content=request.content)

        self.assertEqual(sent_through(sealed, server, "/deviceapi/apis/v1/any").json(), {"pin": "1234"})

    def test_a_request_of_accosa_leaves_sealed_and_its_reply_is_opened(self) -> None:
        def server(request: httpx.Request) -> httpx.Response:
            self.assertEqual(request.headers["Content-Type"], "application/json")
            self.assertEqual(request.headers["Content-Length"], str(len(request.content)))
            self.assertEqual(request.headers["X-Other"], "kept")
            self.assertEqual(json.loads(TOKEN_KEY.open(json.loads(request.content)["token"])), {"pin": "1234"})
            return httpx.Response(201, json={"token": TOKEN_KEY.seal('{"responseCode":"00"}')})

        reply = sent_through(tokens, server)
        self.assertEqual((reply.status_code, reply.json()), (201, {"responseCode": "00"}))

    def test_a_reply_of_accosa_in_clear_passes(self) -> None:
        for clear in ('{"responseCode":"9005"}', "null", "no JSON"):
            with self.subTest(clear):
                passed = httpx.Response(400, text=clear)
                reply = sent_through(tokens, lambda request, passed=passed: passed)  # type: ignore[misc]
                self.assertEqual((reply.status_code, reply.text), (400, clear))

    def test_a_reply_of_accosa_under_another_key_is_an_error(self) -> None:
        other = TokenKey("00" * 24).seal("{}", bytes(range(16)))
        with self.assertRaises(ValueError):
            sent_through(tokens, lambda request: httpx.Response(200, json={"token": other}))


if __name__ == "__main__":
    unittest.main()
