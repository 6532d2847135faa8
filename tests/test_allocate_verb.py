"""`lepton allocate`: who gets what and why, who waits, and what is wrong with the table."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from class_shares import MANY
from conftest import Exit, Lepton
from hypothesis import given
from hypothesis import strategies as st

from lepton_dask.config.tasks import Total, read_tasks
from lepton_dask.errors import Mistake, UserError
from lepton_dask.resources.serve import Task

TABLE = "task,priority,requirement\n0,1,10\n1,2,20\n2,3,30\n"
AS_YAML = """\
- {task: 0, priority: 1, requirement: 10}
- {task: 1, priority: 2, requirement: 20}
- {task: 2, priority: 3, requirement: 30}
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)


def write(text: str | bytes = TABLE, name: str = "t.csv") -> str:
    Path(name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return name


def mistakes(done: Exit) -> list[str]:
    """What was told, without the lines of the file below."""
    assert (done.code, done.stdout) == (2, "")
    *lines, count = done.stderr.splitlines()
    told = [line for line in lines if not line.startswith("    ")]
    assert count == f"{len(told)} mistake{'s' * (len(told) != 1)}"
    return told


# --- what is printed -----------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "name"), [(TABLE, "t.csv"), (AS_YAML, "t.yaml")])
def test_the_articles_table_prints_the_articles_lines(text, name, lepton: Lepton):
    done = lepton("allocate", write(text, name), "--total", 100, "--format", "article")
    assert done == Exit(
        0,
        "Task 0 allocated with 10 resources.\n"
        "Task 1 allocated with 20 resources.\n"
        "Task 2 allocated with 30 resources.\n",
        "",
    )


def test_with_too_little_the_article_s_lines_keep_the_tables_order(lepton: Lepton):
    done = lepton("allocate", write(), "--total", 40, "--format", "article")
    assert done.stdout == (
        "Task 0 allocated with 10 resources.\n"
        "Not enough resources for task 1.\n"
        "Task 2 allocated with 30 resources.\n"
    )


def test_the_table_says_who_gets_what_and_why(lepton: Lepton):
    """Shares of 40 go by 1 x 10, 2 x 20, 3 x 30 and 9 x 41, which are 509."""
    done = lepton("allocate", write(TABLE + "big,critical,41\n"), "--total", 40)
    assert (done.code, done.stderr) == (0, "")
    title, _, heads, _, *rows, _ = done.stdout.splitlines()
    assert title.strip() == "t.csv: 40 of 40 allocated, 2 tasks wait"
    assert heads.split() == [
        "task", "priority", "class", "requirement", "share", "allocated", "why"
    ]  # fmt: skip
    assert [row.split(maxsplit=6) for row in map(str.strip, rows)] == [
        ["0", "1", "low", "10", "0.785855", "10", "turn 4: fits into the 10 left"],
        ["1", "2", "low", "20", "3.14342", "waits", "turn 3: does not fit into the 10 left"],
        ["2", "3", "low", "30", "7.07269", "30", "turn 2: fits into the 40 left"],
        ["big", "critical", "critical", "41", "28.998", "waits",
         "needs more than the total of 40: it can never be served"],
    ]  # fmt: skip


def test_as_json(lepton: Lepton):
    done = lepton("allocate", write(), "--total", "40.5", "--format", "json")
    document = json.loads(done.stdout)
    tasks = document.pop("tasks")
    assert document == {"total": 40.5, "allocated": 40, "free": 0.5}
    assert [task["served"] for task in tasks] == [True, False, True]
    assert tasks[1] | {"share": None} == {
        "task": "1",
        "priority": 2,
        "class": "low",
        "requirement": 20,
        "share": None,
        "allocated": 0,
        "why": "turn 2: does not fit into the 10.5 left",
        "served": False,
    }
    assert sum(task["share"] for task in tasks) == pytest.approx(40.5)


def test_as_csv_with_texts_in_quotes(lepton: Lepton):
    table = "task,priority,requirement\n=1+1,high,10\n"
    done = lepton("allocate", write(table), "--total", 40, "--format", "csv")
    assert done.stdout.splitlines()[1].startswith('"=1+1","high","high",10,10,10,"turn 1:')
    [row] = csv.DictReader(io.StringIO(done.stdout))
    assert (row["task"], row["allocated"]) == ("=1+1", "10")


def test_sizes_are_shared_as_bytes(lepton: Lepton):
    table = write("task,priority,requirement\na,high,3GiB\nb,normal,1.5 GiB\nc,low,512MiB\n")
    done = lepton("allocate", table, "--total", "4GiB")
    assert "3.50 GiB of 4.00 GiB allocated, 1 task waits" in done.stdout
    document = json.loads(lepton("allocate", table, "--total", "4GiB", "--format", "json").stdout)
    assert [task["allocated"] for task in document["tasks"]] == [3 << 30, 0, 512 << 20]


def test_a_table_without_tasks_is_warned_of(lepton: Lepton):
    for text, name in (("task,priority,requirement\n", "t.csv"), ("[]", "t.yaml")):
        done = lepton("allocate", write(text, name), "--total", 40, "--format", "article")
        assert done == Exit(0, "", f"warning: {name} has no tasks\n")


# --- what a table may look like ------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + TABLE,
        TABLE.replace("\n", "\r\n"),
        TABLE.rstrip("\n"),
        TABLE.replace(",", ";"),
        TABLE.replace(",", "\t"),
        TABLE.replace(",", " , "),
        TABLE.replace("\n", "\n\n"),
        "requirement,task,priority\n10,0,1\n20,1,2\n30,2,3\n",
        '"task","priority","requirement"\n"0","1","10"\n"1","2","20"\n"2","3","30"\n',
        "task,priority,requirement\n0,1,1e1\n1,2,20.0\n2,3,30\n",
    ],
)
def test_the_same_table_in_other_ways(text, lepton: Lepton):
    plain = lepton("allocate", write(), "--total", 40, "--format", "csv")
    assert lepton("allocate", write(text), "--total", 40, "--format", "csv") == plain


