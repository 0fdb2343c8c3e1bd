"""What a token may say, in its header and in its payload: what is changed, and what the RFCs say of that.

`strict` is what an RFC decides; `None` where it is left to the libraries, which then have to agree. Members are
given as JSON text where Python has no value for it.
"""

import json
from dataclasses import dataclass
from typing import Any

ACCEPT, REJECT = True, False
ABSENT = object()


class Text(str):
    """JSON as it is to stand there."""


@dataclass(frozen=True)
class Change:
    """Members that are not as in a good token."""

    name: str
    members: dict[str, Any]
    strict: bool | None = None
    why: str = ""
    until: int | None = None


def text(members: dict[str, Any], between: str = ",") -> str:
    """A JSON object."""
    pairs = [
        f"{json.dumps(name)}:{value if isinstance(value, Text) else json.dumps(value)}"
        for name, value in members.items()
        if value is not ABSENT
    ]
    return "{" + between.join(pairs) + "}"


def changes_of_claims(now: int, issuer: str, audience: str, other: str) -> list[Change]:
    """Everything that may be in a payload instead."""
    changes = _times(now) + _audiences(audience) + _issuers(issuer, other)
    for name, clause in [("sub", "RFC 7519, 4.1.2"), ("jti", "RFC 7519, 4.1.7")]:
        why = f"{clause}: a string"
        changes += [Change(f"{name} is {label}", {name: value}, REJECT, why) for label, value in NO_TEXTS]
        changes.append(Change(f"no {name}", {name: ABSENT}))
    for label, value in [
        ("of other scripts", "Ünïcødé ✓ 漢字 \U0001f511"),
        ("with escapes", Text('"\\u00e9\\t\\n\\/\\"\\\\ \\ud83d\\udd11"')),
        ("with an escaped NUL", Text('"a\\u0000b"')),
        ("of 5000 bytes", "x" * 5000),
        ("that is empty", ""),
        ("nested", {"a": [1, {"b": [None, True, -1.5e-3]}]}),
        ("of 60 levels", Text("[" * 60 + "]" * 60)),
        ("that is a great number", 10**40),
    ]:
        changes.append(Change(f"a claim {label}", {"note": value}))
    return changes


NO_TEXTS = [("a number", 5), ("null", None), ("a list", ["x"]), ("an object", {"x": 1}), ("true", True)]
NO_NUMBERS = [("a list", []), ("an object", {}), ("null", None), ("true", True), ("false", False), ("words", "soon")]


def _times(now: int) -> list[Change]:
    number = "RFC 7519, 2 and 4.1.4: NumericDate is a JSON number"
    fraction = "RFC 7519, 2: non-integer values can be represented"
    finite = "RFC 8259, 6: a number has digits, and limits may be set to its range"
    changes = [
        Change("no exp", {"exp": ABSENT}),
        Change("exp passed, within the leeway", {"exp": now - 5}, until=now + 50),
        Change("exp passed a little more than the leeway ago", {"exp": now - 61}),
        Change("exp passed an hour ago", {"exp": now - 3600}),
        Change("exp in ten years", {"exp": now + 315_360_000}),
        Change("exp and its fraction have passed", {"exp": now - 600.5}),
        Change("exp is 1e10", {"exp": Text("1e10")}, ACCEPT, "RFC 8259, 6: an exponent is a number"),
        Change("exp is 1.5E+10", {"exp": Text("1.5E+10")}, ACCEPT, "RFC 8259, 6: an exponent is a number"),
        Change("exp is 1e400", {"exp": Text("1e400")}, REJECT, finite),
        Change("no nbf, no iat", {"nbf": ABSENT, "iat": ABSENT}),
    ]
    for name in ["exp", "nbf", "iat"]:
        changes += [Change(f"{name} is {label}", {name: value}, REJECT, number) for label, value in NO_NUMBERS]
        changes += [
            Change(f"{name} is {value}", {name: Text(value)}, REJECT, finite)
            for value in ["NaN", "Infinity", "-Infinity", "01", "1.", ".5", "+1", "0x10"]
        ]
        good = now + 3600 if name == "exp" else now - 3600
        changes += [
            Change(f"{name} is a number in quotes", {name: str(good)}, REJECT, number),
            Change(f"{name} has a fraction", {name: good + 0.5}, ACCEPT, fraction),
        ]
        for value in [0, -1, Text("-0.0"), Text("-1e300"), 2**53 + 1, 2**64, 10**18, 10**30, Text("1e308")]:
            changes.append(Change(f"{name} is {value}", {name: value}))
    for name in ["nbf", "iat"]:
        changes += [
            Change(f"{name} is now", {name: now}),
            Change(f"{name} in half a minute, within the leeway", {name: now + 30}),
            Change(f"{name} in an hour", {name: now + 3600}),
            Change(f"{name} in an hour and a fraction", {name: now + 3600.5}),
        ]
    return changes


