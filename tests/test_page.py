"""The page /lepton and the metrics on a stock scheduler, to which all of it travels by value."""

from __future__ import annotations

import logging
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import chromium, complaints, shown, why_no_browser
from distributed import Client, LocalCluster, Scheduler
from processes import eventually
from showing import on_scheduler, showing
from statuses import busy

from lepton_dask.resources import install, priority
from lepton_dask.resources.figures import (
    CLASS_HEADINGS,
    class_cells,
    duration,
    run_cells,
    sentences,
)
from lepton_dask.resources.page import loss_curves, table
from lepton_dask.resources.seen import Attached, attach


def detach(dask_scheduler: Scheduler) -> None:
    attached = dask_scheduler.plugins["showing"].attached
    attached()
    attached()


def imported() -> bool:
    return any(name.startswith("lepton_dask") for name in sys.modules)


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    with showing(tmp_path) as client:
        yield client


def address(client: Client, path: str) -> str:
    return client.dashboard_link.removesuffix("/status") + path


def answer(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, ""


@pytest.mark.cluster
@pytest.mark.skipif(why_no_browser() is not None, reason=str(why_no_browser()))
def test_in_a_browser_the_numbers_change_and_no_script_fails(client: Client, tmp_path: Path):
    with chromium(tmp_path / "profile") as driver:
        driver.get(address(client, "/lepton"))
        eventually(lambda: {"critical", "28 ms", "1.50 s", "credit"} <= set(shown(driver)))
        first = waiting_of_low(shown(driver))
        eventually(lambda: waiting_of_low(shown(driver)) > first)
        driver.save_screenshot(str(tmp_path / "lepton_page.png"))
        assert "Lepton" in shown(driver)
        driver.get(address(client, "/status"))
        eventually(lambda: "Lepton" in shown(driver))
        assert complaints(driver) == []


def waiting_of_low(texts: list[str]) -> int:
    """From the row `low, demand, share, used, running, waiting` of the table."""
    return int(texts[texts.index("low") + 5].replace(",", "")) if "low" in texts else -1


@pytest.mark.cluster
def test_a_scheduler_that_never_imports_the_package_shows_page_and_metrics(client: Client):
    assert answer(address(client, "/lepton"))[0] == 200
    code, text = answer(address(client, "/lepton/metrics"))
    assert (code, "lepton_slots 4.0\n" in text) == (200, True)
    assert not on_scheduler(client, imported)


@pytest.mark.cluster
def test_after_it_is_detached_both_answer_404_and_no_page_links_to_it(client: Client):
    assert 'href="lepton"' in answer(address(client, "/workers"))[1]
    on_scheduler(client, detach)
    assert answer(address(client, "/lepton"))[0] == 404
    assert answer(address(client, "/lepton/metrics"))[0] == 404
    code, text = answer(address(client, "/workers"))
    assert (code, 'href="lepton"' in text) == (200, False)


class NoDashboard:
    """A scheduler without an HTTP server."""


def test_where_there_is_no_dashboard_attach_says_why_and_raises_nothing(caplog):
    with caplog.at_level(logging.WARNING, "distributed.lepton"):
        attached = attach(NoDashboard(), busy)
    assert isinstance(attached, Attached)
    assert attached.page is not None
    assert "http_application" in caplog.text
    attached()


class Applications:
    def __init__(self) -> None:
        self.applications: list[object] = []


class WithoutBokeh:
    def __init__(self) -> None:
        self.http_application = Applications()


def test_a_scheduler_without_bokeh_loses_the_page_and_keeps_the_metrics(monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "distributed.dashboard.core", None)
    scheduler = WithoutBokeh()
    with caplog.at_level(logging.WARNING, "distributed.lepton"):
        attached = attach(scheduler, busy)
    assert "the scheduler has no bokeh" in str(attached.page)
    assert "No page /lepton" in caplog.text
    assert len(scheduler.http_application.applications) == 1
    attached()
    assert scheduler.http_application.applications == []


# --- what it shows -------------------------------------------------------------------------------


def test_a_class_is_a_row_of_what_it_has_and_how_long_it_waits():
    cells = dict(zip(CLASS_HEADINGS, class_cells("low", busy()["classes"]["low"]), strict=True))
    assert (cells["waiting"], cells["share"], cells["p50 latency"]) == ("500", "2.50", "-")
    assert class_cells("critical", busy()["classes"]["critical"])[-2:] == ["28 ms", "1.50 s"]


def test_a_name_is_text_in_a_table_whatever_is_in_it():
    assert "<td" in table(("run",), [["<script>"]])
    assert "<script>" not in table(("run",), [["<script>"]])


def test_the_line_above_says_what_is_wrong():
    found = sentences(busy())
    assert found[0] == "shares are kept"
    assert "not acknowledged by 1 of them" in found
    assert "errors in transition: 2" in found
    assert not any("update_graph" in each for each in found)
    assert found[-1] == "huge can never run: asks for memory 64 GiB, the most is 2 GiB"


def test_the_line_above_says_why_there_are_no_shares():
    status = busy()
    status["mode"], status["reason"] = "priorities", "an unknown Dask"
    assert sentences(status)[0] == "priorities alone, no shares: an unknown Dask"


def test_a_run_that_does_not_train_has_no_curve():
    runs = busy()["runs"]
    runs[0]["losses"] = []
    assert loss_curves(runs)["name"] == ["homes: model"]
    assert run_cells(runs[0])[-1] == ""


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, "-"), (0.0, "0 ms"), (0.0285, "28 ms"), (2.5, "2.50 s")]
)
def test_a_latency_is_short(seconds, text):
    assert duration(seconds) == text


@pytest.mark.cluster
@pytest.mark.skipif(why_no_browser() is not None, reason=str(why_no_browser()))
def test_the_page_of_a_working_cluster_counts_while_work_runs(tmp_path: Path):
    with (
        LocalCluster(2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster) as client,
        chromium(tmp_path / "profile") as driver,
    ):
        install(client)
        with priority("low"):
            futures = client.map(time.sleep, [0.05] * 200, pure=False)
        driver.get(address(client, "/lepton"))
        eventually(lambda: waiting_of_low(shown(driver)) > 0)
        first = waiting_of_low(shown(driver))
        eventually(lambda: 0 < waiting_of_low(shown(driver)) < first)
        client.gather(futures)
        eventually(lambda: waiting_of_low(shown(driver)) == 0)
        assert complaints(driver) == []
