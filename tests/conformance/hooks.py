"""What schemathesis has to be told of this door: lines of JSON are values, too."""

import json

import schemathesis


@schemathesis.deserializer("application/x-ndjson")
def lines(ctx, response):
    """The first line, which is held to the schema of all of them. Every answer has one: how a source ended, or the head of the log."""
    return json.loads(response.content.splitlines()[0])
