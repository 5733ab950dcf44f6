"""Which cases of the Autobahn suite are run, and whether they ended as expected.

``expected.json`` holds the number of cases of each section, so that a case which silently was not
run is found, and the failures that are accepted. Everything else must end well: an extension that
was not negotiated counts as a failure here, because sections 12 and 13 would pass by running
nothing.
"""

import json
import sys
from collections import Counter
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

AGENT = "fastchat"
HERE = Path(__file__).parent
# NON-STRICT: allowed, though noticed a moment later than possible. INFORMATIONAL: no rule.
WELL = {"OK", "NON-STRICT", "INFORMATIONAL"}

Results = dict[str, dict[str, Any]]


def spec(url: str, reports: str, cases: Sequence[str], sections: Sequence[str]) -> dict[str, Any]:
    """The suite's own configuration; no cases means all sections that must pass."""
    return {
        "outdir": reports,
        "servers": [{"agent": AGENT, "url": url}],
        "cases": list(cases) or [f"{section}.*" for section in sections],
        "exclude-cases": [],
        "exclude-agent-cases": {},
    }


def is_well(result: dict[str, Any]) -> bool:
    """Whether a case ended well, the closing of its connection included."""
    return result["behavior"] in WELL and result["behaviorClose"] in WELL


def problems(results: Results, expected: dict[str, Any], cases: Sequence[str]) -> list[str]:
    """What is not as expected, one line each; the number of cases counts only for whole runs."""
    found = [
        f"{case}: {result['behavior']}, closing {result['behaviorClose']}"
        for case, result in sorted(results.items(), key=lambda item: _order(item[0]))
        if not is_well(result) and case not in expected["accepted"]
    ]
    counts = Counter(case.partition(".")[0] for case in results)
    if not cases:
        for section, number in expected["cases"].items():
            if counts[section] != number:
                found.append(f"section {section}: {counts[section]} of {number} cases were run")
    found.extend(
        f"{pattern}: no such case was run"
        for pattern in cases
        if not any(fnmatchcase(case, pattern) for case in results)
    )
    return found


def table(results: Results) -> str:
    """One line per section: how many cases ended how."""
    kinds = ["OK", "NON-STRICT", "INFORMATIONAL", "FAILED"]
    rows = [["section", "cases", *kinds]]
    for section in sorted({case.partition(".")[0] for case in results}, key=int):
        inside = [result for case, result in results.items() if case.partition(".")[0] == section]
        ends = Counter(result["behavior"] if is_well(result) else "FAILED" for result in inside)
        rows.append([section, str(len(inside)), *(str(ends[kind]) for kind in kinds)])
    totals = [sum(int(row[column]) for row in rows[1:]) for column in range(1, len(rows[0]))]
    rows.append(["all", *map(str, totals)])
    return "\n".join(
        "  ".join(f"{cell:>{len(kind)}}" for cell, kind in zip(row, rows[0], strict=True))
        for row in rows
    )


def _order(case: str) -> list[int]:
    return [int(part) for part in case.split(".")]


def main(arguments: Sequence[str]) -> int:
    """``spec URL REPORTS [CASE…]`` prints the configuration, ``compare INDEX [CASE…]`` compares."""
    expected = json.loads((HERE / "expected.json").read_text("utf-8"))
    if arguments[0] == "spec":
        _, url, reports, *cases = arguments
        print(json.dumps(spec(url, reports, cases, list(expected["cases"]))))
        return 0
    _, index, *cases = arguments
    results: Results = json.loads(Path(index).read_text("utf-8"))[AGENT]
    print(table(results))
    for case, reason in expected["accepted"].items():
        if case in results and not is_well(results[case]):
            print(f"accepted: {case} fails ({reason})")
    found = problems(results, expected, cases)
    for line in found:
        print(f"not as expected: {line}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
