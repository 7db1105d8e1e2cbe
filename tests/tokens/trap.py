"""The module with one callback that traps, as `tests/support/trap.rs` makes it."""

IMPORTS, EXPORTS, CODE = 2, 7, 10
# No locals, `unreachable`, `end`: valid in place of any function (WebAssembly 1.0, section 5.4).
TRAP = bytes([0x00, 0x00, 0x0B])


def trapping(module, callback):
    """`module` with its callback of that name replaced by `unreachable`."""
    result, rest, imported, target = module[:8], Reader(module[8:]), 0, None
    while rest.left():
        kind, content = rest.take(1)[0], rest.take(rest.number())
        if kind == IMPORTS:
            imported = Reader(content).number()  # the module imports functions only
        elif kind == EXPORTS:
            target = exported(Reader(content), callback.encode()) - imported
        elif kind == CODE:
            content = with_trap(Reader(content), target)
        result += bytes([kind]) + number(len(content)) + content
    return result


def exported(section, callback):
    for _ in range(section.number()):
        name, kind, index = section.take(section.number()), section.take(1)[0], section.number()
        if name == callback and kind == 0:
            return index
    raise ValueError(f"the module exports no {callback}")


def with_trap(section, target):
    bodies = [section.take(section.number()) for _ in range(section.number())]
    bodies[target] = TRAP
    return number(len(bodies)) + b"".join(number(len(body)) + body for body in bodies)


def number(value):
    """Unsigned LEB128."""
    result = b""
    while value > 0x7F:
        result, value = result + bytes([value & 0x7F | 0x80]), value >> 7
    return result + bytes([value])


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def left(self):
        return len(self.data) - self.at

    def take(self, count):
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self):
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value
