"""An agent that keeps more on disk than its policy gives it, in its workspace and in its home."""
import json
import os

from git_attacks import BLOCKED, NOT_TRIED, SUCCEEDED, git

# Each ends with 0 when it could keep it all.
FILLERS = {
    "disk_fill": ["/bin/sh", "-c", "head -c 24M /dev/zero >big && head -c 24M /dev/zero >~/big && test -s big -a -s ~/big"],
    "workspace_fill": ["/bin/sh", "-c", "head -c 48M /dev/zero >big && test -s big"],
    "inode_fill": ["/usr/bin/python3", "-c", "import os\nfor i in range(1200):\n  open(f'f{i}', 'w').close()\n  os.symlink('x', os.path.expanduser(f'~/l{i}'))"],
}


def attack(stage, attempt):
    name = attempt.case["name"]
    here = stage.path(f"{name}-{attempt.what}")
    repository = os.path.join(here, "repository")
    os.makedirs(repository)
    git(repository, "init", "-q", "-b", "main")
    git(repository, "commit", "-q", "--allow-empty", "-m", "first")
    workflow = os.path.join(here, "run.json")
    with open(workflow, "w", encoding="utf-8") as file:
        json.dump({"version": 1, "repository": repository, "base": "main", "policy": stage.policy(attempt.policy),
                   "tasks": {"agent": {"command": FILLERS[name]}}}, file)
    state = ["--state", os.path.join(here, "state")]
    stage.run([stage.bulkhead, *state, "run", "--name", "r", workflow])
    report = stage.run([stage.bulkhead, *state, "journal", "r", "--json"])[1]
    stage.run([stage.bulkhead, *state, "clean"])
    try:
        ended = json.loads(report)["agents"][0]["attempts"][0]["ended"]
    except (ValueError, LookupError, TypeError):
        return NOT_TRIED, report
    if ended["reason"] == "disk_full":
        return BLOCKED, ended["detail"]
    return (SUCCEEDED, "it kept it all") if ended["exit_code"] == 0 else (NOT_TRIED, json.dumps(ended))
