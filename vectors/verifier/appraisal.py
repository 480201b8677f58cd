"""What the verifiers of all platforms share (AT1.3 to AT1.5)."""

from .refusal import NotChecked, Refusal

class Run:
    """Runs checks and keeps how each ended."""

    def __init__(self, collateral):
        self.collateral, self.checks = collateral, []

    def check(self, name, judge):
        """What `judge` returns, in a tuple; None when it refused or could not judge."""
        try:
            value = judge()
        except Refusal as refusal:
            self.checks.append([name, "failed", refusal.args[0]])
        except NotChecked as not_checked:
            self.checks.append([name, "not-checked", not_checked.args[0]])
        else:
            self.checks.append([name, "passed", ""])
            return (value,)

    def piece(self, name):
        """A piece of collateral."""
        if name not in self.collateral:
            raise NotChecked("collateral-missing")
        return self.collateral[name]

def need(result):
    """The value of an earlier check."""
    if result is None:
        raise NotChecked("blocked")
    return result[0]

def absent():
    raise NotChecked("platform-has-none")
