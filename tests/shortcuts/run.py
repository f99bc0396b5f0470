#!/usr/bin/env python3
"""Each built-in alert shortcut fires when it should and only then, as promtool judges it.

Usage: run.py [NAME...]     WATCHBILL names the program, PROMTOOL another promtool; 77 when there is none.

NAME.yml is a promtool test file for the shortcut @NAME. Its first line says what the label is and, where it matters, how many replicas the
service `web` has: `# alertIf=@replicas_running replicas=3`. The rule is rendered by the program itself into rules.yml. NAME.kubernetes.yml is the
same for its Kubernetes form, if it has one, as an annotation of the Deployment `web` in the namespace `shop-ns`. A form without a file, a file
without a form, and a file that does not both expect an alert and expect none are failures.
"""
import json
import os
import re
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
TIMEOUT_S = 60


def known_shortcuts():
    page = subprocess.run([WATCHBILL, "docs", "shortcuts"], env=ENVIRONMENT, check=True, capture_output=True, text=True, timeout=TIMEOUT_S).stdout
    sections = re.split(r"^### `@", page, flags=re.MULTILINE)[1:]
    names = [(re.match(r"[^:`]+", s)[0], "\nOn Kubernetes:\n" in s) for s in sections]
    return [n for n, _ in names] + [f"{n}.kubernetes" for n, has in names if has]


def render(first_line, name, into):
    head = re.fullmatch(r"# alertIf=(@([^:\s]+)\S*)(?: replicas=(\d+))?( kubernetes)?", first_line)
    if not head or head[2] + (".kubernetes" if head[4] else "") != name:
        raise ValueError(f"the first line is not `# alertIf=@{name}...`")
    labels = {"com.df.notify": "true", "com.df.alertName": "it", "com.df.alertIf": head[1]}
    service = {"name": "web", "replicas": int(head[3] or 1), "labels": labels}
    if head[4]:
        service |= {"orchestrator": "kubernetes", "kind": "Deployment", "namespace": "shop-ns"}
    (into / "observed.json").write_text(json.dumps({"services": [service]}))
    command = [WATCHBILL, "render", "--from", into / "observed.json", "--out", into / "out", "--promtool", PROMTOOL, "--shortcuts-dir", into / "none"]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=TIMEOUT_S)
    if done.returncode:
        raise ValueError(done.stderr.strip())
    (rules,) = (into / "out/rules").glob("*/*web.yml")
    shutil.copy(rules, into / "rules.yml")


def run_one(name):
    text = (HERE / f"{name}.yml").read_text()
    if "exp_alerts: []" not in text or "exp_labels:" not in text:
        raise ValueError("a test that fires and one that does not are needed")
    with tempfile.TemporaryDirectory() as d:
        render(text.split("\n", 1)[0], name, Path(d))
        shutil.copy(HERE / f"{name}.yml", Path(d) / "test.yml")
        done = subprocess.run([PROMTOOL, "test", "rules", "test.yml"], cwd=d, capture_output=True, text=True, timeout=TIMEOUT_S)
        if done.returncode:
            raise ValueError((done.stdout + done.stderr).strip())


def main():
    if not shutil.which(PROMTOOL):
        print(f"skipped: {PROMTOOL} is not here")
        return 77
    known, there = set(known_shortcuts()), {p.stem for p in HERE.glob("*.yml")}
    failed = [f"@{n}: there is no tests/shortcuts/{n}.yml" for n in sorted(known - there)]
    failed += [f"{n}.yml: there is no such shortcut" for n in sorted(there - known)]
    for name in sorted(set(sys.argv[1:] or known) & there):
        try:
            run_one(name)
        except ValueError as e:
            failed.append(f"@{name}: {e}")
    print("\n".join(failed) if failed else f"{len(known)} shortcuts: ok")
    return bool(failed) or not known


if __name__ == "__main__":
    sys.exit(main())
