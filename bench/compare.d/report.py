# SPDX-License-Identifier: GPL-3.0-or-later
"""Medians, ratios to native and to TCG, the geometric mean, and the project's goals held against them."""
import dataclasses
import math
import re
import statistics

NOT_IN_THE_MEAN = ("nothing", "smp.one-load", "smp.two-loads", "idle")


@dataclasses.dataclass
class Goal:
    """Limits that are None are not asked for. `faster`: how many times less than TCG."""
    title: str
    rows: str
    median: float | None = None   # of the ratios to native
    worst: float | None = None
    faster: float | None = None
    except_faster: str = r"^$"


GOALS = [
    Goal("integer, libraries, pointer chases", r"^(integer|library|chase)\.", 2.0, 3.0, 2.0, r"^chase\.ram$"),
    Goal("floating point, memory", r"^(float|memory)\.", 1.5, 2.5, 10.0),
    Goal("kernel", r"^kernel\.", faster=2.0),
    Goal("code made at run time, cold code", r"^code\.", faster=1.0),
    Goal("ISO boot to /init", r"^boot\.iso\.init$", faster=2.0),
    Goal("direct boot to /init", r"^boot\.direct\.init$", faster=4.0),
    Goal("installer's language page", r"^boot\.installer\.language$", faster=2.0),
]
MEAN_GOAL, THROUGHPUT_GOAL, IDLE_GOAL = 5.0, 1.9, 0.02


def summary(values):
    """Median, half the range relative to it, and the values."""
    middle = statistics.median(values)
    return {"median": middle, "spread": (max(values) - min(values)) / 2 / middle if middle else 0.0, "values": values}


def collect(results, boots, boot_missing):
    """{row: {"unit", "engines": {engine: {"cost": summary, ...}}, "missing"}}; costs in ns per operation, boots in s."""
    table = {}
    for name, row in results.rows.items():
        engines = {}
        for engine, samples in results.samples[name].items():
            engines[engine] = {"cost": summary([sample.cpu / sample.count * 1e9 for sample in samples]),
                               "clock": summary([sample.wall / sample.count * 1e9 for sample in samples]),
                               "processors": statistics.median(sample.processors for sample in samples),
                               "count": samples[0].count, "cpu_seconds": statistics.median(s.cpu for s in samples)}
        if engines or results.missing[name]:
            table[name] = {"unit": row.unit, "engines": engines, "missing": results.missing[name]}
    for name in [*boots, *(name for name in boot_missing if name not in boots)]:
        engines = {engine: {"cost": summary([times["cpu"] for times in found]), "clock": summary([times["wall"] for times in found])}
                   for engine, found in boots.get(name, {}).items()}
        table[name] = {"unit": "core" if name == "idle" else "s", "engines": engines, "missing": boot_missing.get(name, {})}
    for row in table.values():
        add_ratios(row["engines"])
    return table


def add_ratios(engines):
    for engine in engines.values():
        for base in ("native", "tcg"):
            if base in engines and engines[base]["cost"]["median"] > 0:
                engine[f"to_{base}"] = engine["cost"]["median"] / engines[base]["cost"]["median"]


def times_faster(row, engine):
    """How many times less than TCG, or None."""
    ratio = row["engines"].get(engine, {}).get("to_tcg")
    return 1 / ratio if ratio else None


def geometric_mean(table, engine, pattern=""):
    faster = [times_faster(row, engine) for name, row in table.items() if name not in NOT_IN_THE_MEAN and re.search(pattern, name)]
    faster = [value for value in faster if value]
    return (math.exp(sum(map(math.log, faster)) / len(faster)), len(faster)) if faster else None


def throughput(table, engine):
    """Two loads on two processors against one: as the guest's clock saw it, and as it would be on two free processors:
    how many the guest's threads wanted at a time, by how much more a unit of work cost."""
    one, two = (table.get(name, {}).get("engines", {}).get(engine) for name in ("smp.one-load", "smp.two-loads"))
    if not one or not two or not two["processors"]:
        return None
    return {"clock": 2 * one["clock"]["median"] / two["clock"]["median"],
            "free": min(two["processors"], 2.0) * 2 * one["cost"]["median"] / two["cost"]["median"]}


def subject(table):
    """The engine the goals are about: the translator, or the interpreter where there is none yet."""
    return next((name for name in ("jit", "interp") if any(name in row["engines"] for row in table.values())), None)


