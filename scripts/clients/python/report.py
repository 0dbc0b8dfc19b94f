"""What every program of this folder says, a line a call, and where it notes what no log may hold. See ../README.md."""

import os

from requests import Response

URL = os.environ["PINVAULT_URL"]
PLANTED = os.environ["CLIENTS_PLANTED_PIN"]
SECRETS = open(os.environ["CLIENTS_SECRETS"], "a", buffering=1)  # noqa: SIM115, as long as the program


def secret(text: str) -> str:
    SECRETS.write(text.partition("\n")[0] + "\n")
    return text


def told(client: str, call: str, seen: object, wanted: object) -> None:
    """One line of the report. What was seen is shown where it is not what was wanted."""
    outcome = "ok" if seen == wanted else f"FAILED\twanted {wanted!r}, got {seen!r}"
    print(f"{client}\t{call}\t{outcome}", flush=True)


def expect(client: str, call: str, reply: Response, status: int, wanted: dict | None = None) -> Response:
    """Holds a reply to its status and to some members of its JSON, each named by the way to it: "data.0.set_pin_url"."""
    wanted = wanted or {}
    if reply.status_code != status:
        told(client, call, f"{reply.status_code} {reply.text}", status)
    else:
        body = reply.json() if wanted else None
        told(client, call, {way: member(body, way) for way in wanted}, wanted)
    return reply


def member(body: object, way: str) -> object:
    for step in way.split("."):
        if isinstance(body, list):
            body = body[int(step)] if int(step) < len(body) else None
        else:
            body = body.get(step) if isinstance(body, dict) else None
    return body
