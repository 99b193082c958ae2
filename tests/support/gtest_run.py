"""Runs GoogleTest programs one after another and says what came of each case.

usage: gtest_run.py RESULTS PREFIX PROGRAM...

Appends one tab-separated line a case to RESULTS: passed|failed|skipped, PREFIX/program/Suite.Case, and for a skip its
reason. A program that dies is one failure more, named after the program; the cases it did not report are not counted.
"""
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml

TIMEOUT_SECONDS = int(os.environ.get("BULKHEAD_TEST_TIMEOUT", "900"))


def reason_of(case):
    skipped = case.find("skipped")
    message = (skipped.get("message") or skipped.text or "") if skipped is not None else ""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    return " ".join(line for line in lines if not line.split(":")[0].endswith((".cpp", ".h")))


def cases_of(report):
    for case in xml.parse(report).iter("testcase"):
        name = f"{case.get('classname')}.{case.get('name')}"
        if case.find("failure") is not None:
            yield "failed", name, ""
        elif case.get("result") == "skipped" or case.find("skipped") is not None:
            yield "skipped", name, reason_of(case)
        elif case.get("status") == "run":
            yield "passed", name, ""


def run(program, prefix, results):
    name = f"{prefix}/{os.path.basename(program)}"
    with tempfile.TemporaryDirectory(prefix="gtest.") as directory:
        report = os.path.join(directory, "report.xml")
        try:
            status = subprocess.run(
                [program, "--gtest_brief=1", f"--gtest_output=xml:{report}"],
                stdin=subprocess.DEVNULL, timeout=TIMEOUT_SECONDS).returncode
            ending = f"ended by signal {-status}" if status < 0 else f"exit status {status}"
        except subprocess.TimeoutExpired:
            status, ending = 124, f"still running after {TIMEOUT_SECONDS} s"
        except OSError as error:
            status, ending = 127, str(error)
        counted = list(cases_of(report)) if os.path.exists(report) else []
    for verdict, case, reason in counted:
        results.write(f"{verdict}\t{name}/{case}\t{reason}\n")
    if status != 0 and not any(verdict == "failed" for verdict, _, _ in counted):
        print(f"{name}: {ending}", flush=True)
        results.write(f"failed\t{name}\t{ending}\n")
    if status == 0 and not counted:
        results.write(f"failed\t{name}\tran no test\n")
    tally = [sum(verdict == wanted for verdict, _, _ in counted) for wanted in ("passed", "failed", "skipped")]
    print("%s: %d passed, %d failed, %d skipped" % (name, *tally), flush=True)


def main():
    results_path, prefix, *programs = sys.argv[1:]
    with open(results_path, "a", encoding="utf-8") as results:
        for program in programs:
            run(program, prefix, results)
            results.flush()


main()
