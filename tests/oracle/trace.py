"""Contexts of traces in every form, written and read by libraries that are not ours: the propagators of the
OpenTelemetry SDK, and Datadog's own for its form.

    trace.py carriers SEED COUNT    JSON: [{form, headers, trace, span, sampled}], as the libraries write them
    trace.py bent SEED COUNT        JSON: [{traceparent, goes_on}], broken in one place or two, with the SDK's verdict
    trace.py read                   JSON on standard input, [{form: headers}]: the same with what the libraries read,
                                    [{form: {trace, span, sampled} or null}]

The same seed makes the same.
"""

import argparse
import json
import os
import random
import sys

sys.dont_write_bytecode = True
# Datadog's library is here for its propagator alone: it is to trace nothing, and to send nothing anywhere.
os.environ.update(DD_TRACE_ENABLED="false", DD_INSTRUMENTATION_TELEMETRY_ENABLED="false", DD_REMOTE_CONFIGURATION_ENABLED="false")

from ddtrace.propagation.http import _DatadogMultiHeader  # noqa: E402
from ddtrace.trace import Context as DatadogContext  # noqa: E402
from opentelemetry import trace  # noqa: E402
from opentelemetry.context import Context  # noqa: E402
from opentelemetry.propagators.aws import AwsXRayPropagator  # noqa: E402
from opentelemetry.propagators.b3 import B3MultiFormat, B3SingleFormat  # noqa: E402
from opentelemetry.propagators.cloud_trace_propagator import CloudTraceFormatPropagator  # noqa: E402
from opentelemetry.propagators.jaeger import JaegerPropagator  # noqa: E402
from opentelemetry.propagators.textmap import DefaultGetter, DefaultSetter  # noqa: E402
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: E402

PROPAGATORS = {
    "w3c": TraceContextTextMapPropagator(),
    "b3": B3SingleFormat(),
    "b3multi": B3MultiFormat(),
    "jaeger": JaegerPropagator(),
    "xray": AwsXRayPropagator(),
    "google": CloudTraceFormatPropagator(),
}
FORMS = [*PROPAGATORS, "datadog"]


def main() -> None:
    """Runs what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="what", required=True)
    for name in ["carriers", "bent"]:
        many = commands.add_parser(name)
        many.add_argument("seed", type=int)
        many.add_argument("count", type=int)
    commands.add_parser("read")
    arguments = parser.parse_args()
    if arguments.what == "read":
        carriers = json.load(sys.stdin)
        made = [{form: read(form, headers) for form, headers in forms.items()} for forms in carriers]
    else:
        make = carrier if arguments.what == "carriers" else bent
        chance = random.Random(arguments.seed)
        made = [make(chance, number) for number in range(arguments.count)]
    json.dump(made, sys.stdout, indent=1)


def carrier(chance: random.Random, number: int) -> dict:
    """A request with a context in one form."""
    form = FORMS[number % len(FORMS)]
    trace_id, span_id = _id(chance, 128), _id(chance, 64)
    # Datadog knows no 128-bit id without a lower half.
    if form == "datadog" and trace_id % 2**64 == 0:
        trace_id += 1
    sampled = chance.random() < 0.5
    headers = write(form, trace_id, span_id, sampled)
    if trace_id < 2**64 and chance.random() < 0.5:
        _shorten(form, headers)
    return {"form": form, "headers": headers, "trace": f"{trace_id:032x}", "span": f"{span_id:016x}", "sampled": sampled}


def _id(chance: random.Random, bits: int) -> int:
    """One of so many bits, or of fewer."""
    fewer = chance.choice([bits, bits, bits // 2, 8])
    return chance.getrandbits(fewer) or 1


def _shorten(form: str, headers: dict) -> None:
    """Writes an id of 64 bits as it is written where there are no longer ones."""
    if form == "b3":
        headers["b3"] = headers["b3"][16:]
    elif form == "b3multi":
        headers["x-b3-traceid"] = headers["x-b3-traceid"][16:]
    elif form == "jaeger":
        headers["uber-trace-id"] = headers["uber-trace-id"].lstrip("0")


def write(form: str, trace_id: int, span_id: int, sampled: bool) -> dict:
    """The headers of a context, names in lower case."""
    headers: dict = {}
    if form == "datadog":
        priority = 1 if sampled else 0
        _DatadogMultiHeader._inject(DatadogContext(trace_id=trace_id, span_id=span_id, sampling_priority=priority), headers)
    else:
        flags = trace.TraceFlags(trace.TraceFlags.SAMPLED if sampled else 0)
        span = trace.NonRecordingSpan(trace.SpanContext(trace_id, span_id, is_remote=True, trace_flags=flags))
        context = trace.set_span_in_context(span, Context())
        PROPAGATORS[form].inject(headers, context=context, setter=DefaultSetter())
    return {name.lower(): value for name, value in headers.items()}


def read(form: str, headers: dict) -> dict | None:
    """What a library makes of headers, names in lower case."""
    if form == "datadog":
        found = _DatadogMultiHeader._extract(headers)
        if found is None or not found.trace_id:
            return None
        return _context(found.trace_id, found.span_id, (found.sampling_priority or 0) > 0)
    if form == "xray" and "x-amzn-trace-id" in headers:
        headers = {"X-Amzn-Trace-Id": headers["x-amzn-trace-id"]}
    context = PROPAGATORS[form].extract(headers, context=Context(), getter=DefaultGetter())
    found = trace.get_current_span(context).get_span_context()
    return _context(found.trace_id, found.span_id, found.trace_flags.sampled) if found.is_valid else None


def _context(trace_id: int, span_id: int, sampled: bool) -> dict:
    return {"trace": f"{trace_id:032x}", "span": f"{span_id:016x}", "sampled": bool(sampled)}


def bent(chance: random.Random, number: int) -> dict:
    """A `traceparent` that is not quite one, or is one still."""
    value = list(write("w3c", _id(chance, 128), _id(chance, 64), True)["traceparent"])
    if number % 3 == 0:
        value[0:2] = chance.choice(["01", "cc", "fe", "ff", "00"])
        value += chance.choice(["", "-", "-x", "x", "-01-02"])
    for _ in range(number % 3):
        place = chance.randrange(len(value))
        match chance.randrange(4):
            case 0:
                value[place] = chance.choice("0123456789abcdefABCDEFg-.,_")
            case 1:
                del value[place]
            case 2:
                value.insert(place, chance.choice("0-a"))
            case _:
                # Zeroes from here to the next dash.
                while place < len(value) and value[place] != "-":
                    value[place] = "0"
                    place += 1
    text = "".join(value)
    return {"traceparent": text, "goes_on": read("w3c", {"traceparent": text}) is not None}


if __name__ == "__main__":
    main()
