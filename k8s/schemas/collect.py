#!/usr/bin/env python3
"""Collects the JSON schemas that the manifests are validated against.

    python -m venv v && v/bin/pip install kubernetes-validate cloudcoil-models-prometheus-operator
    v/bin/python collect.py

Both packages come from PyPI: the first has the schemas of Kubernetes' own kinds, the other types made
from the Prometheus operator's definitions. Only what the kinds below need is written beside this
script, without descriptions, and refusing unknown fields everywhere.
"""

import json
import pathlib

import kubernetes_validate
from cloudcoil.models.prometheus_operator import v1 as operator

VERSIONS = ["1.30", "1.37"]
KINDS = {
    "io.k8s.api.apps.v1.StatefulSet",
    "io.k8s.api.core.v1.ConfigMap",
    "io.k8s.api.core.v1.Namespace",
    "io.k8s.api.core.v1.Service",
    "io.k8s.api.core.v1.ServiceAccount",
    "io.k8s.api.networking.v1.NetworkPolicy",
    "io.k8s.api.policy.v1.PodDisruptionBudget",
}


def slim(node):
    """Without what only people read."""
    if isinstance(node, dict):
        return {key: slim(value) for key, value in node.items()
                if not (key == "description" and isinstance(value, str))
                and not key.startswith("x-kubernetes-")}
    return [slim(item) for item in node] if isinstance(node, list) else node


def names(node):
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"].rsplit("/", 1)[1]
        for value in node.values():
            yield from names(value)
    elif isinstance(node, list):
        for item in node:
            yield from names(item)


def closed(node):
    """Objects with named fields have no others; the types of custom resources don't say it."""
    if isinstance(node, dict):
        node = {key: closed(value) for key, value in node.items()}
        if node.get("type") == "object" and "properties" in node:
            node.setdefault("additionalProperties", False)
        return node
    return [closed(item) for item in node] if isinstance(node, list) else node


def rooted(node):
    """References as they must be inside one file."""
    if isinstance(node, dict):
        return {key: "#/$defs/" + value.rsplit("/", 1)[1]
                if key == "$ref" and isinstance(value, str) else rooted(value)
                for key, value in node.items()}
    return [rooted(item) for item in node] if isinstance(node, list) else node


def write(name, schema):
    path = pathlib.Path(__file__).parent / name
    path.write_text(json.dumps(schema, sort_keys=True, separators=(",", ":")) + "\n")
    print(path, path.stat().st_size)


def kubernetes(folder, version):
    text = (folder / f"v{version}.0-local-strict" / "_definitions.json").read_text()
    definitions = json.loads(text)["$defs"]
    wanted, queue = {}, sorted(KINDS)
    while queue:
        name = queue.pop()
        if name not in wanted:
            wanted[name] = rooted(slim(definitions[name]))
            queue.extend(names(wanted[name]))
    write(f"kubernetes-{version}.json", {"$defs": wanted})


def monitoring():
    found = {}
    for kind in [operator.PodMonitor, operator.PrometheusRule]:
        schema = closed(slim(kind.model_json_schema(by_alias=True)))
        found.update(schema.pop("$defs"))
        found[f"monitoring.coreos.com.v1.{kind.__name__}"] = schema
    write("prometheus-operator.json", {"$defs": found})


if __name__ == "__main__":
    home = pathlib.Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema"
    for each in VERSIONS:
        kubernetes(home, each)
    monitoring()
