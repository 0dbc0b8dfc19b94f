"""Webhooks, verified by Standard Webhooks' reference library and, without a secret, by cryptography's Ed25519."""

import base64
import http.server
import json
import queue
import threading

import requests
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from report import URL, secret, told

CLIENT = "standardwebhooks"
arrived: queue.Queue = queue.Queue()


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        arrived.put((dict(self.headers), body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def verified(key: str, headers: dict, body: bytes) -> bool:
    try:
        Webhook(key).verify(body, headers)
    except WebhookVerificationError:
        return False
    return True


def signed(public: str, headers: dict, body: bytes) -> bool:
    """v1a: any of the signatures that the public key verifies."""
    lower = {name.lower(): value for name, value in headers.items()}
    message = f"{lower['webhook-id']}.{lower['webhook-timestamp']}.".encode() + body
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public.removeprefix("whpk_")))
    for signature in lower["webhook-signature"].split(" "):
        version, _, value = signature.partition(",")
        try:
            if version == "v1a":
                key.verify(base64.b64decode(value), message)
                return True
        except Exception:  # noqa: BLE001, S112, any way of not being right
            continue
    return False


requests.post(f"{URL}/sandbox/reset", timeout=10).raise_for_status()
known = requests.get(f"{URL}/sandbox/fixtures", timeout=10).json()["clients"]["issuer"]
issuer = {"Authorization": f"Bearer {secret(known['token'])}"}
server = http.server.ThreadingHTTPServer(("localhost", 0), Receiver)
threading.Thread(target=server.serve_forever, daemon=True).start()
webhooks = f"{URL}/issuer/v1/webhooks"
made = requests.post(webhooks, headers=issuer, json={"url": f"http://localhost:{server.server_port}/"}, timeout=10).json()
secret(made["secret"])
requests.post(f"{webhooks}/{made['webhookId']}/test", headers=issuer, timeout=10).raise_for_status()
headers, body = arrived.get(timeout=20)
told(CLIENT, "a test arrives", json.loads(body)["type"], "webhook.test")
told(CLIENT, "v1, by the reference library", verified(made["secret"], headers, body), True)
told(CLIENT, "v1, of another body", verified(made["secret"], headers, body + b" "), False)
told(CLIENT, "v1a, by the public key", signed(made["publicKey"], headers, body), True)
told(CLIENT, "v1a, of another body", signed(made["publicKey"], headers, body + b" "), False)

rotated = requests.post(f"{webhooks}/{made['webhookId']}/rotate", headers=issuer, json={"overlapSeconds": 60}, timeout=10).json()
secret(rotated["secret"])
requests.post(f"{URL}/issuer/v1/cards/00000000-0000-7000-8000-000000000001/pin/unblock", headers=issuer, json={"reason": "asked"}, timeout=10).raise_for_status()
headers, body = arrived.get(timeout=20)
told(CLIENT, "while a secret is rotated: both", [verified(made["secret"], headers, body), verified(rotated["secret"], headers, body)], [True, True])
told(CLIENT, "while a key is rotated: both", [signed(made["publicKey"], headers, body), signed(rotated["publicKey"], headers, body)], [True, True])
server.shutdown()
