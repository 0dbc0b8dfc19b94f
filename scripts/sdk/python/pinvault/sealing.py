"""How messages are sealed and opened where a contract encrypts them."""

import base64
import json
import os
from typing import Protocol

from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from jwcrypto import jwe, jwk  # type: ignore[import-untyped]
from jwcrypto.common import JWException, base64url_encode  # type: ignore[import-untyped]

ALGORITHMS = ["dir", "A256GCM"]


class Envelope(Protocol):
    """What a contract puts around its JSON."""

    def wrap(self, path: str, clear: str) -> tuple[str, str]:
        """The media type and the body of a request to a path."""

    def unwrap(self, body: str) -> str:
        """The JSON of a reply."""


class MessageKey:
    """A message key of a Credit+ client: 32 bytes, and the id that both sides know it by."""

    def __init__(self, hex_key: str, key_id: str) -> None:
        self._key = jwk.JWK(kty="oct", k=base64url_encode(bytes.fromhex(hex_key)))
        self._id = key_id

    def seal(self, clear: str, header: str = "") -> str:
        """A JWE in compact serialization, dir and A256GCM (RFC 7516). The header is given by tests alone."""
        header = header or json.dumps({"alg": "dir", "enc": "A256GCM", "kid": self._id})
        sealed = jwe.JWE(clear.encode(), header, algs=ALGORITHMS, recipient=self._key)
        return str(sealed.serialize(compact=True))

    def open(self, sealed: str) -> str:
        """The text of a JWE under this key and its id; ValueError where it is anything else."""
        opened = jwe.JWE(algs=ALGORITHMS)
        try:
            opened.deserialize(sealed, self._key)
        except JWException as e:
            raise ValueError("no JWE under this key") from e
        if opened.jose_header.get("kid") != self._id:
            raise ValueError("a JWE under another key")
        if "zip" in opened.jose_header:
            raise ValueError("a compressed JWE")
        return bytes(opened.payload).decode()

    def wrap(self, path: str, clear: str) -> tuple[str, str]:
        """A V2 request travels as a JWE. V1 knows no encryption."""
        return ("application/jose", self.seal(clear)) if "/apis/v2/" in path else ("application/json", clear)

    def unwrap(self, body: str) -> str:
        """Replies are in the clear."""
        return body


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

    def wrap(self, path: str, clear: str) -> tuple[str, str]:
        """Every request travels as {"token": "…"}."""
        return "application/json", json.dumps({"token": self.seal(clear)})

    def unwrap(self, body: str) -> str:
        """So do replies, but for errors that came before the request's token was opened."""
        try:
            token = json.loads(body)["token"]
        except (ValueError, TypeError, KeyError):
            return body
        return self.open(token)
