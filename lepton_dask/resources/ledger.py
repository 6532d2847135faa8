"""Who uses how much of the cluster, and who is owed some: events in, instructions out.

Each class has a share of the slots (`allocate`), and a lag: the slot-seconds that it was entitled
to and did not get,

    lag_c += t s_c / sum_b s_b  for every class c that has work,   lag_k -= t,

whenever a task of class k has had a slot for t seconds while other classes had work too; s are the
shares of the classes with work. Lags add up to nothing, so a class that lags is owed slots that
others had. Dask runs the highest class first; where a lower one lags by more than half a task of
its own, one of its tasks is let ahead of all. Time without contention counts for nobody: else a
class whose long tasks go on beside short critical ones would be owed slots that it never lacked.
Sources: the lag of Stoica et al., "A proportional share resource allocation algorithm" (RTSS 1996);
deficits of Shreedhar and Varghese (SIGCOMM 1995).

No clock, no Dask: this module travels by value and imports the standard library alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from lepton_dask.resources.allocate import allocate
from lepton_dask.resources.classes import Classes

LAG_LIMIT_S, DEBT_LIMIT_S = 2.0, 0.25
"""A slot: what a class was owed, or had too much of, beyond this is forgotten. A task of its own is
kept in any case: a class of long ones would never be let ahead, or too often."""
TURNS = 512
"""Of contention, the last so many are known."""
LATENCIES = 512
"""The last so many of a class are kept."""
USED_WINDOW_S = 2.0
"""Over which the slots in use are told."""

SENT = "processing"
READY = ("queued", "no-worker")
"""The states of a task at the scheduler that could run if it had a slot."""


@dataclass
class Account:
    """A class's own: tasks that wait for others, that could run, and that are at a worker."""

    waiting: int = 0
    ready: int = 0
    sent: int = 0
    done: int = 0
    lag_s: float = 0.0
    mean_s: float = 0.0
    ahead: int = 0
    """Tasks that were let ahead and have not run yet."""
    latencies: deque[float] = field(default_factory=lambda: deque(maxlen=LATENCIES))
    ran: deque[tuple[float, float]] = field(default_factory=deque)
    """When tasks ended and how long they ran, over the last USED_WINDOW_S."""

    @property
    def demand(self) -> int:
        return self.ready + self.sent

    @property
    def count(self) -> int:
        return self.waiting + self.demand


class Contention:
    """For how long, of any interval that has lately passed, several classes had work."""

    def __init__(self) -> None:
        self._turns: deque[tuple[float, float, bool]] = deque(maxlen=TURNS)
        """When it began or ended, the seconds of it until then, and whether it began."""

    def turn(self, is_on: bool, now: float) -> None:
        if is_on != (bool(self._turns) and self._turns[-1][2]):
            self._turns.append((now, self._until(now), is_on))

    def seconds(self, start: float, end: float) -> float:
        """Of it between the two; none of what lies before the oldest turn that is known."""
        return self._until(end) - self._until(start)

    def _until(self, when: float) -> float:
        for at, before, is_on in reversed(self._turns):
            if at <= when:
                return before + (when - at if is_on else 0.0)
        return self._turns[0][1] if self._turns else 0.0


