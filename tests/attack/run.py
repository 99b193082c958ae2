"""Tries every attack of attacks.json, with its defence and without it.

usage: run.py [--results FILE] [--prefix NAME] [--table FILE] [--quiet] [--bin DIR] [--attack PROGRAM] [NAME...]

With the defence an attack must be blocked, by the answer that is expected; without it, it must be seen to succeed. Ends with
status 1 on any surprise. --table writes what came of it as Markdown; NAMEs choose some of the attacks.
"""
import argparse
import collections
import json
import os
import re
import sys
import time

import scenarios
import table
from stage import Stage, merge

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
SUCCEEDED, BLOCKED = "SUCCEEDED", "blocked"

# One attempt: which attack of which case, under what, and what must come of it.
Attempt = collections.namedtuple("Attempt", "case what words policy who place stage expected text")


def cases_of(document):
    """Each case with its threat; `for_each` stands for several."""
    for threat in document["threats"]:
        for entry in threat.get("attacks", []):
            for name in entry.get("for_each", [entry.get("name")]):
                case = {key: value for key, value in entry.items() if key not in ("for_each", "arguments", "suffix")}
                case["name"] = name + entry.get("suffix", "")
                if "scenario" not in case and "run" not in case:
                    case["run"] = [name, *entry.get("arguments", [])]
                case["attack"] = name
                yield threat, case


def landlock_abi(stage):
    """What `bulkhead doctor` would say, asked of the kernel: landlock_create_ruleset(NULL, 0, VERSION)."""
    del stage
    import ctypes
    return ctypes.CDLL(None).syscall(444, None, 0, 1)


def kernels_own_wall(other):
    """Which setting of this kernel forbids what is to be seen to succeed, or nothing."""
    for name, needed in other.get("settings", {}).items():
        path = "/proc/sys/" + name.replace(".", "/")
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                if file.read().strip() != needed:
                    return f"{name} is not {needed}, which is a wall of the kernel's own"
    return ""


def attempts_of(case, abi):
    base, words, stage = case.get("policy", {}), case.get("run"), case.get("stage")
    if "open" in case and abi < case.get("closed_by_landlock", 1000):
        yield Attempt(case, "open", words, base, "root", "inside", stage, SUCCEEDED, "")
        return
    yield Attempt(case, "defended", words, base, "user" if case.get("off", {}).get("as") == "user" and "scenario" in case else "root",
                  "inside", stage, BLOCKED, case.get("blocked", ""))
    for still in case.get("still", []):
        if abi >= still.get("landlock", 0):
            yield Attempt(case, "still", words, merge(base, still["policy"]), still.get("as", "root"), "inside", stage, BLOCKED, still["blocked"])
    for what in ("off", "contrast", "outside"):
        if what in case and not kernels_own_wall(case[what]):
            other = case[what]
            run = [case["attack"] if word == "{attack}" else word for word in other.get("run", words or [])]
            yield Attempt(case, what, run, merge(base, other.get("policy", {})), other.get("as", "root"),
                          "outside" if what == "outside" else "inside", stage, SUCCEEDED, "")


def parse(output):
    """(verdict, text) of each attack that said something, in order."""
    found = []
    for line in output.splitlines():
        parts = line.split(": ", 2)
        if len(parts) == 3 and parts[1] in (SUCCEEDED, BLOCKED, "not tried"):
            found.append((parts[1], parts[2]))
    return found


def run_together(stage, attempts):
    """Attempts that need the same sandbox, one after another in it: [(attempt, verdict, text)]."""
    first = attempts[0]
    options = scenarios.stage_options(stage, first.stage)
    words = []
    for attempt in attempts:
        words += [*stage.fill_in(attempt.words), "+"]
    if first.place == "outside":
        status, output = stage.run([stage.attack, *words], first.who, outside=True, **options)
    else:
        status, output = stage.inside(first.policy, ["/attack", *words], first.who, **options)
    found = parse(output)
    # Whoever is killed whole says nothing any more.
    if len(attempts) == 1 and not found and status in (137, 128 + 31):
        found = [(BLOCKED, "the sandbox ended: " + output.strip().split(";")[0])]
    found += [("nothing", f"status {status}: {output.strip()}")] * (len(attempts) - len(found))
    return [(attempt, *answer) for attempt, answer in zip(attempts, found)]


def perform(stage, attempts):
    groups = collections.OrderedDict()
    for index, attempt in enumerate(attempts):
        alone = attempt.case.get("alone") or attempt.stage or "scenario" in attempt.case
        key = index if alone else json.dumps([attempt.policy, attempt.who, attempt.place], sort_keys=True)
        groups.setdefault(key, []).append(attempt)
    for group in groups.values():
        if "scenario" in group[0].case:
            attempt = group[0]
            verdict, text = getattr(scenarios, attempt.case["scenario"])(stage, attempt)
            yield attempt, verdict, text
        else:
            yield from run_together(stage, group)


