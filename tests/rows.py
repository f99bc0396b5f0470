"""Every row of docs/migration.md's table has a test that carries its id, and every row that a test carries stands in the table.

Tests are C functions and Python methods whose name holds the id: F026_service_mem_limit, test_F001_ping.
"""

import os
import re
import sys

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
NAMES = {".c": re.compile(r"^static void (F\d{3})_\w+\(void \*\*state\)", re.M), ".py": re.compile(r"^    def test_(F\d{3})_\w+\(self", re.M)}
ROW = re.compile(r"^\| (F\d{3}) \|", re.M)
EXPECTED = {"F%03d" % i for i in (*range(1, 101), *range(144, 151))}


def tested():
    out = {}
    for directory, _, names in os.walk(os.path.join(ROOT, "tests")):
        for name in names:
            pattern = NAMES.get(os.path.splitext(name)[1])
            if pattern:
                with open(os.path.join(directory, name)) as f:
                    for row in pattern.findall(f.read()):
                        out.setdefault(row, []).append(name)
    return out


def main():
    with open(os.path.join(ROOT, "docs", "migration.md")) as f:
        listed = ROW.findall(f.read())
    tests, problems = tested(), []
    for what, rows in (("twice in the table", {r for r in listed if listed.count(r) > 1}), ("not in the table", EXPECTED - set(listed)),
                       ("in the table but of no known row", set(listed) - EXPECTED), ("without a test", EXPECTED - set(tests)),
                       ("tested but of no known row", set(tests) - EXPECTED)):
        if rows:
            problems.append("%s: %s" % (what, " ".join(sorted(rows))))
    print("\n".join(problems) if problems else "%d rows, each with a test" % len(EXPECTED))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
