"""How a mistake looks in a terminal, and which name is near."""

from __future__ import annotations

from lepton_dask.config.mistakes import in_order, render, shown
from lepton_dask.errors import Mistake, Place
from lepton_dask.suggest import nearest


def mistake(source: str, column: int, file: str = "a.yaml", line: int = 14) -> Mistake:
    place = Place(file, line, column, source)
    return Mistake(("train", "optimizer"), "unknown 'adm'", "did you mean 'adam'?", place=place)


def test_the_line_of_the_file_stands_below_with_a_caret() -> None:
    assert render(mistake("    optimizer: adm", 16)) == (
        "a.yaml:14:16: optimizer: unknown 'adm'; did you mean 'adam'?\n"
        "    optimizer: adm\n"
        "               ^"
    )


def test_a_long_line_is_cut_around_the_column() -> None:
    source = "x" * 200 + "adm" + "y" * 200
    first, line, caret = render(mistake(source, 201)).split("\n")
    assert first.startswith("a.yaml:14:201: ")
    assert line.strip().startswith("...xxx")
    assert line.endswith("yyy...")
    assert len(line) < 115
    assert line[caret.index("^") :].startswith("adm")


def test_control_characters_do_not_reach_the_terminal() -> None:
    text = render(mistake("a: \x1b[31madm\tb", 4))
    assert "\x1b" not in text
    assert "\t" not in text
    assert "\x1b" not in shown("\x1b[31m")


def test_a_mistake_without_a_source_line_is_its_one_line() -> None:
    assert render(mistake("", 1)).count("\n") == 0
    assert render(Mistake((), "x")) == "x"


def test_the_nearest_name_is_found_whatever_its_case() -> None:
    assert nearest("adm", ["sgd", "Adam"]) == "Adam"
    assert nearest("ROC_AUC", ["roc_auc", "rmse"]) == "roc_auc"
    assert nearest("xyz", ["sgd", "adam"]) is None


def test_the_order_is_the_files_then_other_files_then_the_command_line() -> None:
    first = mistake("", 9, line=2)
    second = mistake("", 3, line=10)
    base = mistake("", 1, file="base.yaml", line=1)
    override = mistake("", 1, file="--set", line=1)
    given = [override, base, second, first, second]
    assert in_order(given, "a.yaml") == [first, second, base, override]
