"""PIN blocks of formats 0, 3 and 4 that psec makes, for PANs of 12 to 19 digits: the issuer API sets one and verifies all."""

import requests
from psec.des import encrypt_tdes_ecb
from psec.pinblock import encipher_pinblock_iso_4, encode_pinblock_iso_0, encode_pinblock_iso_3

from report import PLANTED, URL, expect, secret

CLIENT = "psec"
PINS = ("4826", "593817", PLANTED)
WRONG = "9182"

requests.post(f"{URL}/sandbox/reset", timeout=10).raise_for_status()
known = requests.get(f"{URL}/sandbox/fixtures", timeout=10).json()["clients"]["issuer"]
api = requests.Session()
given = api.post(f"{URL}/oauth2/token", data={"grant_type": "client_credentials", "client_id": known["client_id"], "client_secret": known["client_secret"]}, timeout=10)
api.headers["Authorization"] = f"Bearer {secret(given.json()['access_token'])}"


def block(form, pan, pin):
    if form == "ISO-4":
        key, sealed = "zpk_aes", encipher_pinblock_iso_4(bytes.fromhex(known["zpk_aes_hex"]), pin, pan)
    else:
        # Of fewer than 12 digits without the check digit the field has zeros before them; psec asks for them.
        clear = (encode_pinblock_iso_0 if form == "ISO-0" else encode_pinblock_iso_3)(pin, pan.zfill(13))
        key, sealed = "zpk", encrypt_tdes_ecb(bytes.fromhex(known["zpk_hex"]), clear)
    return {"pinBlock": secret(sealed.hex().upper()), "format": form, "keyId": known[f"{key}_id"]}


program = api.post(f"{URL}/issuer/v1/programs", json={"name": "PINs of every length", "minPinLength": 4, "maxPinLength": 12}, timeout=10)
expect(CLIENT, "issuer: a program whose PINs have 4 to 12 digits", program, 201)
for digits in range(12, 20):
    pan = secret("9" * 6 + f"{digits:0{digits - 6}}")
    made = api.post(f"{URL}/issuer/v1/cards", json={"programId": program.json()["programId"], "pan": pan, "expiry": "3112"}, timeout=10)
    expect(CLIENT, f"issuer: a card with a PAN of {digits} digits", made, 201)
    at = f"{URL}/issuer/v1/cards/{made.json()['cardId']}/pin"
    for pin in PINS:
        for form in ("ISO-0", "ISO-3", "ISO-4"):
            what = f"{form}, PAN of {digits} digits, PIN of {len(pin)}"
            expect(CLIENT, f"issuer: set, {what}", api.put(at, json=block(form, pan, pin), timeout=10), 204)
            for other in ("ISO-0", "ISO-3", "ISO-4"):
                right = api.post(f"{at}/verifications", json=block(other, pan, pin), timeout=10)
                expect(CLIENT, f"issuer: verify {other}, set by {what}", right, 200, {"result": "match", "remainingTries": 3})
    for form in ("ISO-0", "ISO-3", "ISO-4"):
        wrong = api.post(f"{at}/verifications", json=block(form, pan, WRONG), timeout=10)
        expect(CLIENT, f"issuer: another PIN, {form}, PAN of {digits} digits", wrong, 200, {"result": "mismatch", "remainingTries": 2})
        api.post(f"{at}/unblock", json={"reason": "next format"}, timeout=10).raise_for_status()
