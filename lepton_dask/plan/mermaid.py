"""A plan as a Mermaid diagram."""

from __future__ import annotations

from lepton_dask.plan.planned import Plan


def mermaid(plan: Plan) -> str:
    """A flow chart from top to bottom: one box a step, one arrow an input."""
    number = {step.name: i for i, step in enumerate(plan.steps)}
    lines = ["flowchart TD"]
    lines += [f'    s{number[step.name]}["{step.name}<br/>{step.verb}"]' for step in plan.steps]
    for step in plan.steps:
        for each in step.inputs:
            source, _, part = each.partition(".")
            label = f"|{part}|" if part else ""
            lines.append(f"    s{number[source]} -->{label} s{number[step.name]}")
    return "\n".join(lines)
