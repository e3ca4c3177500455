"""The one error that is meant for the person using SimVis."""


class SimvisError(ValueError):
    """A user's mistake, or a limit met, told in one sentence: what was got, what is wanted, what to do.

    Every other exception that leaves the core is a bug and keeps its traceback.
    """

    def __init__(self, got: str, wanted: str, cure: str) -> None:
        self.got, self.wanted, self.cure = got, wanted, cure
        super().__init__(f"Got {got}; wanted {wanted}: {cure}.")
