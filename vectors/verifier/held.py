"""What the caller holds beside the bundle: nonce and bodies (BU3.7, BU3.8)."""

from hashlib import sha256

from .claims import disclosed_claim
from .events import check_head, cut_events, event_list
from .refusal import NotChecked, demand

def judge_nonce(call):
    if call.held_nonce is None:
        raise NotChecked("not-given")
    demand(call.fields.get(8) == call.held_nonce, "nonce-mismatch")

def is_body(claim, body):
    return claim["bytes"] == len(body) and claim["sha256"] == sha256(body).digest()

def judge_request_bytes(call):
    if call.held_request is None:
        raise NotChecked("not-given")
    demand(is_body(disclosed_claim(call, "request"), call.held_request), "request-bytes-mismatch")

def judge_response_bytes(call):
    if call.held_response is None:
        raise NotChecked("not-given")
    if call.held_is_prefix:
        return check_prefix(call)
    demand(is_body(disclosed_claim(call, "response"), call.held_response), "response-bytes-mismatch")
    if "stream" in call.claims:
        events, tail = cut_events(call.held_response)
        elements = events + [tail] if tail else events
        check_head(disclosed_claim(call, "stream"), [sha256(element).digest() for element in elements])

def check_prefix(call):
    if call.all_disclosed:
        demand("stream" in call.claims, "response-prefix-unprovable")
    stream = disclosed_claim(call, "stream")
    demand(call.bundle.events is not None, "response-prefix-unprovable")
    events, tail = cut_events(call.held_response)
    demand(not tail, "response-prefix-not-at-event-end")
    digests = event_list(call.bundle)
    demand([sha256(event).digest() for event in events] == digests[: len(events)], "event-chain-mismatch")
    check_head(stream, digests)