class Ledger:
    """The accounts of all classes. `now` is on one clock, and never goes back."""

    def __init__(self, classes: Classes) -> None:
        self.classes = classes
        self.accounts = {name: Account() for name in classes.names}
        self.slots = 0
        self._contention = Contention()
        self._contended_shares: dict[str, float] = {}
        self._shares: dict[str, float] = {}
        self._shares_of: tuple[int, ...] = ()

    def reweigh(self, classes: Classes) -> None:
        """Other shares for the same classes."""
        self.classes = classes
        self._shares_of = ()

    def moved(self, name: str, start: str, finish: str, now: float) -> None:
        """A task of the class went from one scheduler state to another."""
        account = self.accounts[name]
        had_work = account.demand > 0
        self._count(account, start, -1)
        self._count(account, finish, 1)
        if start == SENT and finish == "memory":
            account.done += 1
        if had_work != (account.demand > 0):
            self._contend(now)

    def reclassed(self, old: str, new: str, state: str, now: float) -> None:
        self._count(self.accounts[old], state, -1)
        self._count(self.accounts[new], state, 1)
        self._contend(now)

    def ran(self, name: str, seconds: float, latency_s: float, now: float) -> None:
        """A task of the class had a slot for `seconds`, and was there `latency_s` after it came."""
        account = self.accounts[name]
        account.mean_s = seconds if not account.mean_s else 0.9 * account.mean_s + 0.1 * seconds
        account.latencies.append(latency_s)
        account.ran.append((now, seconds))
        self._charge(name, self._contention.seconds(now - seconds, now))

    def shares(self) -> dict[str, float]:
        """The slots that each class should have now."""
        demands = {name: account.demand for name, account in self.accounts.items()}
        # What a class wants beyond all slots changes nothing, so it need not be worked out again.
        key = (self.slots, *(min(demand, self.slots) for demand in demands.values()))
        if key != self._shares_of:
            found = allocate(self.classes, demands, self.slots)
            self._shares = {name: float(share) for name, share in found.items()}
            self._shares_of = key
        return self._shares

    def owed(self) -> list[str]:
        """The classes a task of which is to be let ahead now, those that lag most first; once for
        each such task."""
        highest = next((n for n in self.classes.names if self.accounts[n].demand), None)
        found: list[tuple[float, str]] = []
        for name, account in self.accounts.items():
            if name == highest or not account.demand:
                continue
            task_s = account.mean_s or self._typical_s()
            lag = account.lag_s - account.ahead * task_s
            # More than the slots at once would only queue there.
            room = min(self.slots - account.ahead, account.demand - account.ahead)
            while room > 0 and task_s > 0 and lag > task_s / 2:
                found.append((lag, name))
                lag -= task_s
                room -= 1
        return [name for _, name in sorted(found, reverse=True)]

    def paid(self, name: str) -> None:
        """One of a class's tasks was let ahead where nobody can tell which it was."""
        account = self.accounts[name]
        account.lag_s -= account.mean_s

    def used(self, name: str, now: float) -> float:
        """The slots that a class had, on average over the last USED_WINDOW_S."""
        ran = self.accounts[name].ran
        while ran and ran[0][0] < now - USED_WINDOW_S:
            ran.popleft()
        return sum(seconds for _, seconds in ran) / USED_WINDOW_S

    def _contend(self, now: float) -> None:
        """Several classes have work now, or no longer have. One without any saves nothing up."""
        working = [name for name, account in self.accounts.items() if account.demand]
        for name in self.accounts.keys() - working:
            self.accounts[name].lag_s = 0.0
        self._contention.turn(len(working) > 1, now)
        if len(working) > 1:
            self._contended_shares = self.shares()

    def _charge(self, name: str, seconds: float) -> None:
        """Slot-seconds under contention go to the account of the class that had them."""
        if sum(1 for account in self.accounts.values() if account.demand) > 1:
            self._contended_shares = self.shares()
        shares = self._contended_shares
        total = sum(shares.values())
        if seconds <= 0 or total <= 0:
            return
        slots = max(self.slots, 1)
        for each, account in self.accounts.items():
            if account.demand:
                due = seconds * shares.get(each, 0.0) / total
                lag_s = account.lag_s + due - (seconds if each == name else 0.0)
                least = -max(DEBT_LIMIT_S * slots, account.mean_s)
                account.lag_s = min(max(lag_s, least), max(LAG_LIMIT_S * slots, account.mean_s))

    def _typical_s(self) -> float:
        known = [account.mean_s for account in self.accounts.values() if account.mean_s]
        return sum(known) / len(known) if known else 0.0

    @staticmethod
    def _count(account: Account, state: str, by: int) -> None:
        if state == SENT:
            account.sent += by
        elif state in READY:
            account.ready += by
        elif state == "waiting":
            account.waiting += by


def quantile(values: Iterable[float], part: float) -> float | None:
    """The nearest-rank quantile, or None of nothing."""
    ranked = sorted(values)
    if not ranked:
        return None
    return ranked[min(len(ranked) - 1, int(part * len(ranked)))]
