"""A stand-in for your own agent: python3 config/agent.py [PORT]. It answers POST /chat with {"reply": ...}."""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

DEFAULT_PORT = 8088


def reply(message):
    if "refund" in message or "money" in message:
        return "I refund the 12 euros today. You need not send the mug back."
    return "I am sorry that your mug arrived broken. Would you like a new one, or your money back?"


class Agent(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = json.dumps({"reply": reply(question["message"])}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_PORT
    ThreadingHTTPServer(("127.0.0.1", port), Agent).serve_forever()
