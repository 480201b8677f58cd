"""Strict DER (AT2.1). A reader refuses everything with the one code that it was opened with."""

from .refusal import demand

BOOLEAN, INTEGER, BITS, OCTETS, NULL, OID, SEQUENCE, SET = 1, 2, 3, 4, 5, 6, 0x30, 0x31
UTC_TIME, GENERALIZED_TIME, IA5 = 0x17, 0x18, 0x16

class DerReader:
    def __init__(self, data, code):
        self.data, self.position, self.code = data, 0, code

    def demand(self, condition):
        code = self.code
        demand(condition, code)

    def peek(self):
        """The next tag; None at the end."""
        return self.data[self.position] if self.position < len(self.data) else None

    def whole(self, tag):
        """The next value with its tag and length, and its content."""
        start, rest = self.position, self.data[self.position :]
        self.demand(len(rest) >= 2 and rest[0] == tag and tag & 31 != 31)
        size, head = rest[1], 2
        if size >= 0x80:
            digits = size - 0x80
            head += digits
            self.demand(1 <= digits <= 3 and len(rest) >= head)
            size = int.from_bytes(rest[2:head], "big")
            self.demand(size >= 0x80 and size >= 1 << 8 * (digits - 1))
        self.demand(len(rest) >= head + size)
        self.position += head + size
        return self.data[start : self.position], rest[head : head + size]

    def take(self, tag):
        return self.whole(tag)[1]

    def open(self, tag):
        return DerReader(self.take(tag), self.code)

    def magnitude(self):
        """The bytes of a non-negative INTEGER in shortest form, without a sign byte."""
        content = self.take(INTEGER)
        self.demand(content and content[0] < 0x80)
        if content[0] or len(content) == 1:
            return content
        self.demand(content[1] >= 0x80)
        return content[1:]

    def number(self):
        return int.from_bytes(self.magnitude(), "big")

    def bits(self):
        content = self.take(BITS)
        self.demand(content[:1] == b"\0")
        return content[1:]

    def true(self):
        self.demand(self.take(BOOLEAN) == b"\xff")

    def end(self):
        self.demand(self.position == len(self.data))

def open_der(data, code):
    """A reader of the content of the only value, a SEQUENCE."""
    outer = DerReader(data, code)
    inner = outer.open(SEQUENCE)
    outer.end()
    return inner

def oid(dotted):
    """The content of an OBJECT IDENTIFIER."""
    first, second, *rest = map(int, dotted.split("."))
    content = bytearray()
    for arc in (40 * first + second, *rest):
        septets = [arc & 127]
        while arc := arc >> 7:
            septets.insert(0, arc & 127 | 128)
        content += bytes(septets)
    return bytes(content)

def encode_der(tag, *parts):
    content = b"".join(parts)
    size = len(content)
    assert size < 0x80, "only short values are written here"
    return bytes([tag, size]) + content
