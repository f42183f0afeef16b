"""Write docs/results/factorization.md from the stored results.

python benchmarks/factorization/report.py
"""

from cases import RUNS, version
from speed import CASES
from store import REPORTS

HEAD = """# The factorizations against scikit-learn

Written by `python benchmarks/factorization/report.py` from
[benchmarks/results/factorization](../../benchmarks/results/factorization). `speed.py` and `quality.py` in
`benchmarks/factorization` make the results and say how. A run marked *shared* was made while
other work ran on the machine: there the times are processor seconds. Make it again with `--idle`. *Earlier code*: the
factorizations have changed since; [../research.md](../research.md) says what the change brought. *fashion-200* is
compared with scikit-learn's first 40 iterations; *transform* is of 2,000 rows with the same components.
"""


def speed():
    """Yield the lines of the table of times."""
    yield "\n## Time to scikit-learn's own final objective\n"
    columns = (
        "case|shape|rank|tol|scikit-learn, s (iterations)|nmfnet, s (passes)|share|share until within 0.1 %|"
        "peak MiB, theirs / ours|machine"
    )
    yield f"| {columns.replace('|', ' | ')} |"
    yield "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |"
    for result in RUNS.records("speed"):
        clock = "seconds" if result["idle"] else "cpu"
        theirs, ours = result["theirs"], result["ours"]
        gap = ours["objective"] / theirs["objective"] - 1
        share = f"**{ours[clock] / theirs[clock]:.2f}**" if ours["reached"] else f"ends {100 * gap:.2g} % above"
        near = f"{ours['near'][clock] / theirs[clock]:.2f}" if ours.get("near") else "-"
        memory = " / ".join(f"{result['memory'][k]:.0f}" for k in ("theirs", "ours")) if "memory" in result else "-"
        made = "" if result["version"] == version(CASES[result["case"]]) else ", earlier code"
        shape = " × ".join(map(str, result["shape"]))
        yield (
            f"| {result['case']} | {shape} | {result['rank']} | {result.get('tol', 1e-4):g} | "
            f"{theirs[clock]:.1f} ({theirs['passes']}) | {ours[clock]:.1f} ({ours['passes']}) | {share} | {near} | "
            f"{memory} | {'idle' if result['idle'] else 'shared'}, {result['threads']} thread{made} |"
        )


def quality():
    """Yield the tables of missing values and of the autoencoder."""
    for result in RUNS.records("quality"):
        yield f"\n## {result['title']}\n\n{result['note']}\n"
        yield "| " + " | ".join(result["columns"]) + " |"
        yield "| --- " + "| ---: " * (len(result["columns"]) - 1) + "|"
        for row in result["rows"]:
            yield "| " + " | ".join(f"{x:.4g}" if isinstance(x, float) else str(x) for x in row) + " |"
        if "picture" in result:
            yield f"\n![{result['title']}](factorization/{result['picture']})"


if __name__ == "__main__":
    text = "\n".join([HEAD, *speed(), *quality()]) + "\n"
    (REPORTS / "factorization.md").write_text(text)
    print(text)
