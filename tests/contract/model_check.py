"""Compares what an endpoint answered with botocore's service models.

Every response that a watched client gets is looked at twice: as parsed (each required member is there, types fit,
enumerations hold) and as sent (no member that the model does not have).
"""

import base64
import binascii
import datetime
import json
import xml.etree.ElementTree as ElementTree

# In the answers of every operation, though in no model.
ENVELOPE = {"ResponseMetadata"}


class Watch:
    """Collects the problems, and which operations were answered with success and with which errors."""

    def __init__(self):
        self.problems, self.succeeded = [], set()

    def watch(self, client):
        model = client.meta.service_model
        name = model.service_name

        def look(response_dict, parsed_response, event_name, **_):
            operation = model.operation_model(event_name.rsplit(".", 1)[1])
            if response_dict is None or parsed_response is None or response_dict["status_code"] >= 300:
                return
            self.succeeded.add((name, operation.name))
            found = check(model, operation, response_dict, parsed_response)
            self.problems += [f"{name} {operation.name}: {problem}" for problem in found]

        client.meta.events.register(f"response-received.{model.service_id.hyphenize()}", look)


def check(model, operation, response, parsed):
    shape = operation.output_shape
    if shape is None:
        return []
    plain = {key: value for key, value in parsed.items() if key not in ENVELOPE}
    problems = list(check_parsed(shape, plain, operation.name))
    protocol, body = model.resolved_protocol, response["body"]
    payload = shape.serialization.get("payload")
    if operation.has_streaming_output or (payload and shape.members[payload].type_name in ("blob", "string")):
        return problems
    if protocol in ("json", "rest-json") and body:
        inner = shape.members[payload] if payload else shape
        problems += check_json(inner, json.loads(body), operation.name, top=True)
    elif protocol in ("query", "rest-xml") and body:
        root = ElementTree.fromstring(body)
        wrapper = shape.serialization.get("resultWrapper")
        if protocol == "query":
            root = next((child for child in root if tag(child) == (wrapper or f"{operation.name}Result")), None)
        if root is not None:
            problems += check_xml(shape.members[payload] if payload else shape, root, operation.name)
    return problems


def check_parsed(shape, value, path):
    """What botocore's parser made of the answer."""
    kind = shape.type_name
    if kind == "structure":
        if not isinstance(value, dict):
            yield f"{path}: {type(value).__name__} is no structure"
            return
        for member in shape.required_members:
            if member not in value:
                yield f"{path}.{member}: required, and not there"
        for member, inner in value.items():
            if member not in shape.members:
                yield f"{path}.{member}: not in the model"
            else:
                yield from check_parsed(shape.members[member], inner, f"{path}.{member}")
    elif kind == "list":
        for at, inner in enumerate(value):
            yield from check_parsed(shape.member, inner, f"{path}[{at}]")
    elif kind == "map":
        for key, inner in value.items():
            yield from check_parsed(shape.key, key, f"{path} key")
            yield from check_parsed(shape.value, inner, f"{path}[{key}]")
    elif kind == "string":
        if not isinstance(value, str):
            yield f"{path}: {value!r} is no string"
        elif getattr(shape, "enum", None) and value not in shape.enum:
            yield f"{path}: {value!r} is not in the enumeration {shape.name}"
    else:
        wanted = {
            "integer": int, "long": int, "float": (int, float), "double": (int, float), "boolean": bool,
            "timestamp": datetime.datetime,
        }.get(kind)
        wrong_bool = isinstance(value, bool) and kind != "boolean"
        if wanted and (not isinstance(value, wanted) or wrong_bool):
            yield f"{path}: {value!r} is no {kind}"


def check_json(shape, raw, path, top=False):
    """What was sent, in the JSON protocols: no unknown member, and the JSON type that the protocol asks for."""
    kind = shape.type_name
    if raw is None:
        return
    if kind == "structure":
        known = {}
        for name, member in shape.members.items():
            if not (top and member.serialization.get("location")):
                known[member.serialization.get("name", name)] = member
        for name, inner in raw.items():
            if name not in known:
                yield f"{path}.{name}: sent, and not in the model"
            else:
                yield from check_json(known[name], inner, f"{path}.{name}")
    elif kind == "list":
        for at, inner in enumerate(raw):
            yield from check_json(shape.member, inner, f"{path}[{at}]")
    elif kind == "map":
        for key, inner in raw.items():
            yield from check_json(shape.value, inner, f"{path}[{key}]")
    elif kind == "blob":
        try:
            base64.b64decode(raw, validate=True)
        except (binascii.Error, TypeError):
            yield f"{path}: {raw!r} is not base64"
    elif kind == "timestamp":
        wanted = str if shape.serialization.get("timestampFormat") == "iso8601" else (int, float)
        text_allowed = isinstance(raw, str) and "T" in raw and top is None
        if not isinstance(raw, wanted) and not text_allowed:
            yield f"{path}: {raw!r} is no timestamp of this protocol"


def tag(element):
    return element.tag.rsplit("}", 1)[-1]


def check_xml(shape, element, path):
    """What was sent, in the XML protocols: no element that the model does not have."""
    kind = shape.type_name
    if kind == "structure":
        known = {}
        for name, member in shape.members.items():
            if member.serialization.get("location") or member.serialization.get("xmlAttribute"):
                continue
            flat = member.type_name in ("list", "map") and member.serialization.get("flattened")
            inner_name = member.member.serialization.get("name") if flat and member.type_name == "list" else None
            known[member.serialization.get("name") or inner_name or name] = (member, flat)
        for child in element:
            if tag(child) not in known:
                yield f"{path}.{tag(child)}: sent, and not in the model"
                continue
            member, flat = known[tag(child)]
            if flat and member.type_name == "list":
                yield from check_xml(member.member, child, f"{path}.{tag(child)}")
            elif not flat:
                yield from check_xml(member, child, f"{path}.{tag(child)}")
    elif kind == "list":
        wanted = shape.member.serialization.get("name", "member")
        for child in element:
            if tag(child) != wanted:
                yield f"{path}: element {tag(child)} where {wanted} belongs"
            else:
                yield from check_xml(shape.member, child, f"{path}[]")