def judge(goal, table, engine):
    """(what was seen, was it reached) or None."""
    rows = {name: row for name, row in table.items() if re.search(goal.rows, name) and engine in row["engines"]}
    seen, good = [], True
    native = {name: row["engines"][engine].get("to_native") for name, row in rows.items()}
    native = {name: ratio for name, ratio in native.items() if ratio}
    if goal.median and native:
        middle, worst = statistics.median(native.values()), max(native, key=native.get)
        seen.append(f"{middle:.2f}× native (≤ {goal.median:g}), worst {worst} {native[worst]:.2f}× (≤ {goal.worst:g})")
        good = middle <= goal.median and native[worst] <= goal.worst
    faster = {name: times_faster(row, engine) for name, row in rows.items() if not re.search(goal.except_faster, name)}
    faster = {name: value for name, value in faster.items() if value}
    if goal.faster and faster:
        least = min(faster, key=faster.get)
        seen.append(f"{faster[least]:.2f}× faster than TCG at least, {least} (≥ {goal.faster:g})")
        good = good and faster[least] >= goal.faster
    return ("; ".join(seen), good) if seen else None


def judge_all(table, engine):
    """[(title, seen, reached)]"""
    found = []
    for goal in GOALS:
        verdict = judge(goal, table, engine)
        if verdict:
            found.append((goal.title, *verdict))
    both = throughput(table, engine)
    if both:
        found.append(("two loads on two processors", f"{both['free']:.2f}× one on free processors (≥ {THROUGHPUT_GOAL}), "
                      f"{both['clock']:.2f}× as busy as this machine was", both["free"] >= THROUGHPUT_GOAL))
    idle = table.get("idle", {}).get("engines", {}).get(engine)
    if idle:
        found.append(("idle at a shell", f"{idle['cost']['median']:.2%} of a core (< {IDLE_GOAL:.0%})", idle["cost"]["median"] < IDLE_GOAL))
    mean = geometric_mean(table, engine)
    if mean:
        found.append(("geometric mean", f"{mean[0]:.2f}× faster than TCG over {mean[1]} rows (≥ {MEAN_GOAL:g})", mean[0] >= MEAN_GOAL))
    return found


def number(value):
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"


def cell(row, name):
    """Cost with its spread, and the ratio to native."""
    engine = row["engines"].get(name)
    if engine is None:
        return "n/a"
    if row["unit"] == "core":
        return f"{engine['cost']['median']:.2%}"
    text = f"{number(engine['cost']['median'])} ±{engine['cost']['spread']:.0%}"
    return f"{text} ({number(engine['to_native'])}×)" if name != "native" and "to_native" in engine else text


def markdown(table, names, facts, wrong):
    skeps = [name for name in names if name in ("jit", "interp")]
    lines = ["# Skep compared", "", facts, "",
             "Cost of one operation in ns of processor time (boots: seconds), median ± half the range; in brackets the ratio to native.", "",
             "| row | operation | " + " | ".join(names) + " | " + " | ".join(f"tcg / {name}" for name in skeps) + " |",
             "|---|---|" + "---:|" * (len(names) + len(skeps))]
    for name, row in table.items():
        faster = [times_faster(row, skep) for skep in skeps]
        lines.append(f"| {name} | {row['unit']} | " + " | ".join(cell(row, engine) for engine in names) + " | " +
                     " | ".join(f"{number(value)}×" if value else "" for value in faster) + " |")
    means = [geometric_mean(table, skep) for skep in skeps]
    lines.append("| **geometric mean** | | " + " | " * len(names) + " | ".join(f"**{mean[0]:.2f}×**" if mean else "" for mean in means) + " |")
    engine = subject(table)
    if engine:
        lines += ["", f"## Goals, {engine}", "", "| goal | seen | reached |", "|---|---|---|"]
        lines += [f"| {title} | {seen} | {'yes' if good else 'no'} |" for title, seen, good in judge_all(table, engine)]
    reasons = sorted({f"- {name} on {engine}: {why}" for name, row in table.items() for engine, why in row["missing"].items()
                      if engine not in row["engines"]})
    if reasons:
        lines += ["", "## Not measured", "", *(reasons if len(reasons) < 12 else shorten(table))]
    if wrong:
        lines += ["", "## Wrong results", "", *(f"- {text}" for text in wrong)]
    return "\n".join(lines) + "\n"


def shorten(table):
    """One line for each engine and reason."""
    rows = {}
    for name, row in table.items():
        for engine, why in row["missing"].items():
            if engine not in row["engines"]:
                rows.setdefault((engine, why), []).append(name)
    return [f"- {engine}: {why} ({len(names)} rows{': ' + ', '.join(names) if len(names) < 6 else ''})" for (engine, why), names in rows.items()]
