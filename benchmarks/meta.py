"""Learning across groups: sinusoids with networks, and tables with linear models.

The sinusoids are the published few-shot problem; the tables are exam_ilea's schools,
parkinsons_tele's patients and citylearn's homes. Then what a round costs as the rows grow.
"""

from __future__ import annotations

from benchmarks.harness import Bench
from benchmarks.meta_rounds import rounds_by_rows
from benchmarks.meta_sinusoid import sinusoid
from benchmarks.meta_tables import (
    exam_deviations,
    exam_pupils,
    exam_schools,
    homes_left_out,
    parkinsons_patients,
)

TABLES = (exam_pupils, exam_deviations, exam_schools, parkinsons_patients, homes_left_out)


def run(bench: Bench) -> None:
    sinusoid(bench)
    for table in (*(made() for made in TABLES), rounds_by_rows(bench.scale)):
        bench.report(table.title, table.rows, table.bars)