def _audiences(ours: str) -> list[Change]:
    strings = "RFC 7519, 4.1.3: a string, or an array of strings"
    values = {
        "a list of ours": [ours],
        "a list with ours first": [ours, "https://other.example"],
        "a list with ours last": ["https://other.example", "x", ours],
        "a list with ours twice": [ours, ours],
        "another": "https://other.example",
        "a list of others": ["https://other.example", "x"],
        "empty": "",
        "an empty list": [],
        "in capitals": ours.upper(),
        "ours and a slash": ours + "/",
        "the beginning of ours": ours[:-1],
        "ours and a space": ours + " ",
        "ours and another, with a space between": f"{ours} https://other.example",
        "ours and a NUL": ours + "\0",
        "ours, its first letter escaped": Text('"\\u0068' + ours[1:] + '"'),
    }
    wrong = {
        "a list in a list": [[ours]],
        "ours and a number": [ours, 5],
        "ours and null": [ours, None],
        "an object with ours": {ours: ours},
        "a number": 5,
        "true": True,
        "null": None,
    }
    changes = [Change(f"aud is {label}", {"aud": value}) for label, value in values.items()]
    changes += [Change(f"aud is {label}", {"aud": value}, REJECT, strings) for label, value in wrong.items()]
    return changes + [Change("no aud", {"aud": ABSENT})]


def _issuers(ours: str, other: str) -> list[Change]:
    values = {
        "another": "https://evil.example",
        "that of the other provider": other,
        "a list of ours": [ours],
        "ours and a slash": ours + "/",
        "in capitals": ours.upper(),
        "the beginning of ours": ours[:-1],
        "ours and a space": ours + " ",
        "empty": "",
        "an object": {"iss": ours},
        "ours, its first letter escaped": Text('"\\u0068' + ours[1:] + '"'),
    }
    changes = [Change(f"iss is {label}", {"iss": value}) for label, value in values.items()]
    changes += [Change(f"iss is {label}", {"iss": value}) for label, value in NO_TEXTS]
    return changes + [Change("no iss", {"iss": ABSENT})]


def changes_of_header(attacker: dict) -> list[Change]:
    """Everything that may be in a header instead. `alg` is as it was: the token is signed so."""
    unused = "RFC 7515, 4: what is not understood is ignored; RFC 8725, 3.10: no key is taken from a token"
    changes = _types() + _critical()
    for label, value in NO_TEXTS:
        why = "RFC 7515, 4.1.4: kid is a string"
        changes.append(Change(f"kid is {label}", {"kid": value}, REJECT, why))
    for value in ["", "nobody", "../../etc/passwd", "' or '1'='1", "kid\0", "*"]:
        changes.append(Change(f"kid is {value!r}", {"kid": value}))
    for name, value in [
        ("jwk", attacker),
        ("jku", "https://evil.example/jwks.json"),
        ("x5u", "https://evil.example/chain.pem"),
        ("x5t", "AAAA"),
        ("x5c", ["AAAA"]),
        ("cty", "JWT"),
        ("iss", "https://evil.example"),
        ("nonce", "x"),
        ("zip", "DEF"),
        ("enc", "A128GCM"),
        ("http://example.com/claim", {"is": [True]}),
        ("unknown", "x" * 600),
    ]:
        changes.append(Change(f"{name} is there, which nobody looks at", {name: value}, ACCEPT, unused))
    changes.append(Change("no kid", {"kid": ABSENT}))
    return changes


def _types() -> list[Change]:
    texts = [
        "jwt", "JWT", "Jwt", "at+jwt", "AT+JWT", "application/at+jwt", "APPLICATION/jwt", "Application/At+Jwt",
        "", "JWS", "JOSE", "JOSE+JSON", "dpop+jwt", "logout+jwt", "secevent+jwt", "application/", "application/jose",
        "application/application/jwt", "text/jwt", "JWT ", " JWT", "JWT;v=1", "at jwt", "JWT,at+jwt", "JW", "JWTT", "\u212aWT",
    ]  # fmt: skip
    changes = [Change(f"typ is {value!r}", {"typ": value}) for value in texts]
    why = "RFC 7515, 4.1.9: typ is a string"
    changes += [Change(f"typ is {label}", {"typ": value}, REJECT, why) for label, value in NO_TEXTS]
    return changes + [Change("no typ", {"typ": ABSENT})]


def _critical() -> list[Change]:
    unknown = "RFC 7515, 4.1.11: an extension that is not understood, and none is here"
    empty = "RFC 7515, 4.1.11: a list of names, not empty, of extensions, which are there"
    encoded = "RFC 7797, 7: no JWT has an unencoded payload"
    cases = [
        ("an unknown one", {"crit": ["unknown"], "unknown": 1}, unknown),
        ("one that is not there", {"crit": ["unknown"]}, empty),
        ("an empty list", {"crit": []}, empty),
        ("a string", {"crit": "exp"}, empty),
        ("null", {"crit": None}, empty),
        ("a list of numbers", {"crit": [1]}, empty),
        ("an object", {"crit": {"exp": 1}}, empty),
        ("exp, in the header too", {"crit": ["exp"], "exp": 4102444800}, unknown),
        ("alg", {"crit": ["alg"]}, empty),
        ("kid and typ", {"crit": ["kid", "typ"]}, empty),
        ("twice the same", {"crit": ["unknown", "unknown"], "unknown": 1}, empty),
        ("b64, which is true", {"crit": ["b64"], "b64": True}, unknown),
        ("b64, which is false", {"crit": ["b64"], "b64": False}, encoded),
        ("b64, which is not there", {"crit": ["b64"]}, empty),
    ]
    changes = [Change(f"crit is {label}", members, REJECT, why) for label, members, why in cases]
    changes.append(Change("b64 is false, without crit", {"b64": False}, REJECT, encoded))
    changes.append(Change("b64 is true, without crit", {"b64": True}, ACCEPT, "RFC 7797, 3: true is what it is without"))
    return changes
