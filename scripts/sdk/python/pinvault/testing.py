"""A sandbox for tests: a server, and a space of it for each test, which no other test sees.

    with Sandbox() as sandbox, sandbox.space() as space:
        client = space.thredd()

A test suite that uses pytest asks for the fixture pinvault_space.
"""

import json
import os
import shutil
import subprocess
import tempfile
import threading
from datetime import datetime, timedelta
from functools import cached_property
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from pinvault import accosa, common, creditplus, hashdt, hosted, issuer, networkintl, thredd
from pinvault import sandbox as contract
from pinvault.clients.accosa import AuthenticatedClient as AccosaClient
from pinvault.clients.common import AuthenticatedClient as CommonClient
from pinvault.clients.creditplus import AuthenticatedClient as CreditPlusClient
from pinvault.clients.hashdt import AuthenticatedClient as HashdtClient
from pinvault.clients.hosted import AuthenticatedClient as HostedClient
from pinvault.clients.issuer import AuthenticatedClient as IssuerClient
from pinvault.clients.networkintl import AuthenticatedClient as NetworkIntlClient
from pinvault.clients.sandbox import AuthenticatedClient as SandboxClient
from pinvault.clients.sandbox.api.clock import get_clock, move_clock
from pinvault.clients.sandbox.api.fixtures import get_sandbox_fixtures, list_sandbox_cards, reset_sandbox
from pinvault.clients.sandbox.api.journal import clear_journal, list_journal
from pinvault.clients.sandbox.api.rules import create_rule, delete_rules
from pinvault.clients.sandbox.api.spaces import create_snapshot, create_space, delete_space, restore_snapshot
from pinvault.clients.sandbox.models import (
    CardList,
    CardState,
    Clock,
    ClockChange,
    Entry,
    EntryList,
    Fixtures,
    Rule,
    RuleRequest,
    SnapshotRequest,
    SpaceRequest,
)
from pinvault.clients.sandbox.models import Snapshot as SnapshotModel
from pinvault.clients.sandbox.models import Space as SpaceModel
from pinvault.clients.sandbox.types import UNSET
from pinvault.clients.thredd import AuthenticatedClient as ThreddClient
from pinvault.sealing import MessageKey, TokenKey

T = TypeVar("T")


