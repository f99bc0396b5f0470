#!/usr/bin/env python3
"""The rules that come with Watchbill fire when they should and only then, as promtool judges it.

WATCHBILL names the program, PROMTOOL another promtool; 77 when there is none.
"""
import json
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


# What is rendered, and what promtool is to say of it.
SITE = {"orchestrator": "file", "name": "https://a.example/", "labels": {"com.df.notify": "true", "com.df.probeUrl": "https://a.example/"}}
CASES = (
    ("watchbill.test.yml", [], ("--expected-targets", "--expected-targets-for", "2m")),
    ("sites.test.yml", [SITE], ("--sources", "file", "--sites", "sites.yml")),
)


def run(test, services, flags):
    with tempfile.TemporaryDirectory() as name:
        into = Path(name)
        (into / "observed.json").write_text(json.dumps({"services": services}))
        subprocess.run([WATCHBILL, "render", "--from", into / "observed.json", "--out", into / "out", *flags], env=ENVIRONMENT, check=True, timeout=60)
        shutil.copy(HERE / test, into / "out")
        return subprocess.run([PROMTOOL, "test", "rules", into / "out" / test], timeout=120).returncode


def main():
    if not shutil.which(PROMTOOL):
        print("skipped: no promtool")
        return 77
    return max([run(*case) for case in CASES])


if __name__ == "__main__":
    sys.exit(main())
