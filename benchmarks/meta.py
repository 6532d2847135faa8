"""Learning across groups: sinusoids with networks, and tables with linear models.

The sinusoids are the published few-shot problem; the tables are exam_ilea's schools,
parkinsons_tele's patients and citylearn's homes. Then what a round costs as the rows grow.
"""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.harness import Bench
from benchmarks.meta_rounds import rounds_by_rows
from benchmarks.meta_sinusoid import sinusoid
from benchmarks.meta_tables import (
    Table,
    exam_deviations,
    exam_pupils,
    exam_schools,
    homes_left_out,
    parkinsons_patients,
)

TABLES = (exam_pupils, exam_deviations, exam_schools, parkinsons_patients, homes_left_out)


def run(bench: Bench) -> None:
    for table in _tables(bench):
        bench.report(table.title, table.rows, table.bars)


def _tables(bench: Bench) -> Iterator[Table]:
    yield sinusoid(bench.scale, bench.say)
    for made in TABLES:
        yield made()
    yield rounds_by_rows(bench.scale)