class _Closing:
    def close(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Sandbox(_Closing):
    """A sandbox server: one that runs at a URL, or else one that is started and ends with this process.

    The URL is the argument or PINVAULT_URL. Without one, `pinvault sandbox` is started: the program at the path that is
    the argument or PINVAULT, or else the one on the PATH, with what seed, a file, has besides the fixtures.
    """

    def __init__(
        self, url: str | None = None, *, program: str | None = None, seed: str | None = None, timeout: float = 60
    ) -> None:
        self._process: subprocess.Popen[str] | None = None
        self.url = (url or ("" if program else os.environ.get("PINVAULT_URL", ""))).rstrip("/")
        if not self.url:
            self.url = self._started(program or os.environ.get("PINVAULT") or shutil.which("pinvault"), seed, timeout)
        self._client = contract.connect(self.url)

    def _started(self, program: str | None, seed: str | None, timeout: float) -> str:
        if not program:
            raise FileNotFoundError("there is no pinvault on the PATH; name it with PINVAULT, or a server with PINVAULT_URL")
        arguments = [program, "sandbox", "--port", "0", "--until-stdin-closes", "--database-url=", "--log-level", "WARN"]
        with tempfile.TemporaryFile("w+") as log:
            self._process = process = subprocess.Popen(
                arguments + (["--seed", seed] if seed else []),
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
            )
            assert process.stdout
            late = threading.Timer(timeout, process.kill)
            late.start()
            line = process.stdout.readline()
            late.cancel()
            if not line:
                process.wait()
                log.seek(0)
                raise RuntimeError("pinvault sandbox did not start: " + log.read().strip())
        return str(json.loads(line)["url"])

    def space(self, id: str | None = None, *, snapshot: str | None = None) -> "Space":
        """A space of its own, from the fixtures or a snapshot. Leaving it as a context manager removes it."""
        body = SpaceRequest(id=id or UNSET, snapshot=snapshot or UNSET)
        return Space(self, _got(SpaceModel, create_space.sync(client=self._client, body=body)))

    def close(self) -> None:
        """Ends the server, if it was started here."""
        self._client.get_httpx_client().close()
        if self._process and self._process.stdin and self._process.stdout:
            self._process.stdin.close()
            self._process.wait()
            self._process.stdout.close()


def _got(kind: type[T], reply: object) -> T:
    """A reply that is no error: those are raised."""
    if not isinstance(reply, kind):
        raise TypeError(f"{reply!r} is no {kind.__name__}")
    return reply


class Space(_Closing):
    """A space of a sandbox, with clients that are ready to be used, rules, a clock and a journal of its own."""

    def __init__(self, server: Sandbox, made: SpaceModel) -> None:
        self.id = made.id
        self.url = f"{server.url}/spaces/{made.id}"
        """The server's URL in this space; contracts' paths follow it."""
        self._server = server
        self._own = contract.connect(self.url)
        self._open: list[httpx.Client] = [self._own.get_httpx_client()]

    @cached_property
    def fixtures(self) -> Fixtures:
        """The clients and cards that the space began with."""
        return _got(Fixtures, get_sandbox_fixtures.sync(client=self._own))

    def credentials(self, client: str) -> dict[str, Any]:
        """What a client of the fixtures or the seed proves itself by, the space's own."""
        return self.fixtures.clients[client].additional_properties

    def card(self, name: str) -> dict[str, Any]:
        """A card of the fixtures or the seed, with its PIN and references."""
        return self.fixtures.cards[name].additional_properties

    def cards(self) -> list[CardState]:
        """All cards as they stand, with their tries and what has happened to them."""
        return _got(CardList, list_sandbox_cards.sync(client=self._own)).cards

    def _kept(self, client: T, sends_by: httpx.Client) -> T:
        self._open.append(sends_by)
        return client

    def _secret(self, client: str) -> tuple[str, str, str]:
        known = self.credentials(client)
        return self.url, known["client_id"], known["client_secret"]

    def sandbox(self) -> SandboxClient:
        return self._own

    def common(self) -> CommonClient:
        made = common.connect(self.url)
        return self._kept(made, made.get_httpx_client())

    def issuer(self, client: str = "issuer") -> IssuerClient:
        made = issuer.connect(*self._secret(client))
        return self._kept(made, made.get_httpx_client())

    def thredd(self, client: str = "thredd") -> ThreddClient:
        made = thredd.connect(*self._secret(client))
        return self._kept(made, made.get_httpx_client())

    def creditplus(self, client: str = "creditplus") -> CreditPlusClient:
        """Seals its requests under the client's key."""
        known = self.credentials(client)
        made = creditplus.connect(*self._secret(client), message_key=MessageKey(known["key_hex"], known["key_id"]))
        return self._kept(made, made.get_httpx_client())

    def accosa(self, client: str = "accosa") -> AccosaClient:
        known = self.credentials(client)
        made = accosa.connect(self.url, known["x-api-key"], TokenKey(known["key_hex"]))
        return self._kept(made, made.get_httpx_client())

    def networkintl(self, client: str = "networkintl") -> NetworkIntlClient:
        made = networkintl.connect(*self._secret(client))
        return self._kept(made, made.get_httpx_client())

    def hashdt(self, client: str = "hashdt") -> HashdtClient:
        made = hashdt.connect(self.url, self.credentials(client)["x-api-key"])
        return self._kept(made, made.get_httpx_client())

    def hosted(self) -> HostedClient:
        made = hosted.connect(self.url)
        return self._kept(made, made.get_httpx_client())

    def rule(
        self,
        *,
        row: str | None = None,
        fault: str | None = None,
        drop: str | None = None,
        delay: dict[str, Any] | None = None,
        client: str | None = None,
        operation: str | None = None,
        card: str | None = None,
        times: int | None = None,
        probability: float | None = None,
        id: str | None = None,
    ) -> Rule:
        """Has a row, fault, drop or delay come out of the calls that it fits, until clear_rules."""
        client = client.partition("@")[0] if client else None
        asked = {
            "row": row, "fault": fault, "drop": drop, "delay": delay, "client": client, "operation": operation,
            "card": card, "times": times, "probability": probability, "id": id,
        }
        body = RuleRequest.from_dict({name: value for name, value in asked.items() if value is not None})
        return _got(Rule, create_rule.sync(client=self._own, body=body))

    def clear_rules(self) -> None:
        delete_rules.sync(client=self._own)

    def now(self) -> datetime:
        """What time it is here."""
        return _got(Clock, get_clock.sync(client=self._own)).now

    def advance(self, by: timedelta) -> datetime:
        """Moves the time on; what expires by then has expired at once."""
        return self._moved(ClockChange(advance_seconds=int(by.total_seconds())))

    def set_time(self, now: datetime, *, running: bool = True) -> datetime:
        """Makes it the time that is given, with a time zone."""
        return self._moved(ClockChange(now=now, running=running))

    def reset_time(self) -> datetime:
        """Makes it the server's time."""
        return self._moved(ClockChange(reset=True))

    def _moved(self, change: ClockChange) -> datetime:
        return _got(Clock, move_clock.sync(client=self._own, body=change)).now

    def journal(
        self,
        *,
        client: str | None = None,
        card: str | None = None,
        operation: str | None = None,
        row: str | None = None,
        limit: int = 100,
    ) -> list[Entry]:
        """What was sent here and answered, newest first."""
        found = list_journal.sync(
            client=self._own,
            client_query=client.partition("@")[0] if client else UNSET,
            card=card or UNSET,
            operation=operation or UNSET,
            row=row or UNSET,
            limit=limit,
        )
        return _got(EntryList, found).entries

    def clear_journal(self) -> None:
        clear_journal.sync(client=self._own)

    def snapshot(self, id: str | None = None) -> str:
        """Keeps what the space holds, to restore it or to begin others with; returns the snapshot's id."""
        body = SnapshotRequest(id=id or os.urandom(8).hex())
        return _got(SnapshotModel, create_snapshot.sync(client=self._own, body=body)).id

    def restore(self, snapshot: str) -> None:
        restore_snapshot.sync(snapshot, client=self._own)

    def reset(self) -> None:
        """Makes the space what it was at first."""
        reset_sandbox.sync(client=self._own)

    def close(self) -> None:
        """Removes the space."""
        try:
            delete_space.sync(self.id, client=self._server._client)
        except contract.SandboxError as e:
            if e.status != 404:  # which a repeated call hears, too
                raise
        for client in self._open:
            client.close()
