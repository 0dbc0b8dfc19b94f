"""What Accosa needs beyond the generated client: request and reply travel as {"token": "…"}."""

import base64
import os

import httpx
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes


class TokenKey:
    """The key of an Accosa client, 24 bytes."""

    def __init__(self, hex_key: str) -> None:
        self._key = algorithms.AES(bytes.fromhex(hex_key))

    def seal(self, clear: str, iv: bytes = b"") -> str:
        """Base64 of the IV, which tests alone give, and the ciphertext, AES-192-CBC with PKCS#7 padding."""
        iv = iv or os.urandom(16)
        padder = padding.PKCS7(128).padder()
        padded = padder.update(clear.encode()) + padder.finalize()
        encryptor = Cipher(self._key, modes.CBC(iv)).encryptor()
        return base64.b64encode(iv + encryptor.update(padded) + encryptor.finalize()).decode()

    def open(self, token: str) -> str:
        """The text of a token; ValueError where it is not one under this key."""
        raw = base64.b64decode(token, validate=True)
        decryptor = Cipher(self._key, modes.CBC(raw[:16])).decryptor()
        unpadder = padding.PKCS7(128).unpadder()
        padded = decryptor.update(raw[16:]) + decryptor.finalize()
        return (unpadder.update(padded) + unpadder.finalize()).decode()


class TokenTransport(httpx.BaseTransport):
    """The transport of an Accosa client: seals every request's JSON, opens every reply's. A reply in clear passes.

    It serves the client's sync functions. `inner` sends, with TLS settings of its own: verify_ssl is not asked.
    """

    def __init__(self, key: TokenKey, inner: httpx.BaseTransport | None = None) -> None:
        self._key = key
        self._inner = inner or httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        headers = request.headers.copy()
        del headers["Content-Length"]
        sealed = {"token": self._key.seal(request.read().decode())}
        reply = self._inner.handle_request(
            httpx.Request(request.method, request.url, headers=headers, json=sealed, extensions=request.extensions)
        )
        reply.read()
        try:
            token = reply.json()["token"]
        except (ValueError, TypeError, KeyError):
            return reply
        return httpx.Response(
            reply.status_code,
            headers={"Content-Type": reply.headers.get("Content-Type", "application/json")},
            content=self._key.open(token),
            extensions=reply.extensions,
        )

    def close(self) -> None:
        self._inner.close()
