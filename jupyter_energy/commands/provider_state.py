"""The live provider as `doctor` sees it: its last value and its age, or why not and one remedy."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TypedDict

from ..carbon.base import Provider
from ..carbon.feed import Feed, feed_for
from ..carbon.known import Trouble
from ..carbon.metadata import address_of
from ..carbon.platforms import CLOUD_NAMES
from ..carbon.tokens import variable
from ..config import Energy
from ..errors import EnergyError
from ..units import duration
from .base import Context


class ProviderState(TypedDict):
    """`state` is works or failed; the figures are null where nothing is known."""

    provider: str
    title: str
    address: str
    state: str
    detail: str
    asked_as: str | None
    remedy: str | None
    g_per_kwh: float | None
    start: str | None
    kind: str | None


class Asked(TypedDict):
    """Who is asked over a network, where, and when."""

    who: str
    address: str
    when: str


def look_at_provider(context: Context) -> ProviderState | None:
    """The chosen provider, asked if its values are older than a step; None where none is chosen.

    It takes a few seconds at most where a service does not answer.
    """
    settings = context.settings
    if not settings.provider:
        return None
    state = ProviderState(
        provider=settings.provider,
        title=settings.provider,
        address="",
        state="failed",
        detail="",
        asked_as=None,
        remedy=None,
        g_per_kwh=None,
        start=None,
        kind=None,
    )
    feed = None
    try:
        factors = context.monitor().factors
        feed = feed_for(settings, context.environ, factors.is_home)
        assert feed is not None
        state["title"], state["address"] = feed.provider.title, _address(feed.provider, settings)
        zone = factors.yearly().zone
        state["asked_as"] = feed.asked_as(zone)
        feed.refresh(zone)
        _fill(state, feed, zone)
    except EnergyError as error:  # no such provider, no such place
        state["detail"] = str(error)
    finally:
        if feed is not None:
            feed.close()
    return state


def told_of_provider(state: ProviderState | None) -> list[str]:
    """The provider's row, in doctor's columns, and its remedy."""
    if state is None:
        return []
    row = f"  {state['state']:<10} {state['provider']:<24} {state['detail']}".rstrip()
    return [row, *([f"  {'':<10} {'':<24} {state['remedy']}"] if state["remedy"] else [])]


def look_at_network(context: Context, state: ProviderState | None) -> list[Asked]:
    """Who is asked over a network, by the settings as they are; empty: nobody."""
    found = []
    if (cloud := context.monitor().factors.cloud()) is not None:
        who = f"{CLOUD_NAMES[cloud]}'s metadata service"
        found.append(
            Asked(who=who, address=address_of(context.environ), when="for the region, once")
        )
    if state is not None and state["address"].startswith("http"):
        when = "while cells run, and by doctor and recompute"
        found.append(Asked(who=state["title"], address=state["address"], when=when))
    return found


def told_of_network(asked: list[Asked], state: ProviderState | None) -> str:
    """The same in words."""
    if not asked:
        file = "" if state is None else state["address"]
        return f"Network: not used{f'; carbon intensity from {file}' if file else ''}"
    each = "; ".join(f"{one['who']} ({one['address']}) is asked {one['when']}" for one in asked)
    return f"Network: {each}; nothing else"


def _fill(state: ProviderState, feed: Feed, zone: str) -> None:
    now = datetime.now(UTC)
    signal, said = feed.between(zone, now, now)
    trouble = feed.known(zone).trouble
    if signal is None:
        state["detail"] = f"asked as {state['asked_as']}: {said or 'no value'}"
        state["remedy"] = None if trouble is None else _remedy(trouble, feed.provider)
        return
    interval = signal.intervals[-1]
    state["g_per_kwh"], state["kind"] = interval.g_per_kwh, signal.kind
    state["start"] = interval.start.isoformat()
    age = duration(max(0.0, (now - signal.fetched).total_seconds()))
    figure = f"{interval.g_per_kwh:.3g} g CO2e/kWh since {interval.start:%H:%M} UTC"
    what = f"{signal.kind}, {signal.boundary} based, {signal.scope}"
    state["detail"] = (
        f"{signal.place or zone}: {figure} ({interval.quality}; {what}; {signal.source}), "
        f"asked as {state['asked_as']} {age} ago"
    )
    state["state"] = "works" if trouble is None else "failed"
    if said is not None:
        state["detail"] += f"; {said}"
    if trouble is not None:
        state["remedy"] = _remedy(trouble, feed.provider)


def _remedy(trouble: Trouble, provider: Provider) -> str:
    """The one thing to do."""
    if trouble.remedy is not None:
        return trouble.remedy
    if trouble.kind == "denied":
        names = " and ".join(variable(provider.name, secret) for secret in provider.secrets)
        return f"check {names or 'whether the service wants a token now'}"
    if trouble.kind == "forbidden":
        return "ask the provider which places your account may see"
    if not provider.url:
        return "mend the file, or set Energy.csv_trace"
    if trouble.kind == "unreachable":
        return "check the network, or the proxy in HTTPS_PROXY"
    return f"wait: it is asked again after {trouble.again:%H:%M} UTC"


def _address(provider: Provider, settings: Energy) -> str:
    if not provider.url:
        return settings.csv_trace
    return settings.provider_url or provider.url
