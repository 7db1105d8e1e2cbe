"""Windows of requests in Redis: the few commands that counting takes, over its own protocol."""

import socket
import threading


class Unavailable(Exception):
    """Redis does not answer."""


class Store:
    """A connection for each thread, opened when it is needed; after a failure of one, all are opened anew."""

    def __init__(self, port, seconds=0.5):
        self.port, self.seconds = port, seconds
        self.local, self.failures = threading.local(), 0

    def count(self, windows):
        """Adds to each of (key, hits, seconds to live) in one round trip, and gives the sums.

        `INCRBY` is one step in Redis, so of all who add at once each sees a sum of its own.
        """
        commands = []
        for key, hits, seconds in windows:
            commands += [("INCRBY", key, hits), ("EXPIRE", key, seconds)]
        return self.run(commands)[::2] if commands else []

    def run(self, commands):
        try:
            stream = self.connection()
            stream.write(b"".join(map(encoded, commands)))
            stream.flush()
            return [answer(stream) for _ in commands]
        except (OSError, ValueError) as error:
            self.failures += 1
            raise Unavailable(f"redis: {error}") from None

    def connection(self):
        if getattr(self.local, "failures", None) == self.failures:
            return self.local.stream
        self.local.failures = self.failures
        connection = socket.create_connection(("127.0.0.1", self.port), self.seconds)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.local.stream = connection.makefile("rwb")
        return self.local.stream


def encoded(words):
    texts = [str(word).encode() for word in words]
    return b"*%d\r\n" % len(texts) + b"".join(b"$%d\r\n%b\r\n" % (len(text), text) for text in texts)


def answer(stream):
    """The next answer, a number in all that is asked here."""
    line = stream.readline()
    if not line.endswith(b"\r\n"):
        raise OSError("the connection ended")
    if line[:1] != b":":
        raise ValueError(line.decode(errors="replace").strip())
    return int(line[1:])
