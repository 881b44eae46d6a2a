"""The lookups of owners, and whether they grow with the node."""

import collections
import statistics

from results import Outcome

# p50, p99: by load, in µs. fallback: measured without the kernel's records, on a machine that has them.
Lookup = collections.namedtuple("Lookup", "what state fallback methods p50 p99 grows")


def lookup_rows(results):
    """A lookup grows if a load more than doubles its time, by more than the noise of small figures."""
    rows = []
    for index, first in enumerate(results.rounds[0]["idle"]["lookups"]):
        of_load = {load: [number[load]["lookups"][index] for number in results.rounds] for load in results.loads}
        p50, p99 = [{load: statistics.median(lookup[key] for lookup in lookups) for load, lookups in of_load.items()}
                    for key in ("p50_us", "p99_us")]
        methods = dict.fromkeys(lookup["method"] for lookups in of_load.values() for lookup in lookups)
        grows = any(value > 2 * p50["idle"] + 50 for value in p50.values())
        what = first["what"] + (", no records" if first["fallback"] else "")
        rows.append(Lookup(what, first["state"], first["fallback"], list(methods), p50, p99, grows))
    return rows


def unused_methods(results):
    used = [method for row in lookup_rows(results) for method in row.methods]
    return [method for method in results.rounds[0]["idle"]["methods"] if method not in used]


def of_lookups(results):
    fallbacks, rows = [[row for row in lookup_rows(results) if row.fallback == kind] for kind in (True, False)]
    growing = [row for row in rows if row.grows]
    found = f"{len(growing)} of {len(rows)} grow"
    if fallbacks:
        found += f"; without the kernel's records, {sum(row.grows for row in fallbacks)} of {len(fallbacks)} searches do"
    return Outcome("owner lookup (uid, gid, groups, label)", "no method grows with the node", found,
                   ", ".join(dict.fromkeys(method for row in growing for method in row.methods)), not growing)
