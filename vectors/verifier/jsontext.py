"""Strict JSON (BU1.1) and base64url (BU1.3)."""

import base64
import re

from .refusal import demand, strict_utf8
from .shapes import LIMIT

JSON_SPACE = re.compile(r"[ \t\n\r]*")
JSON_PLAIN = re.compile(r'[^"\\\x00-\x1f]*')
JSON_ESCAPE = re.compile(r'\\(?:(["\\/bfnrt])|u([0-9a-fA-F]{4}))')
JSON_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,15})(?![0-9.eE])")
JSON_WORD = re.compile(r"true|false|null")
ESCAPES = dict(zip('"\\/bfnrt', '"\\/\b\f\n\r\t'))
WORDS = {"true": True, "false": False, "null": None}
MAX_JSON_DEPTH = 8
BASE64URL = re.compile(r"[A-Za-z0-9_-]*")

class JsonReader:
    def __init__(self, source):
        self.source, self.position = source, 0

    def peek(self):
        """The next character that is not white space; empty at the end."""
        character = self.source[self.position : self.position + 1]
        if character > " ":
            return character
        self.position = JSON_SPACE.match(self.source, self.position).end()
        return self.source[self.position : self.position + 1]

    def expect(self, character):
        demand(self.peek() == character, "bundle-not-json")
        self.position += 1

    def match(self, pattern):
        found = pattern.match(self.source, self.position)
        demand(found, "bundle-not-json")
        self.position = found.end()
        return found

    def value(self, depth):
        first = self.peek()
        if first == '"':
            return self.string()
        if first in ("{", "["):
            demand(depth < MAX_JSON_DEPTH, "bundle-not-json")
            return self.object(depth + 1) if first == "{" else self.array(depth + 1)
        if first in ("t", "f", "n"):
            return WORDS[self.match(JSON_WORD).group()]
        number = int(self.match(JSON_INTEGER).group())
        demand(abs(number) < LIMIT, "bundle-not-json")
        return number

    def string(self):
        self.expect('"')
        parts, high = [], None
        while True:
            plain = self.match(JSON_PLAIN).group()
            ended = self.source.startswith('"', self.position)
            demand(high is None or (not plain and not ended), "bundle-not-json")
            parts.append(plain)
            if ended:
                self.position += 1
                return "".join(parts)
            short, unicode = self.match(JSON_ESCAPE).groups()
            unit = ord(ESCAPES[short]) if short else int(unicode, 16)
            if high is not None:
                demand(0xDC00 <= unit <= 0xDFFF, "bundle-not-json")
                parts.append(chr(0x10000 + ((high - 0xD800) << 10) + unit - 0xDC00))
                high = None
            elif 0xD800 <= unit <= 0xDBFF:
                high = unit
            else:
                demand(not 0xDC00 <= unit <= 0xDFFF, "bundle-not-json")
                parts.append(chr(unit))

    def members(self, close, read_member):
        """What stands between an opening bracket and `close`, separated by commas."""
        self.position += 1
        if self.peek() != close:
            read_member()
            while self.peek() == ",":
                self.position += 1
                read_member()
        self.expect(close)

    def array(self, depth):
        result = []
        self.members("]", lambda: result.append(self.value(depth)))
        return result

    def object(self, depth):
        result = {}

        def read_member():
            demand(self.peek() == '"', "bundle-not-json")
            name = self.string()
            demand(name not in result, "bundle-not-json")
            self.expect(":")
            result[name] = self.value(depth)

        self.members("}", read_member)
        return result

def parse_json(data):
    reader = JsonReader(strict_utf8(data, "bundle-not-json"))
    value = reader.value(0)
    demand(reader.peek() == "", "bundle-not-json")
    return value

def parse_base64(source):
    demand(BASE64URL.fullmatch(source) and len(source) % 4 != 1, "bundle-base64")
    data = base64.urlsafe_b64decode(source + "=" * (-len(source) % 4))
    demand(base64.urlsafe_b64encode(data).decode().rstrip("=") == source, "bundle-base64")
    return data
