#!/usr/bin/env python3
"""Converts the flight sample of the npm package `vega-datasets` to the CSV that the examples read.

Usage:

    npm pack vega-datasets@3.2.1
    tar -xzf vega-datasets-3.2.1.tgz package/data/flights-20k.json
    scripts/flights.py package/data/flights-20k.json examples/data/flights.csv

Order and precision of the source are kept. A record that isn't exactly as expected stops the
conversion, and nothing is written: a reader of the CSV may then trust every line of it.
"""

import json
import re
import sys
from datetime import datetime

FIELDS = ["date", "delay", "distance", "origin", "destination"]
AIRPORT = re.compile(r"[A-Z]{3}")
FLIGHTS = 20_000


def line(number, record):
    """One record as a line of CSV; no field needs quotes, for no value can hold a comma."""

    def expect(condition, what):
        if not condition:
            sys.exit(f"record {number}: {what}: {record}")

    expect(list(record) == FIELDS, f"the fields are not {FIELDS}")
    for field in ("delay", "distance"):
        # `bool` is a kind of `int` in Python, but not here.
        expect(type(record[field]) is int, f"{field} is not an integer")
    expect(record["distance"] > 0, "distance is not positive")
    for field in ("origin", "destination"):
        expect(
            isinstance(record[field], str) and AIRPORT.fullmatch(record[field]),
            f"{field} is not an airport code",
        )
    try:
        date = datetime.strptime(record["date"], "%Y/%m/%d %H:%M")
    except (TypeError, ValueError) as error:
        sys.exit(f"record {number}: date: {error}")
    values = [date.isoformat(timespec="minutes"), *(record[field] for field in FIELDS[1:])]
    return ",".join(map(str, values))


def main():
    if len(sys.argv) != 3:
        sys.exit(f"usage: {sys.argv[0]} flights-20k.json flights.csv")
    source, target = sys.argv[1:]
    with open(source, encoding="utf-8") as file:
        records = json.load(file)
    lines = [line(number, record) for number, record in enumerate(records, start=1)]
    if len(lines) != FLIGHTS:
        sys.exit(f"{len(lines)} flights, not {FLIGHTS}: is this flights-20k.json?")
    with open(target, "w", encoding="ascii", newline="\n") as file:
        file.write("\n".join([",".join(FIELDS), *lines]) + "\n")

    origins = {record["origin"] for record in records}
    destinations = {record["destination"] for record in records}
    routes = {(record["origin"], record["destination"]) for record in records}
    print(f"flights:  {len(lines)}")
    print(f"airports: {len(origins | destinations)} ({len(origins)} origins, {len(destinations)} destinations)")
    print(f"routes:   {len(routes)} (directed)")
    for field in ("date", "delay", "distance"):
        values = [record[field] for record in records]
        print(f"{field + ':':9} {min(values)} to {max(values)}")


if __name__ == "__main__":
    main()
