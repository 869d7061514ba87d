"""A short message service centre (SMPP 3.4) on loopback: takes texts, keeps them, and reports what became of them."""

import socket
import struct
import threading

BIND_RECEIVER, BIND_TRANSMITTER, SUBMIT, DELIVER, UNBIND, BIND_TRANSCEIVER, ENQUIRE = 1, 2, 4, 5, 6, 9, 0x15
ANSWER = 0x80000000


class Centre:
    def __init__(self):
        self.texts, self.parts, self.fate = [], {}, "DELIVRD"
        self.lock, self.number = threading.Lock(), 0
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            stream, _ = self.listening.accept()
            threading.Thread(target=self.serve, args=(stream,), daemon=True).start()

    def to(self, number):
        """The texts to one telephone, in order."""
        with self.lock:
            return [text for told, text in self.texts if told == number.lstrip("+")]

    def serve(self, stream):
        send_lock, bound = threading.Lock(), False

        def send(command, status, sequence, body=b""):
            with send_lock:
                stream.sendall(struct.pack(">IIII", 16 + len(body), command, status, sequence) + body)

        try:
            while True:
                length, command, _, sequence = struct.unpack(">IIII", exactly(stream, 16))
                body = exactly(stream, length - 16)
                if command in (BIND_RECEIVER, BIND_TRANSMITTER, BIND_TRANSCEIVER):
                    bound = True
                    send(command | ANSWER, 0, sequence, b"centre\0")
                elif command == ENQUIRE:
                    send(command | ANSWER, 0, sequence)
                elif command == UNBIND:
                    return send(command | ANSWER, 0, sequence)
                elif command == SUBMIT and bound:
                    self.take(body, lambda told: send(command | ANSWER, 0, sequence, told), send)
                elif not command & ANSWER:
                    send(ANSWER, 3, sequence)
        except (ConnectionError, OSError):
            pass

    def take(self, body, answer, send):
        read = Reader(body)
        read.text()
        read.skip(2)
        source = read.text()
        read.skip(2)
        to = read.text()
        kind = read.skip(3)[0]
        read.text()
        read.text()
        wants_report, _, coding, _ = read.skip(4)
        message = read.skip(read.skip(1)[0])
        with self.lock:
            self.number += 1
            name, sequence = f"{self.number:08}", self.number
            if kind & 0x40:
                # A part of a long text: which one, of how many, stands before it.
                header, message = message[:message[0] + 1], message[message[0] + 1:]
                reference, count, part = header[-3:]
                parts = self.parts.setdefault((to, reference), {})
                parts[part] = message
                message = b"".join(parts[at] for at in sorted(parts)) if len(parts) == count else None
            if message is not None:
                text = message.decode("utf-16-be" if coding == 8 else "latin-1")
                self.texts.append((to.decode().lstrip("+"), text))
        answer(name.encode() + b"\0")
        if wants_report & 1:
            done = "1" if self.fate == "DELIVRD" else "0"
            receipt = (f"id:{name} sub:001 dlvrd:00{done} submit date:2601010000 done date:2601010000 "
                       f"stat:{self.fate} err:000 text:").encode()
            report = (b"\0\1\1" + to + b"\0\1\1" + source + b"\0" + bytes([4, 0, 0]) + b"\0\0" + bytes([0, 0, 0, 0, len(receipt)]) + receipt)
            threading.Timer(0.3, lambda: send(DELIVER, 0, 1_000_000 + sequence, report)).start()


class Reader:
    def __init__(self, body):
        self.body, self.at = body, 0

    def text(self):
        end = self.body.index(0, self.at)
        found, self.at = self.body[self.at:end], end + 1
        return found

    def skip(self, count):
        found = self.body[self.at:self.at + count]
        self.at += count
        return found


def exactly(stream, count):
    read = b""
    while len(read) < count:
        piece = stream.recv(count - len(read))
        if not piece:
            raise ConnectionError
        read += piece
    return read
