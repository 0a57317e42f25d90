"""Shortens the waits that scripts/fuzz generates: a right one would be waited for."""

import schemathesis

LONGEST_MS = 5


def shorten(fields):
    if isinstance(fields, dict):
        wait = fields.get("wait_ms")
        if isinstance(wait, int) and not isinstance(wait, bool) and LONGEST_MS < wait <= 60_000:
            fields["wait_ms"] = LONGEST_MS
    return fields


@schemathesis.hook
def map_body(context, body):
    return shorten(body)


@schemathesis.hook
def map_query(context, query):
    return shorten(query)