def test_names_may_hold_separators_quotes_and_line_breaks_of_yaml(lepton: Lepton):
    table = write('task,priority,requirement\n"a, ""b""",9,1\n007,1,1\n')
    document = json.loads(lepton("allocate", table, "--total", 2, "--format", "json").stdout)
    assert [task["task"] for task in document["tasks"]] == ['a, "b"', "007"]


# --- mistakes ------------------------------------------------------------------------------------


def test_all_mistakes_of_a_csv_are_told_at_once(lepton: Lepton):
    table = """\
task,priority,requirment
a,10,5
b,hihg,5
c,high,-5
d,high,nan
e,high,1e400
f,high,012
g,high,
h,0,"1,5"
a,5,1
i,5
j,5,1,2
"k"x,5,1
,5,1
l,5,4GiB
m,2.5,true
"""
    assert mistakes(lepton("allocate", write(table), "--total", 40)) == [
        "t.csv:1:15: requirment: unknown column; did you mean 'requirement'? "
        "the columns are task, priority, requirement",
        "t.csv:2:3: priority: must be at most 9, found 10",
        "t.csv:3:3: priority: unknown 'hihg'; did you mean 'high'?",
        "t.csv:4:8: requirement: must be at least 0, found -5",
        "t.csv:5:8: requirement: 'nan' is no number or size; write one like 10 or 2GiB",
        "t.csv:6:8: requirement: '1e400' is too large for a number; write a smaller one",
        "t.csv:7:8: requirement: '012' is ambiguous (octal or decimal); "
        "write 12 for the number or '012', in quotes, for the text",
        "t.csv:8:8: requirement: expected a number, found nothing",
        "t.csv:9:3: priority: must be at least 1, found 0",
        "t.csv:9:5: requirement: '1,5' is no number or size; write one like 10 or 2GiB",
        "t.csv:10:1: task: 'a' is there twice (first in line 2); give each task a name of its own",
        "t.csv:11:1: 2 fields, but the header has 3; give each column a value",
        "t.csv:12:1: 4 fields, but the header has 3; give each column a value",
        "t.csv:13:1: quotes that do not match; "
        'put the whole field in quotes, and write "" for a quote in it',
        "t.csv:14:1: task: expected a whole number or text, found nothing",
        "t.csv:15:5: requirement: 4GiB is a size, and the total is a number; write both alike",
        "t.csv:16:3: priority: expected one of low, normal, high, critical or a whole number, "
        "found the number 2.5",
        "t.csv:16:7: requirement: expected a number, found true",
    ]


