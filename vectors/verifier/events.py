"""The event chain (RC5)."""

import re
from hashlib import sha256

from .refusal import demand

LINE_END = re.compile(rb"\r\n|\n|\r")

def cut_events(body):
    """RC5.1: the events and the bytes after the last one."""
    events, event_start, line_start = [], 0, 0
    for end in LINE_END.finditer(body):
        if end.start() == line_start:
            events.append(body[event_start : end.end()])
            event_start = end.end()
        line_start = end.end()
    return events, body[event_start:]

def event_list(bundle):
    return [bundle.events[start : start + 32] for start in range(0, len(bundle.events), 32)]

def check_head(stream, digests):
    head = sha256(b"countersign/events/v1").digest()
    for digest in digests:
        head = sha256(b"\x02" + head + digest).digest()
    demand(stream["events"] == len(digests) and stream["head"] == head, "event-chain-mismatch")
