"""The messages of `envoy.service.ratelimit.v3` as far as they are needed, in the protobuf wire format."""

from dataclasses import dataclass, field

OK, OVER_LIMIT = 1, 2
# The numbers of `RateLimitResponse.RateLimit.Unit`, and how many seconds a window of each has.
UNITS = {"second": 1, "minute": 2, "hour": 3, "day": 4, "month": 5, "year": 6, "week": 7}
SECONDS = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400, "week": 7 * 86_400, "month": 30 * 86_400, "year": 365 * 86_400}


@dataclass
class Descriptor:
    entries: list = field(default_factory=list)
    # Where it is set it counts in place of the request's.
    hits: int | None = None


@dataclass
class Request:
    domain: str = ""
    descriptors: list = field(default_factory=list)
    hits: int = 0


@dataclass
class Status:
    """What became of one descriptor; `limit` is (requests, unit), or None where no limit is meant."""

    code: int
    limit: tuple | None = None
    remaining: int = 0
    reset: int = 0


def read_request(data):
    request = Request()
    for number, value in fields(data):
        if number == 1:
            request.domain = value.decode()
        elif number == 2:
            request.descriptors.append(read_descriptor(value))
        elif number == 3:
            request.hits = value
    return request


def read_descriptor(data):
    descriptor = Descriptor()
    for number, value in fields(data):
        if number == 1:
            entry = dict(fields(value))
            descriptor.entries.append((entry.get(1, b"").decode(), entry.get(2, b"").decode()))
        elif number == 3:
            descriptor.hits = dict(fields(value)).get(1, 0)
    return descriptor


def write_response(code, statuses):
    return number(1, code) + b"".join(message(2, write_status(status)) for status in statuses)


def write_status(status):
    written = number(1, status.code)
    if status.limit:
        requests, unit = status.limit
        written += message(2, number(1, requests) + number(2, UNITS[unit]))
        written += number(3, status.remaining) + message(4, number(1, status.reset))
    return written


def write_request(request):
    """The reverse of `read_request`, for tests."""
    written = message(1, request.domain.encode())
    for descriptor in request.descriptors:
        entries = (message(1, key.encode()) + message(2, value.encode()) for key, value in descriptor.entries)
        written += message(2, b"".join(message(1, entry) for entry in entries))
    return written + number(3, request.hits)


def read_response(data):
    """The code and the statuses, each as a dictionary of its fields, for tests."""
    pairs = list(fields(data))
    return dict(pairs).get(1, 0), [dict(fields(value)) for number, value in pairs if number == 2]


def fields(data):
    """Field numbers and their values: numbers, or bytes."""
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        if tag & 7 == 0:
            value, at = varint(data, at)
        elif tag & 7 == 2:
            size, at = varint(data, at)
            value, at = data[at : at + size], at + size
        else:
            raise ValueError(f"wire type {tag & 7}")
        yield tag >> 3, value


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value, at, shift = value | (byte & 0x7F) << shift, at + 1, shift + 7
        if byte < 0x80:
            return value, at


def number(field, value):
    """A number; zero is left out, as proto3 has it."""
    return as_varint(field << 3) + as_varint(value) if value else b""


def message(field, data):
    return as_varint(field << 3 | 2) + as_varint(len(data)) + data


def as_varint(value):
    written = b""
    while value > 0x7F:
        written, value = written + bytes([value & 0x7F | 0x80]), value >> 7
    return written + bytes([value])