def surprise(attempt, verdict, text):
    if verdict != attempt.expected:
        return f"{attempt.what}: expected {attempt.expected}, got {verdict}: {text}"
    if attempt.text not in text:
        return f"{attempt.what}: blocked by something else than '{attempt.text}': {text}"
    return ""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--results")
    parser.add_argument("--prefix", default="attack")
    parser.add_argument("--table")
    parser.add_argument("--bin", default=os.path.join(ROOT, "build/bin"))
    parser.add_argument("--attack", default=os.path.join(ROOT, "build/attack/attack"))
    parser.add_argument("--quiet", action="store_true", help="print surprises only")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    with open(os.path.join(HERE, "attacks.json"), encoding="utf-8") as file:
        document = json.load(file)
    begun = time.monotonic()
    stage = Stage(ROOT, options.bin, options.attack)
    try:
        outcome = judge(stage, document, options)
    finally:
        if hasattr(stage, "repositories"):
            stage.repositories.clean()
        stage.close()
    failed = [name for name, (verdict, _) in outcome.items() if verdict == "failed"]
    if options.results:
        with open(options.results, "a", encoding="utf-8") as file:
            for name, (verdict, reason) in outcome.items():
                file.write(f"{verdict}\t{options.prefix}/{name}\t{reason}\n")
    if options.table and not failed and not options.names:
        with open(options.table, "w", encoding="utf-8") as file:
            file.write(table.render(document, list(cases_of(document)), outcome))
    tally = [sum(verdict == wanted for verdict, _ in outcome.values()) for wanted in ("passed", "failed", "skipped")]
    print("attacks: %d as expected, %d surprises, %d skipped, in %d s" % (*tally, time.monotonic() - begun))
    return 1 if failed or not outcome else 0


def check_elsewhere(document):
    """Tests that are said to try a threat elsewhere must be there, and run: a test of gtest, or one whole line of a script."""
    for threat in document["threats"]:
        if "elsewhere" in threat:
            assert threat.get("because"), f"nothing is said of what happens without: {threat['line']}"
        for path, tests in threat.get("elsewhere", {}).items():
            with open(os.path.join(ROOT, path), encoding="utf-8") as file:
                text = file.read()
            for test in tests:
                there = re.search(rf"^TEST(_F|_P)?\(\w+, {re.escape(test)}\)", text, re.M) if path.endswith(".cpp") else \
                    f"# {test}" in text.splitlines()
                assert there, f"{path} has no {test}, which is said to try: {threat['line']}"


def judge(stage, document, options):
    """name -> (passed|failed|skipped, reason)."""
    check_elsewhere(document)
    cases = [case for _, case in cases_of(document) if not options.names or case["name"] in options.names]
    seen = [case["name"] for case in cases]
    assert len(seen) == len(set(seen)), "two attacks of one name"
    outcome, attempts = collections.OrderedDict((name, ("passed", "")) for name in seen), []
    abi = landlock_abi(stage)
    probes = [Attempt(case, "kernel", case["run"], {}, "root", "outside", None, SUCCEEDED, "") for case in cases if "kernel" in case]
    for attempt, verdict, text in perform(stage, probes):
        if verdict in (BLOCKED, "not tried"):
            outcome[attempt.case["name"]] = ("skipped", f"not on this machine: {text}")
        elif verdict != SUCCEEDED:  # it crashed or said nothing, which no kernel makes it do
            print(f"SURPRISE {attempt.case['name']} (kernel): {verdict}: {text}", flush=True)
            outcome[attempt.case["name"]] = ("failed", f"kernel: {verdict}: {text}".replace("\t", " ").replace("\n", " "))
    for case in cases:
        if abi < case.get("landlock", 0):
            outcome[case["name"]] = ("skipped", f"not on this machine: Landlock's ABI is {abi}, and this needs {case['landlock']}")
        if outcome[case["name"]][0] == "passed":
            attempts += attempts_of(case, abi)
    for attempt, verdict, text in perform(stage, attempts):
        problem = surprise(attempt, verdict, text)
        if problem or not options.quiet:
            print(f"{'SURPRISE ' if problem else ''}{attempt.case['name']} ({attempt.what}): {verdict}: {text}", flush=True)
        if problem:
            outcome[attempt.case["name"]] = ("failed", problem.replace("\t", " ").replace("\n", " "))
    for case in cases:
        wall = next((wall for what in ("off", "contrast", "outside") if (wall := kernels_own_wall(case.get(what, {})))), "")
        if wall and outcome[case["name"]][0] == "passed":
            outcome[case["name"]] = ("skipped", f"blocked with the defence; without it not on this machine: {wall}")
    return outcome


if __name__ == "__main__":
    sys.exit(main())
