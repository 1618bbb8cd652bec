"""`python tests/fuzz/run.py [--seconds 300] [--keep] [TARGET ...]`: search for inputs that do harm.

Coverage-guided, by atheris, which is no dependency: `pip install atheris` (it has wheels for
CPython 3.11 and newer on Linux). Each target runs so long in a process of its own, from what lies
in tests/fuzz/corpus/TARGET. An input that does harm is written to tests/fuzz/found, and the exit
status is 1: mend the code, and move the file to the corpus under a name that says what it is.
With --keep, the few inputs that reach more of the code than the corpus are added to it.
The last line is a row for the table in tests/whole.md.
"""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).resolve().parent
TESTS, ROOT = HERE.parent, HERE.parents[1]
CORPUS, FOUND, WORDS = HERE / "corpus", HERE / "found", HERE / "words.dict"
sys.path[:0] = [str(TESTS), str(ROOT)]

SLOWEST_S, MOST_MB, LONGEST_BYTES = 20, 2048, 4096


def one(target: str, arguments: list[str]) -> None:
    """Run one target for ever, or as long as libFuzzer's arguments say; never returns."""
    import atheris

    with atheris.instrument_imports(include=["jupyter_energy"]):
        from fuzz import targets
    # libFuzzer starts itself again, by a shell, to merge.
    again = shlex.join([sys.executable, __file__, "--one", target])
    atheris.Setup([again, *arguments], targets.TARGETS[target])
    atheris.Fuzz()


def search(target: str, seconds: int, keep: bool) -> tuple[int, int, bool]:
    """How many inputs were tried, how many of them were new, and whether one did harm."""
    with tempfile.TemporaryDirectory() as new:
        kept = CORPUS / target
        kept.mkdir(parents=True, exist_ok=True)
        said = _run(
            *(target, new, str(kept), f"-max_total_time={seconds}", f"-timeout={SLOWEST_S}"),
            *(f"-rss_limit_mb={MOST_MB}", f"-max_len={LONGEST_BYTES}", f"-dict={WORDS}"),
            *(f"-artifact_prefix={FOUND}/{target}-", "-print_final_stats=1", "-verbosity=0"),
        )
        tried = re.search(r"number_of_executed_units:\s*(\d+)", said.stderr)
        if said.returncode:
            print(said.stderr[-4000:], file=sys.stderr)
        elif keep:
            _run(target, "-merge=1", f"-max_len={LONGEST_BYTES}", str(kept), new)
        return int(tried[1]) if tried else 0, len(list(Path(new).iterdir())), said.returncode != 0


def _run(target: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, __file__, "--one", target, *arguments]
    return subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)


def main(arguments: list[str]) -> int:
    """Run the targets that are named, or all, one after the other; 1 where one found something."""
    from fuzz.targets import TARGETS

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=int, default=300, help="for each target (300)")
    parser.add_argument("--keep", action="store_true", help="add what reaches more of the code")
    asked = parser.parse_args(arguments)
    if unknown := set(asked.targets) - set(TARGETS):
        parser.error(f"no target {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}")
    try:
        import atheris  # noqa: F401  only whether it is here
    except ImportError:
        print("this needs atheris: pip install atheris", file=sys.stderr)
        return 2
    FOUND.mkdir(exist_ok=True)
    in_all, harmful = 0, []
    for target in asked.targets or TARGETS:
        tried, new, did_harm = search(target, asked.seconds, asked.keep)
        in_all += tried
        harmful += [target] * did_harm
        verdict = "did harm" if did_harm else "harmless"
        print(f"{target:<16} {tried:>10} inputs, {new:>5} new, {verdict}", flush=True)
    today = datetime.now(UTC).date()
    git = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    told = f"harm in {', '.join(harmful)}" if harmful else "none did harm"
    count = len(asked.targets or TARGETS)
    print(f"| {today} | {commit} | {count} × {asked.seconds} s | {in_all} | {told} |")
    return 1 if harmful else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        one(sys.argv[2], sys.argv[3:])
    sys.exit(main(sys.argv[1:]))
