#!/usr/bin/env python3
"""The bench: `make bench`, or python3 tests/bench/run.py [--quick] [--only real|kubernetes|push|page|fake|fake-kubernetes].

Prints a table and writes build/bench.json. The controller is the release build where there is one (WATCHBILL names another).
"""

import argparse
import importlib
import os
import platform
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness                                                              # noqa: E402
import report                                                               # noqa: E402


PARTS = ("real", "kubernetes", "push", "page", "fake", "fake-kubernetes")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer repetitions, 0 and 100 services, 1,000 on the fake Engine")
    parser.add_argument("--only", choices=PARTS)
    parser.add_argument("--sizes", default="", help="other services on the real Swarm, default 0,100,1000")
    parser.add_argument("--services", type=int, help="services on the fake Engine, default 10000")
    parser.add_argument("--restores", type=int, default=0, help="on the fake Engine nothing but so many full restores")
    parser.add_argument("--changes", type=int, help="label changes measured for each size, default 20")
    parser.add_argument("--peer", action="store_true", help="build prometheus-operator, and measure it in the same run")
    parser.add_argument("--out", default=os.path.join(harness.ROOT, "build", "bench.json"))
    parser.add_argument("--strict", action="store_true", help="exit 1 where a target is missed")
    parser.add_argument("extra", nargs="*", help="further flags for watchbill, after --")
    options = parser.parse_args()
    if not os.environ.get("WATCHBILL"):
        release = [p for p in (os.path.join(harness.ROOT, "build", *x) for x in (("release", "watchbill"), ("watchbill",))) if os.access(p, os.X_OK)]
        if release:
            os.environ["WATCHBILL"] = release[0]
    if harness.binary() is None:
        print("no watchbill binary: build it, or name it in WATCHBILL", file=sys.stderr)
        return 77
    results, wrong, skipped = [], 0, 0
    for part in PARTS:
        if options.only in (None, part):
            began = time.monotonic()
            try:
                if part in ("real", "kubernetes"):
                    module = importlib.import_module(part)
                    sizes = [int(x) for x in options.sizes.split(",") if x] or ([0, 100] if options.quick else [0, 100, 1000])
                    bench = module.Bench(options.quick, sizes, options.changes or (5 if options.quick else 20), options.extra)
                    if options.peer and part == "kubernetes":
                        bench.measure_peer(results)
                elif part in ("push", "page"):
                    bench = importlib.import_module(part).Bench(options.quick, options.extra)
                elif part == "fake-kubernetes":
                    import fake_kubernetes
                    bench = fake_kubernetes.Bench(options.quick, options.services, extra=options.extra)
                else:
                    import fake
                    bench = fake.Bench(options.quick, options.services, extra=options.extra, restores=options.restores)
                bench.run(results)
            except unittest.SkipTest as e:
                print("%s: skipped: %s" % (part, e), file=sys.stderr)
                skipped += 1
            except (AssertionError, OSError, subprocess.SubprocessError) as e:
                print("%s: %s: %s" % (part, type(e).__name__, e), file=sys.stderr)
                wrong += 1
            print("%s: %.0f s" % (part, time.monotonic() - began), file=sys.stderr)
    if not results:
        return 1 if wrong else 77
    prometheus = subprocess.run([harness.prometheus_binary() or "false", "--version"], capture_output=True, text=True, timeout=10)
    facts = {"binary": os.path.relpath(harness.binary(), harness.ROOT), "cores": os.cpu_count(), "kernel": platform.release(),
             "prometheus": (prometheus.stdout + prometheus.stderr).split("\n")[0], "quick": options.quick,
             "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
    report.write(results, options.out, facts)
    print(report.table(results))
    missed = [r for r in results if r.met is False]
    print("\n%d of %d targets met; written to %s" % (len([r for r in results if r.met]), len([r for r in results if r.met is not None]),
                                                    os.path.relpath(options.out)))
    return 1 if wrong or (options.strict and missed) else 0


if __name__ == "__main__":
    sys.exit(main())
