#!/usr/bin/env python3
"""The rules that come with Watchbill fire when they should and only then, as promtool judges it.

WATCHBILL names the program, PROMTOOL another promtool; 77 when there is none.
"""
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "support"))
import harness                                                              # noqa: E402

WATCHBILL = os.environ.get("WATCHBILL", "build/watchbill")
PROMTOOL = os.environ.get("PROMTOOL", "promtool")
ENVIRONMENT = harness.clean_environment()        # what is meant for tests is no setting


def main():
    if not shutil.which(PROMTOOL):
        print("skipped: no promtool")
        return 77
    with tempfile.TemporaryDirectory() as name:
        into = Path(name)
        (into / "observed.json").write_text('{"services": []}')
        subprocess.run([WATCHBILL, "render", "--from", into / "observed.json", "--out", into / "out", "--expected-targets", "--expected-targets-for", "2m"],
                       env=ENVIRONMENT, check=True, timeout=60)
        shutil.copy(HERE / "watchbill.test.yml", into / "out")
        return subprocess.run([PROMTOOL, "test", "rules", into / "out" / "watchbill.test.yml"], timeout=120).returncode


if __name__ == "__main__":
    sys.exit(main())
