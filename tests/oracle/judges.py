"""The policy, written once, and the two libraries that apply it.

1. The token's `iss` chooses the provider; `alg` and `kid` choose among its keys, each of which is for one algorithm.
   A token without `kid` may be of any key for its algorithm.
2. `iss` and `aud` are the provider's, `exp` is there, times have a leeway.
3. `typ` is one of those expected, in any case, with or without `application/`. Neither library looks at it.
4. Whatever a library raises is its no.
"""

import json
import warnings
from datetime import datetime, timezone
from functools import cache
from typing import Any, Callable
from unittest import mock

import jwt as pyjwt
from joserfc import jwk, jws
from joserfc import jwt as jose_jwt

from signing import ASYMMETRIC, KEYS, SYMMETRIC, Key

warnings.simplefilter("ignore")  # joserfc's, that `EdDSA` has another name by now

LEEWAY = 60
# Its limit on headers is nobody else's.
jws.JWSRegistry.max_header_length = 1 << 16

TYPES = ["at+jwt", "JWT"]
DEPTH = "RFC 8259, 9: a parser may set a limit to the depth of nesting"


class Provider:
    """Whose tokens are taken, and what is expected of them."""

    def __init__(self, name: str, algorithms: list[str]):
        self.name = name
        self.issuer = f"https://{name}.example"
        self.audience = f"https://api.{name}.example"
        self.algorithms = algorithms

    def configuration(self) -> dict:
        """As the filter is told."""
        return {
            "name": self.name,
            "issuer": self.issuer,
            "audiences": [self.audience],
            "algorithms": self.algorithms,
            "leeway": f"{LEEWAY}s",
            "token_types": TYPES,
            "jwks": {"inline": {"keys": [KEYS[algorithm].jwk() for algorithm in self.algorithms]}},
        }


PROVIDERS = [Provider("public", ASYMMETRIC), Provider("shared", SYMMETRIC)]


class No(Exception):
    """The policy's own."""


def provider_of(algorithm: str) -> Provider:
    """The one that signs with it."""
    return next(provider for provider in PROVIDERS if algorithm in provider.algorithms)


def candidates(header: dict, issuer: Any) -> tuple[Provider, list[Key]]:
    """The keys that a token may be of."""
    provider = next((provider for provider in PROVIDERS if provider.issuer == issuer), None)
    if provider is None:
        raise No("the issuer is another")
    kind = header.get("typ")
    short = kind.lower().removeprefix("application/") if isinstance(kind, str) else None
    if short not in [known.lower() for known in TYPES]:
        raise No("the type is another")
    keys = [KEYS[name] for name in provider.algorithms if name == header.get("alg")]
    keys = [key for key in keys if "kid" not in header or header["kid"] == key.kid]
    if not keys:
        raise No("there is no such key for this algorithm")
    return provider, keys


def by_pyjwt(token: str, now: int) -> None:
    """PyJWT's verdict: it raises where that is no."""
    header = pyjwt.get_unverified_header(token)
    claims = pyjwt.decode(token, options={"verify_signature": False})
    provider, keys = candidates(header, claims.get("iss"))
    for key in keys:
        pyjwt.decode(
            token,
            _of_pyjwt(key),
            algorithms=[key.algorithm],
            issuer=provider.issuer,
            audience=provider.audience,
            leeway=LEEWAY,
            options={"require": ["exp", "iss", "aud"]},
        )


def by_joserfc(token: str, now: int) -> None:
    """The verdict of joserfc: it raises where that is no."""
    taken = jws.extract_compact(token.encode())
    claims = json.loads(taken.payload)
    header = taken.headers()
    provider, keys = candidates(header, claims.get("iss"))
    registry = jws.JWSRegistry(algorithms=[key.algorithm for key in keys], strict_check_header=False)
    for key in keys:
        found = jose_jwt.decode(token, _of_joserfc(key), registry=registry)
        expected = jose_jwt.JWTClaimsRegistry(
            now=now,
            leeway=LEEWAY,
            iss={"essential": True, "value": provider.issuer},
            aud={"essential": True, "value": provider.audience},
            exp={"essential": True},
        )
        expected.validate(found.claims)


@cache
def _of_pyjwt(key: Key) -> pyjwt.PyJWK:
    return pyjwt.PyJWK(key.jwk())


@cache
def _of_joserfc(key: Key) -> Any:
    return jwk.import_key(key.jwk())


def opinions(token: str, now: int) -> dict[str, str | None]:
    """What each library has against a token: nothing, or what it said."""

    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.fromtimestamp(now, tz or timezone.utc)

    with mock.patch("jwt.api_jwt.datetime", Clock):
        return {"PyJWT": _objection(by_pyjwt, token, now), "joserfc": _objection(by_joserfc, token, now)}


def _objection(judge: Callable[[str, int], None], token: str, now: int) -> str | None:
    try:
        judge(token, now)
        return None
    except Exception as error:  # whatever it is
        return f"{type(error).__name__}: {error}"[:160]


def fault(header: bytes, payload: bytes) -> str | None:
    """What the RFCs have against the JSON of a token that is well signed, where libraries are kinder."""
    for part in (header, payload):
        try:
            text = part.decode()
        except UnicodeDecodeError:
            return "RFC 7515, 5.2: the octets are a UTF-8 representation"
        if text.startswith("\ufeff"):
            return "RFC 8259, 8.1: no byte order mark"
        try:
            json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
        except _Fault as error:
            return str(error)
        except RecursionError:
            return DEPTH
        except ValueError:
            return "RFC 8259, 2: it is no JSON"
    return None


class _Fault(Exception):
    pass


def _unique(pairs: list) -> dict:
    if len({name for name, _ in pairs}) < len(pairs):
        raise _Fault("RFC 7515, 4 and RFC 7519, 4: no member comes twice")
    return dict(pairs)


def _no_constant(name: str) -> None:
    raise _Fault(f"RFC 8259, 6: {name} is no number")
