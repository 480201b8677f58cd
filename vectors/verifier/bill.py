"""What a call had to be charged (ME10, with ME5.5 and ME6)."""

import json
import re

from .jsontext import parse_json
from .refusal import Refusal, demand
from .schemas import CLAIM_SCHEMAS
from .shapes import LIMIT, amount, array, exactly, one_of, record, tuple_of, uint

KINDS = [
    "input", "input-audio", "input-image", "input-video", "cache-read", "cache-read-audio", "cache-read-image",
    "cache-read-video", "cache-write-5m", "cache-write-1h", "output", "output-audio", "output-image",
    "output-video", "reasoning", "audio-second", "image", "web-search", "web-fetch", "file-search",
    "code-session", "server-tool",
]
INPUTS = set(KINDS[:10])

def decimal(value):
    return type(value) is str and re.fullmatch("0|[1-9][0-9]{0,77}", value) is not None and int(value) < 2**256

RATE = tuple_of(one_of(*KINDS), decimal)
RATES = tuple_of(lambda value: type(value) is str, decimal, array(tuple_of(uint, array(RATE, 0, LIMIT)), 1, 64))

def counts(value):
    return type(value) is dict and all(kind in KINDS and uint(n) and n > 0 for kind, n in value.items())

METERING = record({
    "authorised": amount, "capped": lambda value: True, "counts": lambda value: True, "notes": lambda value: True,
    "source": one_of("provider", "estimated", "none"), "tier": lambda value: True,
})

class Open(Exception):
    """A bill that cannot be recomputed; the argument is the reason."""

class Wrong(Exception):
    """A bill that does not hold: the code, and what was due where that is known."""

def parse_rates(value):
    """ME5.5: one text for the same rates."""
    demand(type(value) is str, "bill-malformed")
    try:
        rates = parse_json(value.encode())
    except Refusal:
        raise Refusal("bill-malformed") from None
    demand(RATES(rates), "bill-malformed")
    model, per_call, tiers = rates
    ordered = [
        [above, [[kind, rate] for kind in KINDS if (rate := dict(map(tuple, listed)).get(kind, "0")) != "0"]]
        for above, listed in tiers
    ]
    text = json.dumps([model, per_call, ordered], separators=(",", ":"), ensure_ascii=False)
    demand(text == value, "bill-malformed")
    return rates

def price_use(rates, used):
    """ME6.1"""
    _, per_call, tiers = rates
    total = sum(count for kind, count in used.items() if kind in INPUTS)
    holding = [listed for place, (above, listed) in enumerate(tiers) if place == 0 or total > above][-1]
    cost = sum(used.get(kind, 0) * int(rate) for kind, rate in holding)
    return int(per_call) + -(-cost // 1_000_000)

def claim(claims, name):
    if name in claims:
        demand(CLAIM_SCHEMAS[name](claims[name]), "bill-malformed")
    return claims.get(name)

def compare(charge, due, ending):
    """A strict voucher costs at least one unit (PA18.3)."""
    charged = int.from_bytes(charge[2], "big")
    if charged == due or (charge[1] == "batch-settlement" and due == 0 and charged == 1):
        return ending
    raise Wrong("bill-too-high" if charged > due else "bill-too-low", due)

def judge_metered(charge, authorised, rates, value):
    demand(METERING(value), "bill-malformed")
    if int.from_bytes(value["authorised"], "big") != authorised:
        raise Wrong("bill-authorised-mismatch", None)
    used = 0
    if value["source"] != "none":
        demand(counts(value["counts"]), "bill-malformed")
        used = price_use(rates, value["counts"])
    if not exactly(used > authorised)(value["capped"]):
        raise Wrong("bill-capped-mismatch", None)
    due = min(used, authorised)
    return compare(charge, due, {"kind": "metered", "model": rates[0], "due": str(due)})

def recompute(charge, claims, is_whole):
    price = claim(claims, "price")
    if price is None:
        raise Open("recovered" if "recovered" in claims else "withheld")
    authorised = int.from_bytes(price["amount"], "big")
    metering = claims.get("metering")
    rates = parse_rates(claims["rates"]) if "rates" in claims else None
    model = claim(claims, "model")
    if rates is not None and model is not None and model["requested"] != rates[0]:
        raise Wrong("bill-model-mismatch", None)
    if metering is not None:
        if rates is None:
            raise Open("no-rates" if is_whole else "withheld")
        if model is None:
            raise Open("withheld")
        return judge_metered(charge, authorised, rates, metering)
    if not is_whole:
        raise Open("withheld")
    ending = {"kind": "fixed", "price": str(authorised)}
    if charge[2] == b"":
        return ending
    outcome = claims.get("outcome")
    state = outcome.get("state") if type(outcome) is dict else None
    is_used = rates is None and state in ("complete", "aborted-by-client")
    return compare(charge, authorised if is_used else 0, ending)

def judge_bill(charge, claims, is_whole):
    try:
        return recompute(charge, claims, is_whole)
    except Open as reason:
        return {"kind": "open", "reason": reason.args[0]}
    except Wrong as wrong:
        code, due = wrong.args
        return {"kind": "wrong", "code": code, "due": None if due is None else str(due)}
    except Refusal as refusal:
        return {"kind": "wrong", "code": refusal.args[0], "due": None}
