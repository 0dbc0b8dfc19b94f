"""Tokens that requests-oauthlib gets by itself: with HTTP Basic, as nothing else is said."""

import requests
from oauthlib.oauth2 import BackendApplicationClient
from requests_oauthlib import OAuth2Session

from report import URL, expect, secret

CLIENT = "requests-oauthlib"

requests.post(f"{URL}/sandbox/reset", timeout=10).raise_for_status()
fixtures = requests.get(f"{URL}/sandbox/fixtures", timeout=10).json()
normal = fixtures["cards"]["normal"]
for name, path, call, wanted in (
    ("networkintl", "/oauth2/token", "/CardServices/Security/V1/PinCertificate", {}),
    ("issuer", "/oauth2/token", f"/issuer/v1/cards/{normal['cardId']}/pin", {"state": "chosen"}),
    ("thredd", "/connect/token", f"/api/v1/cards/{normal['publicToken']}/pin", {"pin": normal["pin"]}),
):
    known = fixtures["clients"][name]
    session = OAuth2Session(client=BackendApplicationClient(client_id=known["client_id"]))
    given = session.fetch_token(f"{URL}{path}", client_id=known["client_id"], client_secret=known["client_secret"])
    secret(given["access_token"])
    expect(CLIENT, f"{name}: a call with the token", session.get(f"{URL}{call}", timeout=10), 200, wanted)
