"""Blocker trees: one session that many wait for, one behind the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

import msgspec

from courtkeeper.findings import Finding
from courtkeeper.postgres.check import Check, Limit, Needs
from courtkeeper.postgres.querytext import shape

_NAMED = 6  # sessions of a chain that a sentence names


class Session(msgspec.Struct, frozen=True):
    """A session in a blocker tree; it waits for `blockers`, or for nobody and is a root. 0: prepared."""

    pid: int
    database: str
    role: str
    application: str
    state: str
    query: str
    blockers: list[int]
    seconds: float
    release: str


class Tree(msgspec.Struct, frozen=True):
    """A root, the longest chain behind it (the root first), all who wait, and the longest wait in s."""

    root: int
    chain: list[int]
    waiting: list[int]
    seconds: float


def trees(sessions: Mapping[int, Session]) -> list[Tree]:
    """Return the blocker trees, the one with the most waiting sessions first.

    A ring (a deadlock that the server has not yet broken) has no root: its lowest pid stands for it.
    """
    behind: dict[int, list[int]] = {}
    for session in sessions.values():
        for blocker in set(session.blockers):
            behind.setdefault(blocker, []).append(session.pid)
    roots = [pid for pid in behind if pid not in sessions or not sessions[pid].blockers]
    found = [_tree(root, behind, sessions) for root in roots]
    reached = {pid for tree in found for pid in (tree.root, *tree.waiting)}
    for pid in sorted(set(behind) - reached):
        if pid not in reached:
            ring = _tree(pid, behind, sessions)
            reached |= {pid, *ring.waiting}
            found.append(ring)
    return sorted(found, key=lambda tree: (-len(tree.waiting), tree.root))


def _tree(root: int, behind: Mapping[int, Sequence[int]], sessions: Mapping[int, Session]) -> Tree:
    """Walk away from the root, level by level; every session is visited once, so rings end."""
    before: dict[int, int] = {root: root}
    level = [root]
    last = root
    while level:
        level = [pid for blocker in level for pid in _new(behind.get(blocker, ()), blocker, before)]
        if level:
            last = level[0]
    chain = [last]
    while chain[0] != root:
        chain.insert(0, before[chain[0]])
    waiting = [pid for pid in before if pid != root]
    return Tree(root, chain, waiting, max((sessions[pid].seconds for pid in waiting), default=0.0))


def _new(pids: Sequence[int], blocker: int, before: dict[int, int]) -> Iterator[int]:
    for pid in pids:
        if pid not in before:
            before[pid] = blocker
            yield pid


class BlockedSessions(Check[Session]):
    """Looks for sessions that wait for a lock, and names the one at the root."""

    title = "sessions that wait for a lock"
    row = Session
    limits: ClassVar = {
        "warn": Limit(1, "s", "the manual: deadlock_timeout, from when log_lock_waits speaks"),
        "crit": Limit(300, "s", "as for a long query (pg-healthcheck)"),
    }
    needs = Needs(monitor=True)

    def findings(self, rows: Sequence[Session]) -> Iterator[Finding]:
        """Yield one finding for each root whose longest wait is over the limit."""
        sessions = {row.pid: row for row in rows}
        for tree in trees(sessions):
            if tree.seconds >= self.limit["warn"]:
                yield self._tree(tree, sessions)

    def _tree(self, tree: Tree, sessions: Mapping[int, Session]) -> Finding:
        root = sessions.get(tree.root)
        status = self.graded(tree.seconds)
        chain = " ← ".join("prepared" if pid == 0 else str(pid) for pid in tree.chain[:_NAMED])
        many = len(tree.waiting)
        sentence = (
            f"{_called(tree.root, root)} blocks {many} session{'s' if many > 1 else ''}, "
            f"the longest for {tree.seconds:,.0f} s ({chain}{' ← …' if len(tree.chain) > _NAMED else ''})"
        )
        if root is not None and root.query:
            sentence += f"; the blocker's statement is {shape(root.query)}"
        return self.finding(
            "prepared transaction" if tree.root == 0 else f"pid {tree.root}",
            status,
            sentence,
            observed=round(tree.seconds, 1),
            threshold=self.limit[status],
            unit="s",
            fix=root.release if root else "",
        )


def _called(pid: int, root: Session | None) -> str:
    if pid == 0:
        return "A prepared transaction"
    if root is None:
        return f"The session {pid}"
    by = f", {root.application}" if root.application else ""
    return f"The session {pid} ({root.role}{by}, {root.state}) in {root.database}"
