"""What a check says is wrong."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    where: str
    """The overlay or file, the object, the field."""
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}; {self.remedy}"
