"""One run of backups: every source of a vault, one after the other, to every destination."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime

from courtkeeper.findings import CourtkeeperError, Result
from courtkeeper.vault import findings, keys, recipients, refill
from courtkeeper.vault.context import Clock, Context, Progress, Trace
from courtkeeper.vault.destinations import DestinationError, destination
from courtkeeper.vault.lock import BusyError, alone
from courtkeeper.vault.manifest import Manifest
from courtkeeper.vault.restore import replica
from courtkeeper.vault.settings import SourceSettings, VaultSettings
from courtkeeper.vault.single import take
from courtkeeper.vault.sources import choose

# Older half-written objects belong to nobody: no backup takes so long.
_SWEEP_AFTER_S = 2 * 86400.0


def backup(
    settings: VaultSettings,
    *,
    only: Sequence[str] = (),
    check_mode: bool = False,
    now: Clock = lambda: datetime.now(UTC),
    progress: Progress = lambda _done, _total, _text: None,
    trace: Trace = lambda _step: None,
) -> Result:
    """Back up every source of a vault, or those named in `only`.

    Afterwards destinations get what they missed before. A source or a destination that fails is a finding and
    does not keep the others from their turn. Raises ConfigurationError (nothing was done), BusyError, and
    CourtkeeperError where nothing at all could be stored. `trace` is told each step; tests end the process
    there.
    """
    chosen = [settings.source(name) for name in only] if only else list(settings.sources)
    context = Context(
        settings=settings,
        recipients=recipients.parsed(settings.recipients),
        key=keys.signing_key(settings.signing_key_file) if settings.signing_key_file else None,
        destinations=[destination(entry) for entry in settings.destinations],
        now=now,
        progress=progress,
        trace=trace,
    )
    if check_mode:
        return _planned(context, chosen, only)
    with alone(settings):
        trace("locked")
        return _done(context, chosen, only)


def _planned(context: Context, chosen: Sequence[SourceSettings], only: Sequence[str]) -> Result:
    where = ", ".join(entry.name for entry in context.destinations)
    result = context.result
    for source in chosen:
        try:
            result.actions += [f"{text}, to {where}" for text in choose.source(source).plan()]
        except CourtkeeperError as error:
            result.findings.append(findings.source_failed(source.name, error))
    result.actions += refill.planned(context, only)
    result.changed = bool(result.actions)
    result.msg = f"would back up {len(chosen)} sources to {where}"
    return result


def _done(context: Context, chosen: Sequence[SourceSettings], only: Sequence[str]) -> Result:
    begun = time.monotonic()
    _release(context)
    _prepare(context)
    written: list[Manifest] = []
    for number, source in enumerate(chosen):
        context.progress(number, len(chosen), f"backing up {source.name}")
        context.trace(f"source:{source.name}")
        try:
            written.append(take(context, source))
        except CourtkeeperError as error:
            context.result.findings.append(findings.source_failed(source.name, error))
    refill.refill(context, only, avoid=[*context.unusable, *context.failed])
    context.progress(len(chosen), len(chosen), "done")
    _sum_up(context.result, chosen, written, time.monotonic() - begun)
    if chosen and not written:
        failed = [one.summary for one in context.result.findings if one.id == findings.SOURCE_FAILED]
        raise _nothing(context, f"no source could be backed up: {'; '.join(failed)}")
    return context.result


def _release(context: Context) -> None:
    """Take caches back that a killed restore left as replicas: nobody can write to them."""
    actions, found = replica.release(context.settings)
    context.result.actions += actions
    context.result.findings += found
    context.result.changed = context.result.changed or bool(actions)


def _prepare(context: Context) -> None:
    """See which destinations can be written to; the others get their copies afterwards, if they come back."""
    for entry in context.destinations:
        try:
            entry.prepare()
            for key in entry.sweep(f"{context.settings.name}/", _SWEEP_AFTER_S):
                context.result.actions.append(
                    f"removed {key} on {entry.name}, which a killed backup had left"
                )
                context.result.changed = True
        except DestinationError as error:
            context.unusable[entry.name] = error
        context.trace(f"prepared:{entry.name}")
    if len(context.unusable) == len(context.destinations):
        sentences = "; ".join(str(error) for error in context.unusable.values())
        raise _nothing(context, f"no destination can be written to, so nothing was backed up: {sentences}")


def _nothing(context: Context, sentence: str) -> CourtkeeperError:
    error = CourtkeeperError(sentence)
    error.partial = context.result
    return error


def _sum_up(
    result: Result, chosen: Sequence[SourceSettings], written: Sequence[Manifest], took_s: float
) -> None:
    result.changed = result.changed or bool(written)
    result.metrics |= {
        "duration_s": round(took_s, 3),
        "sources_count": len(chosen),
        "backups_count": len(written),
        "plain_bytes": sum(manifest.plain_size for manifest in written),
        "sealed_bytes": sum(manifest.sealed_size for manifest in written),
    }
    result.details["backups"] = [
        {
            "source": manifest.source,
            "id": manifest.id,
            "plain_bytes": manifest.plain_size,
            "sealed_bytes": manifest.sealed_size,
        }
        for manifest in written
    ]
    result.msg = f"backed up {len(written)} of {len(chosen)} sources in {took_s:.1f} s"


__all__ = ["BusyError", "backup"]
