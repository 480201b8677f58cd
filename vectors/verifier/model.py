"""Which model the provider says it served, beside the one that was asked for (RC4.10)."""

import re

from .claims import disclosed_claim
from .refusal import NotChecked, demand
from .statement import REFUSAL

DATE = "[0-9]{4}-?[0-9]{2}-?[0-9]{2}"
VERSION = re.compile(f"[-@:]{DATE}(-v[0-9]{{1,2}})?|-[0-9]{{3,4}}")

def is_version_of(name, served):
    """Served is the name itself, or a version of it."""
    name, served = name.removeprefix("models/"), served.removeprefix("models/")
    stem = name.removesuffix("-latest")
    if served == name or served == stem:
        return True
    return served.startswith(stem) and VERSION.fullmatch(served[len(stem):]) is not None

def judge_served_model(call):
    if call.fields[2] == REFUSAL:
        return
    model = disclosed_claim(call, "model")
    served = model["asserted"]
    if served is None:
        raise NotChecked("unsaid")
    routed = disclosed_claim(call, "routing")["model"] if "routing" in call.claims else None
    if is_version_of(model["requested"], served):
        return
    if routed is None and not call.all_disclosed:
        raise NotChecked("withheld")
    if routed is not None and is_version_of(routed, served):
        raise NotChecked("renamed")
    demand("served-model" not in call.policy["require"], "served-model-mismatch")
    raise NotChecked("other-model")
