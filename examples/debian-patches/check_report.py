"""What the example's report must say.

usage: check_report.py REPORT.json MISCHIEF.txt
"""
import json
import sys

FIXES = {"zipinfo-hostver", "zipinfo-method", "list-method", "build-date", "pkware-attributes", "zipgrep-status"}
# What each attempt of the misbehaving agent must have run into.
STOPPED_BY = {
    "write-usr": "Read-only file system",
    "write-etc": "",
    "write-inputs": "",
    "write-repository": "No such file or directory",
    "write-sysctl": "",
    "mount": "",
    "new-user-namespace": "Operation not permitted",
    "connect-outside": "Network is unreachable",
    "connect-host-loopback": "Connection refused",
    "read-neighbour": "",
    "see-strangers": "no such process",
    "memory": "out_of_memory",
}


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        report = json.load(file)
    with open(sys.argv[2], encoding="utf-8") as file:
        mischief = dict(line.rstrip("\n").split(": ", 1) for line in file)
    problems = []

    def expect(what, wanted, found):
        if wanted != found:
            problems.append(f"{what}: expected {wanted!r}, found {found!r}")

    agents = {agent["name"]: agent for agent in report["agents"]}
    expect("agents", FIXES | {"mischief"}, set(agents))
    for name, agent in sorted(agents.items()):
        expect(f"{name}: outcome", "done", agent["outcome"])
        expect(f"{name}: merge", "merged", agent["merge"]["state"])
        attempts = 2 if name in ("zipinfo-method", "mischief") else 1
        expect(f"{name}: attempts", attempts, len(agent["attempts"]))
        for key in ("wall_ms", "cpu_ms", "peak_memory"):
            if not agent[key]:
                problems.append(f"{name}: no {key}")

    first, second = agents["zipinfo-method"]["attempts"]
    expect("the killed agent: how its first attempt ended", "fault_injected", first["ended"]["reason"])
    expect("the killed agent: what its second attempt began from", "commit", (second["resumed_from"] or {}).get("kind"))
    expect("the killed agent: how its second attempt ended", "exited", second["ended"]["reason"])

    expect("the misbehaving agent: how its first attempt ended", "out_of_memory",
           agents["mischief"]["attempts"][0]["ended"]["reason"])
    for attempt, reason in STOPPED_BY.items():
        said = mischief.get(attempt, "was not tried")
        if not said.startswith("stopped: ") or reason not in said:
            problems.append(f"mischief: {attempt}: {said} (expected to be stopped by {reason!r})")
    for attempt, said in mischief.items():
        print(f"mischief: {attempt}: {said}")

    for problem in problems:
        print(f"check_report: {problem}", file=sys.stderr)
    if problems:
        sys.exit(1)
    print("report: one agent killed and resumed from its commit, one misbehaving and contained, all merged")


main()
