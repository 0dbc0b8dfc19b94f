"""What Credit+ V2 needs beyond the generated client: a request is sealed on its way out. Replies are clear."""

import json

import httpx
from jwcrypto import jwe, jwk  # type: ignore[import-untyped]
from jwcrypto.common import JWException, base64url_encode  # type: ignore[import-untyped]

ALGORITHMS = ["dir", "A256GCM"]


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


class SealedTransport(httpx.BaseTransport):
    """The transport of a Credit+ client: seals the JSON of every V2 request. V1 has no encryption.

    It serves the client's sync functions. `inner` sends, with TLS settings of its own: verify_ssl is not asked.
    """

    def __init__(self, key: MessageKey, inner: httpx.BaseTransport | None = None) -> None:
        self._key = key
        self._inner = inner or httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.startswith("/deviceapi/apis/v2/"):
            headers = request.headers.copy()
            headers["Content-Type"] = "application/jose"
            del headers["Content-Length"]
            sealed = self._key.seal(request.read().decode())
            request = httpx.Request(
                request.method, request.url, headers=headers, content=sealed, extensions=request.extensions
            )
        return self._inner.handle_request(request)

    def close(self) -> None:
        self._inner.close()
