"""What sits beneath a generated client: it seals and opens, repeats what may be repeated, and raises what is an error."""

import json
import re
import ssl
import time
import uuid
from collections.abc import Generator, Mapping, Sequence
from typing import Any, NamedTuple

import httpx
from httpx_retries import Retry, RetryTransport

from pinvault.errors import ApiError
from pinvault.sealing import Envelope

LONGEST = 10
"""How many seconds a call waits by itself before it is repeated. Where a reply asks for more, it is the result."""

AGAIN = Retry(
    total=3,
    backoff_factor=0.5,
    max_backoff_wait=LONGEST,
    total_timeout=30,
    allowed_methods=["DELETE", "GET", "POST", "PUT"],
)


class Repeat(NamedTuple):
    """A call that may be repeated: where it bears a header, with a value where one is named."""

    method: str
    path: str
    header: str
    value: str


class Contract(NamedTuple):
    """What a transport has to know of a contract."""

    error: type[ApiError]
    code_at: Sequence[str]
    text_at: Sequence[str]
    advice: Mapping[str, str]
    repeats: Sequence[Repeat]

    def may_repeat(self, request: httpx.Request) -> bool:
        """Whether the contract lets a request be repeated. One that lacks its idempotency key is given one."""
        for repeat in self.repeats:
            if repeat.method == request.method and re.search(repeat.path, request.url.path):
                if repeat.value:
                    return bool(request.headers.get(repeat.header) == repeat.value)
                if repeat.header:
                    request.headers.setdefault(repeat.header, str(uuid.uuid4()))
                return True
        return False

    def raise_error(self, reply: httpx.Response, text: str) -> None:
        """Raises what a reply with this text is the error of, if it is one."""
        status = reply.status_code
        try:
            body = json.loads(text)
        except ValueError:
            body = None
        code = at(body, self.code_at)
        if status >= 400 or code in self.advice:
            code = code or str(status)
            advice = self.advice.get(code) or self.advice.get(str(status), "")
            raise self.error(status, code, at(body, self.text_at), advice, body, retry_after(reply))


def at(body: Any, pointers: Sequence[str]) -> str:
    """The first text or number that one of the JSON pointers leads to, "" where there is none."""
    for pointer in pointers:
        found = body
        for step in pointer.split("/")[1:]:
            if isinstance(found, list) and step.isdecimal() and int(step) < len(found):
                found = found[int(step)]
            else:
                found = found.get(step) if isinstance(found, dict) else None
        if isinstance(found, str | int) and not isinstance(found, bool) and found != "":
            return str(found)
    return ""


def retry_after(reply: httpx.Response) -> int | None:
    """After how many seconds a reply says that one may try again; None also for a date, which only other servers name."""
    after = reply.headers.get("Retry-After", "")
    return int(after) if after.isdecimal() else None


class TooLongError(Exception):
    """A reply that asks for more patience than a call has, on its way past what repeats."""

    def __init__(self, reply: httpx.Response) -> None:
        super().__init__()
        self.reply = reply


class Patience(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """Beneath what repeats: has a reply that asks for too much patience end it."""

    def __init__(self, sync: httpx.BaseTransport, asynchronous: httpx.AsyncBaseTransport) -> None:
        self._sync = sync
        self._async = asynchronous

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self._within(self._sync.handle_request(request))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return self._within(await self._async.handle_async_request(request))

    def _within(self, reply: httpx.Response) -> httpx.Response:
        if AGAIN.is_retryable_status_code(reply.status_code) and (retry_after(reply) or 0) > LONGEST:
            raise TooLongError(reply)
        return reply


class Transport(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """The transport of a contract's client, for its sync functions and its asyncio ones."""

    def __init__(self, contract: Contract, envelope: Envelope | None, verify: ssl.SSLContext | bool) -> None:
        self._contract = contract
        self._envelope = envelope
        context = httpx.create_ssl_context(verify=verify)
        self._sync = httpx.HTTPTransport(verify=context)
        self._async = httpx.AsyncHTTPTransport(verify=context)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.read()
        sent = self._sealed(request)
        # Beneath the sealing: what is repeated is the same message to the byte.
        again = self._contract.may_repeat(sent)
        try:
            reply = (self._repeating() if again else self._sync).handle_request(sent)
        except TooLongError as e:
            reply = e.reply
        reply.read()
        return self._opened(reply)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        sent = self._sealed(request)
        again = self._contract.may_repeat(sent)
        try:
            reply = await (self._repeating() if again else self._async).handle_async_request(sent)
        except TooLongError as e:
            reply = e.reply
        await reply.aread()
        return self._opened(reply)

    def _repeating(self) -> RetryTransport:
        return RetryTransport(Patience(self._sync, self._async), AGAIN)

    def _sealed(self, request: httpx.Request) -> httpx.Request:
        """The request as it goes out. Its JSON alone is sealed: the call for a token is a form."""
        headers, body = request.headers.copy(), request.content
        if self._envelope and headers.get("Content-Type", "").startswith("application/json"):
            headers["Content-Type"], sealed = self._envelope.wrap(request.url.path, body.decode())
            body = sealed.encode()
            headers["Content-Length"] = str(len(body))
        return httpx.Request(
            request.method, request.url, headers=headers, content=body, extensions=request.extensions
        )

    def _opened(self, reply: httpx.Response) -> httpx.Response:
        text = self._envelope.unwrap(reply.text) if self._envelope else reply.text
        self._contract.raise_error(reply, text)
        if text == reply.text:
            return reply
        return httpx.Response(
            reply.status_code,
            headers={"Content-Type": reply.headers.get("Content-Type", "application/json")},
            content=text,
            extensions=reply.extensions,
        )

    def close(self) -> None:
        self._sync.close()

    async def aclose(self) -> None:
        await self._async.aclose()


class ClientCredentials(httpx.Auth):
    """A bearer token of a client (RFC 6749, 4.4), a fresh one a little before the last one is over."""

    requires_response_body = True
    EARLY = 30.0

    def __init__(self, url: str, client_id: str, client_secret: str) -> None:
        self._url = url
        self._form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": client_secret}
        self._token = ""
        self._until = 0.0

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        if time.monotonic() >= self._until:
            asked = time.monotonic()
            issued = (yield httpx.Request("POST", self._url, data=self._form)).json()
            self._token = issued["access_token"]
            self._until = asked + float(issued.get("expires_in", 0)) - self.EARLY
        request.headers["Authorization"] = f"Bearer {self._token}"
        yield request


class ApiKey(httpx.Auth):
    """A key in a header."""

    def __init__(self, header: str, key: str) -> None:
        self._header = header
        self._key = key

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers[self._header] = self._key
        yield request


def clients(
    url: str, transport: Transport, auth: httpx.Auth | None, timeout: float
) -> tuple[httpx.Client, httpx.AsyncClient]:
    """What a generated client sends by."""
    return (
        httpx.Client(base_url=url, transport=transport, auth=auth, timeout=timeout),
        httpx.AsyncClient(base_url=url, transport=transport, auth=auth, timeout=timeout),
    )
