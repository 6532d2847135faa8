"""Adds what shows the priorities to a scheduler's dashboard, and takes it away again.

Travels by value to schedulers that cannot import this package: tornado and bokeh are imported where
they are used, and a scheduler without bokeh loses the page alone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lepton_dask.resources.page import PAGE, TITLE, show
from lepton_dask.resources.prometheus import CONTENT_TYPE, exposition
from lepton_dask.resources.status import Status

if TYPE_CHECKING:
    from distributed import Scheduler
    from tornado.web import Application

METRICS = f"{PAGE}/metrics"


class Attached:
    """What was added to a scheduler's dashboard; calling it takes all of it away.

    `page` says why there is no page, and is None where there is one.
    """

    def __init__(self, page: str | None, undo: list[Callable[[], None]]) -> None:
        self.page = page
        self._undo = undo

    def __call__(self) -> None:
        """Both addresses answer 404 from then on. Does nothing the second time."""
        while self._undo:
            _tried(self._undo.pop())


def attach(scheduler: Scheduler, status: Callable[[], Status]) -> Attached:
    """Adds the page /lepton and the metrics /lepton/metrics to a scheduler's dashboard.

    Both show what `status` says whenever they are asked. Raises nothing: what cannot be added is
    logged and left out. For the scheduler's event loop.
    """
    undo: list[Callable[[], None]] = []
    metrics = _tried(lambda: undo.append(_add_metrics(scheduler, status)))
    if metrics is not None:
        _logger().warning("No metrics at %s: %s", METRICS, metrics)
    page = _tried(lambda: undo.append(_add_page(scheduler, status)))
    if page is not None:
        _logger().warning("No page %s: %s", PAGE, page)
    return Attached(page, undo)


def _logger() -> logging.Logger:
    """Asked for when needed: the scheduler's own, not a copy that travelled."""
    return logging.getLogger("distributed.lepton")


def _tried(add: Callable[[], None]) -> str | None:
    """Why it failed, or None."""
    try:
        add()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def _add_metrics(scheduler: Scheduler, status: Callable[[], Status]) -> Callable[[], None]:
    from tornado.web import Application, RequestHandler

    class Metrics(RequestHandler):
        def get(self) -> None:
            self.set_header("Content-Type", CONTENT_TYPE)
            self.write(exposition(status()))

    return _add(scheduler, Application([(f"{_prefix(scheduler)}{METRICS}", Metrics)]))


def _add_page(scheduler: Scheduler, status: Callable[[], Status]) -> Callable[[], None]:
    try:
        from distributed.dashboard.core import BokehApplication
        from distributed.dashboard.scheduler import template_variables
    except ImportError as error:
        raise ImportError(f"the scheduler has no bokeh ({error})") from None
    from tornado.ioloop import IOLoop

    def document(_scheduler: Scheduler, extra: dict[str, Any], doc: Any) -> None:
        show(status, extra, doc)

    variables = template_variables(scheduler)
    application = BokehApplication(
        {PAGE: document}, scheduler, prefix=_prefix(scheduler), template_variables=variables
    )
    application.initialize(IOLoop.current())
    remove = _add(scheduler, application)
    application.start()
    # Every page of the dashboard has this one list, so the link appears in the bar of all of them.
    links: list[str] = variables["pages"]
    links.append(TITLE)

    def take_away() -> None:
        links.remove(TITLE)
        remove()
        application.stop()

    return take_away


def _add(scheduler: Scheduler, application: Application) -> Callable[[], None]:
    """An application of its own, not a handler of the scheduler's: that can be taken away."""
    applications: list[Application] = scheduler.http_application.applications
    applications.append(application)

    def remove() -> None:
        applications.remove(application)

    return remove


def _prefix(scheduler: Scheduler) -> str:
    """`--dashboard-prefix`, with a slash before it; the scheduler keeps it in its pages alone."""
    for application in scheduler.http_application.applications:
        prefix = getattr(application, "prefix", "").strip("/")
        if prefix:
            return f"/{prefix}"
    return ""
