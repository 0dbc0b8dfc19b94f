"""A receiver of webhooks for tests that kill it: it verifies what arrives with Standard Webhooks' reference library, notes it
in RECEIVER_FILE, a line of JSON each, and then answers. impl/app/delivered_soak_test.go reads the lines."""

import http.server
import json
import os

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

host, _, port = os.environ["RECEIVER_ADDRESS"].rpartition(":")
webhook = Webhook(os.environ["RECEIVER_SECRET"])
file = os.open(os.environ["RECEIVER_FILE"], os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o600)


def verified(headers: dict, body: bytes) -> bool:
    try:
        webhook.verify(body, headers)
    except WebhookVerificationError:
        return False
    return True


class Receiver(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        message = json.loads(body)
        data = message.get("data", {})
        line = {
            "id": message["id"],
            "card": data.get("cardId", ""),
            "sequence": data.get("sequence", 0),
            "verified": verified(dict(self.headers), body) and self.headers["webhook-id"] == message["id"],
            "by": "Python",
        }
        os.write(file, json.dumps(line).encode() + b"\n")
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """Senders that are killed break connections off."""


Server((host, int(port)), Receiver).serve_forever()
