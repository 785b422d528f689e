"""The one exception a user's mistake becomes: a single line with what happened, where, and what to do."""


class EgoReactError(Exception):
    """A mistake that is not a bug of this project. The CLI prints it in one line and exits with code 2.

    Args:
        what: what is wrong, naming the value.
        where: the file, clip, address or setting it was found in.
        remedy: what the person can do about it.
    """

    def __init__(self, what: str, *, where: object, remedy: str):
        self.what, self.where, self.remedy = what, str(where), remedy
        super().__init__(" ".join(f"{where}: {what}; {remedy}".split()))

    def __reduce__(self):  # crosses process boundaries (Ray, multiprocessing) whole
        return _rebuild, (self.what, self.where, self.remedy)


def _rebuild(what: str, where: str, remedy: str) -> EgoReactError:
    return EgoReactError(what, where=where, remedy=remedy)
