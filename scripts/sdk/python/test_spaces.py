"""Two tests at once, each in a space of its own: `pytest -n 2 --dist loadgroup`, with a folder in which they wait for each other."""

import os
import pathlib
import time
from datetime import UTC, datetime, timedelta

import pytest

from pinvault import thredd
from pinvault.clients.common.api.health import get_readiness
from pinvault.clients.thredd.api.pin_management import get_card_pin, set_card_pin
from pinvault.clients.thredd.models import Pin, SetPinRequest
from pinvault.common import CommonError
from pinvault.testing import Sandbox, Space

MEETING = pathlib.Path(os.environ["MEETING"])


def meet(step: str, name: str) -> None:
    """Waits until the other test is as far."""
    (MEETING / f"{step}-{name}").touch()
    for _ in range(600):
        if len(list(MEETING.glob(f"{step}-*"))) == 2:
            return
        time.sleep(0.05)
    raise AssertionError(f"nobody came to {step}")


@pytest.mark.parametrize(
    ("name", "pin"),
    [pytest.param(name, pin, marks=pytest.mark.xdist_group(name)) for name, pin in (("one", "4826"), ("other", "7391"))],
)
def test_sees_nothing_of_the_other(pinvault_space: Space, name: str, pin: str) -> None:
    client, token = pinvault_space.thredd(), pinvault_space.card("normal")["publicToken"]
    meet("begun", name)
    set_card_pin.sync(token, client=client, body=SetPinRequest(pin))
    if name == "one":
        pinvault_space.advance(timedelta(days=2))
        pinvault_space.rule(row="getReadiness/not-ready", times=20)
    meet("done", name)
    # With a token of that time.
    assert get_card_pin.sync(token, client=pinvault_space.thredd()) == Pin(pin)
    assert (pinvault_space.now() > datetime.now(UTC) + timedelta(days=1)) == (name == "one")
    if name == "one":
        with pytest.raises(CommonError):
            get_readiness.sync(client=pinvault_space.common())
    else:
        get_readiness.sync(client=pinvault_space.common())
    assert len(pinvault_space.journal(operation="setCardPin")) == 1


def test_is_started_and_seeded(tmp_path: pathlib.Path) -> None:
    seed = tmp_path / "seed.yaml"
    seed.write_text("cards: [{name: gold, pin: '4826', references: [{kind: publicToken, value: '207000001'}]}]")
    with Sandbox(program=os.environ["PINVAULT"], seed=str(seed)) as sandbox, sandbox.space() as space:
        assert get_card_pin.sync("207000001", client=space.thredd()) == Pin("4826")
    seed.write_text("cards: [{nam: gold}]")
    with pytest.raises(RuntimeError, match="nam is unknown"):
        Sandbox(program=os.environ["PINVAULT"], seed=str(seed))


def test_goes_back_to_what_was_kept(pinvault_space: Space, pinvault_sandbox: Sandbox) -> None:
    client, card = pinvault_space.thredd(), pinvault_space.card("normal")
    token = card["publicToken"]
    kept = pinvault_space.snapshot()
    set_card_pin.sync(token, client=client, body=SetPinRequest("4826"))
    with pinvault_sandbox.space(snapshot=kept) as other:
        assert get_card_pin.sync(token, client=other.thredd()) == Pin(card["pin"])
    pinvault_space.restore(kept)
    assert get_card_pin.sync(token, client=client) == Pin(card["pin"])
    pinvault_space.rule(fault="database", client=pinvault_space.credentials("thredd")["client_id"])
    with pytest.raises(thredd.ThreddError):
        get_card_pin.sync(token, client=client)
    pinvault_space.reset()
    pinvault_space.clear_journal()
    assert pinvault_space.journal() == []
    assert {c.name for c in pinvault_space.cards()} >= {"normal", "lost"}
