"""What the claims say together (RC4, BU3.12), and the charge beside the price (RC2.5, RC2.6)."""

from .claims import disclosed_claim
from .events import check_head, event_list
from .refusal import NotChecked, demand
from .schemas import CLAIM_SCHEMAS, NEEDED_CLAIMS, RECOVERED_CLAIMS
from .statement import RECEIPT, REFUSAL

def same_bytes(first, second):
    return first["bytes"] == second["bytes"] and first["sha256"] == second["sha256"]

def compare_bodies(claims):
    """RC4.2: each comparison is made when its claims are disclosed (RC4.4)."""
    if claims.keys() >= {"forwarded", "request"} and claims["forwarded"]["transform"] == "identity":
        demand(same_bytes(claims["forwarded"], claims["request"]), "identity-broken")
    if not claims.keys() >= {"response", "upstream-response", "outcome"}:
        return
    response, upstream = claims["response"], claims["upstream-response"]
    if response["transform"] == "identity":
        complete = claims["outcome"]["state"] == "complete"
        demand(not complete or same_bytes(response, upstream), "identity-broken")
        demand(response["bytes"] <= upstream["bytes"], "identity-broken")

def needed_for_comparison(claims):
    """RC4.4: both transforms, and what an identity is compared with."""
    def is_identity(name):
        return name in claims and claims[name]["transform"] == "identity"
    needed = {"forwarded", "response"}
    if is_identity("forwarded"):
        needed |= {"request"}
    if is_identity("response"):
        needed |= {"upstream-response", "outcome"}
    return needed

def judge_meaning(call):
    """BU3.12; a failure that can be seen goes before `withheld`."""
    for name, value in call.claims.items():
        demand(name not in CLAIM_SCHEMAS or CLAIM_SCHEMAS[name](value), "claim-schema")
    knows_more = NEEDED_CLAIMS[RECEIPT] & call.claims.keys()
    is_recovered = call.fields[2] == RECEIPT and "recovered" in call.claims and not knows_more
    missing = (RECOVERED_CLAIMS if is_recovered else NEEDED_CLAIMS[call.fields[2]]) - call.claims.keys()
    demand(not (call.all_disclosed and missing), "claim-missing")
    compare_bodies(call.claims)
    if "stream" in call.claims and call.bundle.events is not None:
        check_head(call.claims["stream"], event_list(call.bundle))
    no_stream = call.all_disclosed and "stream" not in call.claims
    demand(call.bundle.events is None or not no_stream, "event-chain-mismatch")
    if call.fields[2] == RECEIPT and not needed_for_comparison(call.claims) <= call.claims.keys():
        raise NotChecked("withheld")

def judge_charge(call):
    charged = int.from_bytes(call.fields[9][2], "big")
    if call.fields[2] == REFUSAL:
        demand(charged == 0, "refusal-charged")
        return
    price = disclosed_claim(call, "price")
    demand(charged <= int.from_bytes(price["amount"], "big"), "charge-exceeds-price")
