"""Metrics in Prometheus' text format; prometheus-client knows its escaping and naming rules."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Iterator
from typing import Protocol

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from relay import __version__
from relay.core.broker import Broker
from relay.core.surroundings import Surroundings

CONTENT_TYPE = CONTENT_TYPE_LATEST


class ICounted(Protocol):
    """What is counted."""

    around: Surroundings
    broker: Broker


class _Snapshot(Collector):
    def __init__(self, counted: ICounted) -> None:
        self._counted = counted

    def collect(self) -> Iterator[Metric]:
        """:returns: every metric, as it stands now."""
        yield from self._gauges()
        yield from self._totals()

    def _gauges(self) -> Iterator[Metric]:
        broker = self._counted.broker
        links = GaugeMetricFamily("relay_links", "live links", labels=["dialect", "role"])
        kinds = Counter(
            (session.grant.dialect if session.grant else "", session.conversation.role.value)
            for session in broker.sessions
        )
        for kind, count in kinds.items():
            links.add_metric(list(kind), count)
        yield links
        offers = GaugeMetricFamily("relay_offers", "registered offers", labels=["dialect"])
        for dialect, count in Counter(name.partition(":")[0] for name in broker.offers()).items():
            offers.add_metric([dialect], count)
        yield offers
        circuits = GaugeMetricFamily("relay_circuits", "live circuits", labels=["dialect"])
        names = Counter(circuit.name.partition(":")[0] for circuit in broker.circuits)
        for dialect, count in names.items():
            circuits.add_metric([dialect], count)
        yield circuits
        members = GaugeMetricFamily("relay_topic_members", "streams in topics", labels=["dialect"])
        seats: Counter[str] = Counter()
        for topic in broker.topics.values():
            seats[topic.name.partition(":")[0]] += len(topic.members)
        for dialect, count in seats.items():
            members.add_metric([dialect], count)
        yield members
        yield GaugeMetricFamily(
            "relay_buffered_bytes",
            "bytes that wait for slow readers",
            self._counted.around.ledger.total,
        )
        yield GaugeMetricFamily(
            "relay_loop_lag_seconds",
            "how late the event loop was at its last look at the clock",
            self._counted.around.metrics.loop_lag_s,
        )
        yield InfoMetricFamily(
            "relay_build", "version", {"version": __version__, "python": platform.python_version()}
        )

    def _totals(self) -> Iterator[Metric]:
        metrics, broker = self._counted.around.metrics, self._counted.broker
        for name, text, totals in (
            ("relay_circuits", "circuits that ended", metrics.circuits_total),
            ("relay_refused", "requests, links and calls refused", metrics.refused_total),
        ):
            family = CounterMetricFamily(f"{name}_total", text, labels=["dialect", "reason"])
            for (dialect, reason), count in totals.items():
                family.add_metric([dialect, reason.value], count)
            yield family
        for name, text, counts in (
            (
                "relay_failed_logins",
                "credentials that did not pass",
                metrics.failed_logins_total,
            ),
            (
                "relay_lost_messages",
                "messages of topics that a slow reader missed",
                metrics.lost_messages_total,
            ),
        ):
            family = CounterMetricFamily(f"{name}_total", text, labels=["dialect"])
            for dialect, count in counts.items():
                family.add_metric([dialect], count)
            yield family
        carried = Counter(metrics.bytes_total)
        for circuit in broker.circuits:
            dialect = circuit.name.partition(":")[0]
            up, down = circuit.bytes()
            carried[dialect, "up"] += up
            carried[dialect, "down"] += down
        for topic in broker.topics.values():
            dialect = topic.name.partition(":")[0]
            up, down = topic.bytes()
            carried[dialect, "up"] += up
            carried[dialect, "down"] += down
        family = CounterMetricFamily(
            "relay_bytes_total", "payload bytes carried", labels=["dialect", "direction"]
        )
        for (dialect, direction), count in carried.items():
            family.add_metric([dialect, direction], count)
        yield family
        yield self._handshakes()

    def _handshakes(self) -> Metric:
        histogram = self._counted.around.metrics.handshake_s
        buckets, total = [], 0
        for bound, count in zip((*histogram.bounds, "+Inf"), histogram.counts, strict=True):
            total += count
            buckets.append((str(bound), total))
        family = HistogramMetricFamily(
            "relay_handshake_seconds", "from the end of the head to the 101"
        )
        family.add_metric([], buckets, histogram.total)
        return family


def exposition(counted: ICounted) -> bytes:
    """:returns: all metrics as text."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Snapshot(counted))
    return generate_latest(registry)
