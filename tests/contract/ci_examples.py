"""The examples for CI: their scripts and those of the documents, read by bash and by shellcheck.

    python tests/contract/ci_examples.py

That the files have the form which GitHub and GitLab ask for is checked by check-jsonschema in .ci/run; that the commands
in them are streamgauge's, by src/cli/documented.rs.
"""

import pathlib
import re
import subprocess
import sys

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
# What both shells of the examples are started with.
HEAD = "#!/usr/bin/env bash\nset -eo pipefail\n"
# Nothing is known here of the variables that a CI sets.
SHELLCHECK = ["--shell=bash", "--severity=style", "--exclude=SC2154"]


class Reference(yaml.SafeLoader):
    """GitLab's `!reference [job, key]` is no YAML of its own."""


Reference.add_constructor("!reference", lambda loader, node: loader.construct_sequence(node))


def github():
    workflow = yaml.safe_load((ROOT / "examples/ci/github-actions.yml").read_text())
    for name, job in workflow["jobs"].items():
        for number, step in enumerate(job["steps"]):
            place = f"github-actions.yml, job {name}, step {number + 1}"
            if "run" in step:
                # What is put into a script by the runner is put in unquoted: a branch's name could be a command.
                assert "${{" not in step["run"], f"{place}: an expression in a script"
                yield place, step["run"]
            else:
                # A tag can be moved to other code; a commit cannot.
                assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", step["uses"]), f"{place}: {step['uses']} is not pinned"


def gitlab():
    jobs = yaml.load((ROOT / "examples/ci/gitlab-ci.yml").read_text(), Reference)
    for name, job in jobs.items():
        for key in ("before_script", "script", "after_script"):
            lines = job.get(key, []) if isinstance(job, dict) else []
            if lines:
                yield f"gitlab-ci.yml, {name}.{key}", "\n".join(lines)


def documents():
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for number, block in enumerate(re.findall(r"^```(?:sh|bash|shell)\n(.*?)^```", path.read_text(), re.M | re.S)):
            yield f"{path.name}, shell block {number + 1}", block


def main():
    failed = 0
    of_examples = [*github(), *gitlab()]
    of_documents = list(documents())
    assert len(of_examples) >= 10 and len(of_documents) >= 5, (len(of_examples), len(of_documents))
    for place, script in of_examples:
        failed += told(place, ["bash", "-n"], script) or told(place, ["shellcheck", *SHELLCHECK, "-"], script)
    for place, script in of_documents:
        failed += told(place, ["bash", "-n"], script)
    print(f"scripts: {len(of_examples)} of the examples, {len(of_documents)} of the documents: {'ok' if not failed else f'{failed} wrong'}")
    return 1 if failed else 0


def told(place, command, script):
    """1 where `command` objects to the script, which it then prints; else 0."""
    ran = subprocess.run(command, input=HEAD + script, text=True, capture_output=True, timeout=60)
    if ran.returncode:
        print(f"{place}:\n{ran.stdout}{ran.stderr}")
    return 1 if ran.returncode else 0


if __name__ == "__main__":
    sys.exit(main())
