"""What the bench found, as a table and as JSON."""

import dataclasses
import json
import os

MIB = 1 << 20


@dataclasses.dataclass
class Result:
    part: str                   # real or fake
    size: int                   # other services there
    name: str
    value: float
    unit: str
    original: float = None      # the originals' figure for the same
    target: float = None        # to be at most this
    note: str = ""

    @property
    def met(self):
        return None if self.target is None else self.value <= self.target

    @property
    def ratio(self):
        """How many times less than the originals."""
        return None if self.original is None or self.value <= 0 else self.original / self.value

    def row(self):
        return [self.part, str(self.size), self.name, number(self.value) + (" " + self.unit if self.unit else ""),
                "" if self.original is None else number(self.original), "" if self.ratio is None else "%.1fx" % self.ratio,
                "" if self.target is None else "<= " + number(self.target), {None: "", True: "yes", False: "NO"}[self.met], self.note]


def number(value):
    if value != int(value):
        return "%.2f" % value if abs(value) < 10 else "%.1f" % value
    return "%d" % value


def table(results):
    rows = [["part", "services", "what", "measured", "originals", "better", "target", "met", "note"]] + [r.row() for r in results]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]) - 1)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)) + "  " + row[-1] for row in rows)


def write(results, path, facts):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    rows = [dict(dataclasses.asdict(r), met=r.met, ratio=r.ratio) for r in results]
    with open(path + ".new", "w") as f:
        json.dump({"facts": facts, "results": rows}, f, indent=1)
        f.write("\n")
    os.replace(path + ".new", path)