def test_all_mistakes_of_a_yaml_are_told_at_once(lepton: Lepton):
    table = """\
- {task: a, priority: 10, requirement: 5}
- {task: b, prioriti: high, requirement: "5"}
- {task: c, priority: high}
- d
- {task: a, priority: high, requirement: .nan}
- {task: e, priority: high, requirement: 1GiB}
"""
    assert mistakes(lepton("allocate", write(table, "t.yaml"), "--total", 40)) == [
        "t.yaml:1:23: priority: must be at most 9, found 10",
        "t.yaml:2:13: prioriti: unknown key; did you mean 'priority'? "
        "the keys here are task, priority, requirement",
        "t.yaml:2:42: requirement: expected a number, found the text '5' "
        "(quotes make it text); write 5 without the quotes",
        "t.yaml:3:3: requirement: missing key; add 'requirement:' (a number)",
        "t.yaml:4:3: tasks[3]: expected a mapping (keys: task, priority, requirement), "
        "found the text 'd'",
        "t.yaml:5:10: task: 'a' is there twice (first in line 1); give each task a name of its own",
        "t.yaml:5:42: requirement: '.nan' is not a finite number; "
        "write a number, or put the text in quotes",
        "t.yaml:6:42: requirement: 1GiB is a size, and the total is a number; write both alike",
    ]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("t.csv", b"", "1:1: the file is empty; start with 'task,priority,requirement'"),
        ("t.csv", b"\n\n", "1:1: the file is empty; start with 'task,priority,requirement'"),
        ("t.yaml", b"", "1:1: the file is empty; "
         "start with '- {task: a, priority: 1, requirement: 10}'"),
        ("t.yaml", b"tasks: []", "1:1: expected a list of tasks at the top; "
         "start with '- {task: a, priority: 1, requirement: 10}'"),
        ("t.csv", b"0,1,10\n1,2,20\n", "1:1: the first line names none of the columns; "
         "start with 'task,priority,requirement'"),
        ("t.csv", b"task,priority\na,1\n", "1:1: requirement: missing column; "
         "add it to the header"),
        ("t.csv", b"task,priority,requirement,owner\na,1,1,me\n", "1:27: owner: unknown column; "
         "the columns are task, priority, requirement"),
        ("t.csv", b"task,priority,requirement,task\na,1,1,b\n", "1:27: task: there twice; "
         "keep one"),
        ("t.csv", TABLE.encode("utf-16"), "1:1: not UTF-8: byte 0xff at offset 0; "
         "save the file as UTF-8"),
        ("t.csv", TABLE.encode() + b"\xe9,1,1\n", "5:1: not UTF-8: byte 0xe9 at offset 47; "
         "save the file as UTF-8"),
        ("t.csv", b"task,priority,requirement\n\x1b[31m,1,1\n", "2:1: a character that cannot "
         "stand in a text file; remove it"),
        ("t.yaml", b'- {task: "\\e[31m", priority: 1, requirement: 1}', "1:10: task: holds a "
         "character that cannot be printed; leave it out"),
        ("t.csv", TABLE.encode() + b"x,1,1\n" * 200_000, "1:1: larger than 1,000,000 bytes; "
         "check that this is the file you mean"),
        ("t.parquet", b"PAR1", "1:1: '.parquet' is no ending of a table of tasks; "
         "use .csv, .tsv, .txt, .yaml, .yml"),
        ("t.csv", None, "1:1: cannot be read: No such file or directory; check the path"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_table_of_tasks(name, content, told, lepton: Lepton):
    if content is not None:
        write(content, name)
    assert mistakes(lepton("allocate", name, "--total", 40)) == [f"{name}:{told}"]


def test_of_many_mistakes_the_first_hundred_are_told(lepton: Lepton):
    rows = "".join(f"{i},1,x\n" for i in range(60_000))
    done = lepton("allocate", write("task,priority,requirement\n" + rows), "--total", 40)
    told = mistakes(done)
    assert len(told) == 101
    assert told[-1] == "and 59,900 more mistakes"


def test_mistakes_in_json(lepton: Lepton):
    table = write("task,priority,requirement\na,10,5\n")
    done = lepton("allocate", table, "--total", 40, "--format", "json")
    assert done.code == 2
    [mistake] = json.loads(done.stdout)["mistakes"]
    assert (mistake["line"], mistake["column"]) == (2, 3)


@pytest.mark.parametrize(
    ("total", "told"),
    [
        ("nan", "'nan' is no number or size; write one like 10 or 2GiB"),
        (".inf", "'.inf' is not a finite number"),
        ("ten", "'ten' is no number or size"),
        ("", "'' is no number or size"),
        ("true", "'true' is no number or size"),
        ("1,5", "'1,5' is no number or size"),
        ("-1", "'-1' is less than 0"),
        ("1e400", "'1e400' is too large for a number"),
    ],
)
def test_a_total_that_is_none_is_told_in_one_line(total, told, lepton: Lepton):
    done = lepton("allocate", write(), f"--total={total}")
    assert (done.code, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert line.startswith(f"lepton: Invalid value for '--total': {told}")


def test_a_total_is_needed(lepton: Lepton):
    done = lepton("allocate", write())
    assert (done.code, done.stderr) == (2, "lepton: Missing option '--total'; see lepton --help\n")


PIECES = st.sampled_from(
    ["task", "priority", "requirement", "high", "1", "-1", "1GiB", "1e9", "\u00e9", "\x85", " ",
     ",", ",", ",", ";", "\t", "\n", "\n", "\n", "\r\n", '"', '""', "\x00", "- ", "{", "}", ":"]
)  # fmt: skip


@MANY
@given(
    st.lists(PIECES, max_size=25).map("".join), st.booleans(), st.sampled_from([".csv", ".yaml"])
)
def test_whatever_a_table_holds_it_is_read_or_its_mistakes_are_placed(text, headed, ending):
    path = Path(f"any{ending}")
    path.write_text(
        "task,priority,requirement\n" * (headed and ending == ".csv") + text, newline=""
    )
    tasks: list[Task] = []
    found: tuple[Mistake, ...] = ()
    try:
        tasks = read_tasks(path, Total.parse("10"))
    except UserError as error:
        found = error.mistakes
    lines = len(path.read_text().splitlines()) + 1
    assert all(each.place and 1 <= each.place.line <= lines for each in found)
    assert all(task.requirement >= 0 and task.name for task in tasks)
