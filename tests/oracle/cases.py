"""The tokens. Each group is a function that yields cases of one algorithm; `at_random` fills up."""

import random
from dataclasses import dataclass
from typing import Any, Callable, Iterator

import claims as said
import signing
from claims import ACCEPT, REJECT, Change
from judges import DEPTH, PROVIDERS, fault, provider_of
from signing import ALGORITHMS, ASYMMETRIC, KEYS, LIBRARIES, Key, decode, encode, stranger

BASE64 = "RFC 7515, 2: base64url, no padding, nothing else in it"
SPARE_BITS = "RFC 4648, 3.5: the bits that are left over are zero"
PARTS = "RFC 7515, 7.1: three parts, with a dot between"
SIGNED = "RFC 7515, 5.2: the signature is over what is there"
OBJECT = "RFC 7519, 7.2: header and payload are JSON objects"
TWICE = "RFC 7515, 4 and RFC 7519, 4: no member comes twice"
UTF8 = "RFC 7515, 5.2 and RFC 8259, 8.1: UTF-8, without a byte order mark"
NUMBER = "RFC 8259, 6: a number has digits"
PINNED = "RFC 8725, 3.1: an algorithm that key and provider allow, spelt exactly"
LENGTH = "RFC 7518, 3: a signature has the length of its algorithm and key"
OVERFLOW = "RFC 8017, 5.2.2, RFC 8032, 5.1.7, FIPS 186-5, 6.4.2: numbers in range"
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@dataclass
class Case:
    """A token, and what an RFC decides about it: `None` where the libraries have to agree."""

    group: str
    name: str
    algorithm: str
    token: str
    strict: bool | None = None
    why: str = ""
    until: int | None = None


class Forge:
    """Makes tokens of one algorithm."""

    def __init__(self, algorithm: str, now: int, chance: random.Random):
        self.algorithm, self.now, self.chance = algorithm, now, chance
        self.key, self.provider = KEYS[algorithm], provider_of(algorithm)
        self.other = next(provider for provider in PROVIDERS if provider is not self.provider)
        self.is_rsa, self.is_elliptic = algorithm[1:2] == "S" and algorithm[0] in "RP", algorithm[:2] == "ES"

    def header(self, **members: Any) -> dict:
        """A good one, with these instead."""
        return {"alg": self.algorithm, "typ": "at+jwt", "kid": self.key.kid, **members}

    def claims(self, **members: Any) -> dict:
        """Good ones, with these instead. Times are far away, so that no digit that changes is near."""
        good = {"iss": self.provider.issuer, "aud": self.provider.audience, "sub": "1729"}
        times = {"exp": self.now + 36_000, "nbf": self.now - 50_000, "iat": self.now - 50_000}
        return {**good, **times, "jti": str(self.chance.getrandbits(40)), **members}

    def sign(self, text: str, key: Key | None = None, algorithm: str | None = None) -> bytes:
        """A signature by one library or the other."""
        library = self.chance.choice(LIBRARIES)
        return signing.signature(library, algorithm or self.algorithm, key or self.key, text.encode())

    def seal(self, text: str, key: Key | None = None, algorithm: str | None = None) -> str:
        """What is to be signed, as it is, and its signature."""
        return f"{text}.{encode(self.sign(text, key, algorithm))}"

    def token(self, header: Any = None, payload: Any = None, key: Key | None = None, algorithm: str | None = None) -> str:
        """A token of members, of text or of bytes, signed well."""
        header, payload = self.bytes(header, self.header), self.bytes(payload, self.claims)
        return self.seal(f"{encode(header)}.{encode(payload)}", key, algorithm)

    def bytes(self, part: Any, good: Callable[[], dict]) -> bytes:
        """A part of a token, as octets."""
        part = good() if part is None else part
        part = said.text(part) if isinstance(part, dict) else part
        return part.encode() if isinstance(part, str) else part

    def case(self, group: str, name: str, token: str, strict: bool | None = None, why: str = "", until=None) -> Case:
        """A case of this algorithm."""
        return Case(group, name, self.algorithm, token, strict, why, until)


def good(forge: Forge) -> Iterator[Case]:
    """Tokens as libraries make them, and as they may be written too."""
    for library in LIBRARIES:
        token = signing.whole(library, forge.algorithm, forge.key, forge.header(), forge.claims())
        yield forge.case("good", f"made by {library}", token)
    text = said.text
    yield forge.case("good", "with white space", forge.token(text(forge.header(), ",\r\n\t "), text(forge.claims(), " ,\n")))
    yield forge.case("good", "with white space around", forge.token(None, " \t\r\n" + text(forge.claims()) + "\n "))
    backwards = dict(reversed(forge.header().items()))
    yield forge.case("good", "the other way round", forge.token(backwards, dict(reversed(forge.claims().items()))))
    escaped = text(forge.header()).replace('"alg"', '"\\u0061lg"'), text(forge.claims()).replace('"exp"', '"e\\u0078p"')
    yield forge.case("good", "with escaped names", forge.token(*escaped))


def header(forge: Forge) -> Iterator[Case]:
    """Every change of the header."""
    for change in said.changes_of_header(attacker(forge).jwk()):
        token = forge.token(forge.header(**change.members))
        yield forge.case("header", change.name, token, change.strict, change.why, change.until)


def payload(forge: Forge) -> Iterator[Case]:
    """Every change of the claims."""
    for change in changes_of_claims(forge):
        token = forge.token(None, forge.claims(**change.members))
        yield forge.case("claims", change.name, token, change.strict, change.why, change.until)


def changes_of_claims(forge: Forge) -> list[Change]:
    provider = forge.provider
    return said.changes_of_claims(forge.now, provider.issuer, provider.audience, forge.other.issuer)


def json_text(forge: Forge) -> Iterator[Case]:
    """What is nearly JSON, in either part, signed well."""
    for place, good_one, member in [("header", forge.header(), '"kid"'), ("payload", forge.claims(), '"exp"')]:
        text = said.text(good_one)
        first = text.split(",")[0][1:]
        for name, bad, why in [
            ("is a list", f"[{text}]", OBJECT),
            ("is a string", '"x"', OBJECT),
            ("is a number", "5", OBJECT),
            ("is null", "null", OBJECT),
            ("is empty", "", OBJECT),
            ("is white space", "  ", OBJECT),
            ("is text", "hello", OBJECT),
            ("ends early", text[:-1], OBJECT),
            ("has a brace too many", text + "}", OBJECT),
            ("is followed by a NUL", text + "\0", OBJECT),
            ("is followed by another", text + text, OBJECT),
            ("has a comma too many", text[:-1] + ",}", OBJECT),
            ("has a comment", text[:-1] + "/* */}", OBJECT),
            ("has single quotes", text.replace('"', "'"), OBJECT),
            ("has names without quotes", text.replace(member, member[1:-1]), OBJECT),
            ("has a line break in a string", text[:-1] + ',"x":"a\nb"}', OBJECT),
            ("has a NUL in a string", text[:-1] + ',"x":"a\0b"}', OBJECT),
            ("has an escape that is none", text[:-1] + ',"x":"\\x41"}', OBJECT),
            ("has half of a surrogate", text[:-1] + ',"x":"\\ud83d"}', "RFC 8259, 8.2: what is half a character"),
            ("has no-break spaces", text.replace(",", ",\u00a0"), OBJECT),
            ("has NaN", text[:-1] + ',"x":NaN}', NUMBER),
            ("has Infinity", text[:-1] + ',"x":-Infinity}', NUMBER),
            ("has True", text[:-1] + ',"x":True}', OBJECT),
            ("has its first member twice", f"{text[:-1]},{first}}}", TWICE),
            ("has a member twice, first wrong", "{" + member + ":1," + text[1:], TWICE),
            ("has a member twice, then wrong", f"{text[:-1]},{member}:1}}", TWICE),
            ("has a member twice, once escaped", f'{text[:-1]},"{_escaped(member[1])}{member[2:]}:1}}', TWICE),
            ("has an unknown member twice", text[:-1] + ',"x":1,"x":1}', TWICE),
            ("has a member twice deep inside", text[:-1] + ',"x":[{"y":1,"y":2}]}', TWICE),
            ("has a mark of its byte order", "\ufeff" + text, UTF8),
            ("is UTF-16", text.encode("utf-16-le"), UTF8),
            ("is UTF-16 with a mark", text.encode("utf-16"), UTF8),
            ("is UTF-32", text.encode("utf-32-be"), UTF8),
            ("is Latin-1", (text[:-1] + ',"x":"é"}').encode("latin-1"), UTF8),
            ("has a surrogate in UTF-8", text[:-1].encode() + b',"x":"\xed\xa0\xbd"}', UTF8),
            ("has an overlong letter", text[:-1].encode() + b',"x":"\xc1\x81"}', UTF8),
            ("has 5000 levels", text[:-1] + ',"x":' + "[" * 5000 + "]" * 5000 + "}", DEPTH),
            ("has 5000 levels without an end", text[:-1] + ',"x":' + '{"a":' * 1800, OBJECT),
        ]:
            token = forge.token(bad) if place == "header" else forge.token(None, bad)
            yield forge.case("json", f"{place} {name}", token, REJECT, why)
    inner = forge.token()
    yield forge.case("json", "payload is a token", forge.token(forge.header(cty="JWT"), inner), REJECT, OBJECT)


def _escaped(letter: str) -> str:
    return f"\\u{ord(letter):04x}"


def form(forge: Forge) -> Iterator[Case]:
    """What is nearly three parts of base64url. Where the signature can be over what is there, it is."""
    token = forge.token()
    head, body, sign = token.split(".")
    cut = len(body) // 2
    for name, bad in [
        ("no dots", "".join([head, body, sign])),
        ("one part", head),
        ("two parts", f"{head}.{body}"),
        ("four parts, the last empty", token + "."),
        ("four parts", f"{token}.{sign}"),
        ("four parts, the first empty", "." + token),
        ("five parts, as of JWE", f"{head}.{body}.{sign}.{body}.{sign}"),
        ("five parts, of which two are empty", token + ".."),
        ("dots alone", ".."),
        ("four dots", "...."),
        ("no header", f".{body}.{sign}"),
        ("no payload, a signature of another", f"{head}..{sign}"),
        ("no signature", f"{head}.{body}."),
        ("two dots before the signature", f"{head}.{body}..{sign}"),
        ("JSON serialisation", f'{{"protected":"{head}","payload":"{body}","signature":"{sign}"}}'),
        ("two tokens", f"{token},{token}"),
        ("two tokens with a space between", f"{token} {token}"),
        ("in quotes", f'"{token}"'),
        ("with a prefix", f"Bearer {token}"),
    ]:
        yield forge.case("form", name, bad, REJECT, PARTS)
    for name, bad in [
        ("four parts, signed so", f"{head}.{body[:cut]}.{body[cut:]}"),
        ("a dot before the payload, signed so", f"{head}..{body}"),
        ("a dot at the start, signed so", f".{head}.{body}"),
        ("no payload, signed so", f"{head}."),
        ("no header, signed so", f".{body}"),
    ]:
        yield forge.case("form", name, forge.seal(bad), REJECT, PARTS)
    for name, bad in _spoilt(body, cut):
        yield forge.case("form", f"payload {name}", f"{head}.{bad}.{sign}", REJECT, BASE64)
        yield forge.case("form", f"payload {name}, signed so", forge.seal(f"{head}.{bad}"), REJECT, BASE64)
    for name, bad in _spoilt(head, len(head) // 2):
        yield forge.case("form", f"header {name}, signed so", forge.seal(f"{bad}.{body}"), REJECT, BASE64)
    for name, bad in _spoilt(sign, 7):
        if bad[-1:] != "\n" and bad[-1:] != "\r":  # white space at the end is no part of a header's value
            yield forge.case("form", f"signature {name}", f"{head}.{body}.{bad}", REJECT, BASE64)
    for name, spare in [("payload", body), ("header", head)]:
        if other := _spare_bits(spare, forge.chance):
            parts = f"{head}.{other}" if name == "payload" else f"{other}.{body}"
            yield forge.case("form", f"{name} with bits to spare, signed so", forge.seal(parts), REJECT, SPARE_BITS)
    if other := _spare_bits(sign, forge.chance):
        yield forge.case("form", "signature with bits to spare", f"{head}.{body}.{other}", REJECT, SPARE_BITS)


def _spoilt(part: str, at: int) -> list[tuple[str, str]]:
    inside = [
        ("a space", " "), ("a tab", "\t"), ("a line break", "\n"), ("a folded line", "\r\n "), ("padding", "="),
        ("two signs of padding", "=="), ("a plus", "+"), ("a slash", "/"), ("an escape", "%2D"), ("a colon", ":"),
        ("a NUL", "\0"), ("a letter of UTF-8", "é"), ("a wide letter", "\uff21"), ("a tilde", "~"), ("a star", "*"),
    ]  # fmt: skip
    spoilt = [(f"with {name} inside", part[:at] + what + part[at:]) for name, what in inside]
    spoilt += [(f"with {count} of padding", part + "=" * count) for count in (1, 2, 4)]
    spoilt.append(("with a letter too many", part + "A" * (1 if len(part) % 4 == 0 else 5 - len(part) % 4)))
    return spoilt


def _spare_bits(part: str, chance: random.Random) -> str | None:
    spare = {2: 4, 3: 2}.get(len(part) % 4)
    if spare is None:
        return None
    return part[:-1] + LETTERS[LETTERS.index(part[-1]) | chance.randrange(1, 1 << spare)]


def algorithms(forge: Forge) -> Iterator[Case]:
    """`alg` is none of those that key and provider allow."""
    for name in [
        "none", "None", "NONE", "nOnE", "", " ", "HS1", "RS1", "ES256K", "Ed25519", "Ed448", "dir", "A128KW", "RSA-OAEP",
        forge.algorithm.swapcase(), forge.algorithm + " ", " " + forge.algorithm, forge.algorithm + "\0",
        forge.algorithm[:-1], forge.algorithm + "," + forge.algorithm, "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
    ]:  # fmt: skip
        text = forge.token(forge.header(alg=name)).rsplit(".", 1)[0]
        yield forge.case("alg", f"alg is {name!r}, no signature", text + ".", REJECT, PINNED)
        yield forge.case("alg", f"alg is {name!r}, a good signature", forge.seal(text), REJECT, PINNED)
    for label, value in [*said.NO_TEXTS, ("a list of itself", [forge.algorithm]), ("missing", said.ABSENT)]:
        yield forge.case("alg", f"alg is {label}", forge.token(forge.header(alg=value)), REJECT, "RFC 7515, 4.1.1: a string")
    for other in ALGORITHMS:
        if other != forge.algorithm:
            yield from _other_algorithm(forge, other)


def _other_algorithm(forge: Forge, other: str) -> Iterator[Case]:
    token = forge.token(forge.header(alg=other))
    yield forge.case("alg", f"alg says {other}", token, REJECT, PINNED)
    mine, others = forge.algorithm, KEYS[other]
    same_kind = (mine[0] in "RP" and other[0] in "RP") or (mine[:2] == other[:2] == "HS")
    if same_kind:
        signed = forge.token(forge.header(alg=other), None, None, other)
        yield forge.case("alg", f"{other} with the key for {mine}", signed, REJECT, PINNED)
        signed = forge.token(forge.header(alg=other, kid=said.ABSENT), None, None, other)
        yield forge.case("alg", f"{other} with the key for {mine}, no kid", signed, REJECT, PINNED)
    signed = forge.token(forge.header(alg=other), None, others, other)
    yield forge.case("keys", f"signed by the key for {other}, which says so", signed, REJECT, PINNED)
    swapped = forge.token(forge.header(kid=others.kid))
    yield forge.case("keys", f"kid of the key for {other}", swapped, REJECT, "RFC 8725, 3.1: a key is for one algorithm")


def keys(forge: Forge) -> Iterator[Case]:
    """Signed by somebody else, or with what everybody knows."""
    evil = stranger(forge.algorithm)
    why = "RFC 8725, 3.10: no key is taken from a token"
    headers = {
        "without more": {},
        "without a kid": {"kid": said.ABSENT},
        "with its jwk": {"jwk": attacker(forge).jwk()},
        "with its jwk, without a kid": {"jwk": attacker(forge).jwk(), "kid": said.ABSENT},
        "with its jku": {"jku": "https://evil.example/jwks.json"},
        "with its x5u": {"x5u": "https://evil.example/chain.pem"},
        "with its x5c": {"x5c": [encode(evil.written[:300])]},
    }
    for name, members in headers.items():
        yield forge.case("keys", f"a stranger's, {name}", forge.token(forge.header(**members), None, evil), REJECT, why)
    if forge.algorithm in ASYMMETRIC:
        yield from _public_for_secret(forge)


def attacker(forge: Forge) -> Key:
    """The stranger's key, under an id of its own."""
    key = stranger(forge.algorithm)
    return Key(key.algorithm, "evil", key.private, key.written)


def _public_for_secret(forge: Forge) -> Iterator[Case]:
    pem, der = forge.key.public_pem(), forge.key.public_der()
    texts = {"PEM": pem, "PEM without its last line break": pem.rstrip(), "DER": der}
    texts |= {"JWK": said.text(forge.key.jwk()).encode(), "nothing": b"", "kid": forge.key.kid.encode()}
    for name, secret in texts.items():
        for algorithm in ["HS256", "HS512"]:
            for whose, issuer in [("", forge.provider.issuer), (", as of the other provider", forge.other.issuer)]:
                head, body = said.text(forge.header(alg=algorithm)), said.text(forge.claims(iss=issuer))
                text = f"{encode(head.encode())}.{encode(body.encode())}"
                token = f"{text}.{encode(signing.mac(algorithm, secret, text.encode()))}"
                label = f"{algorithm} with the {name} of the public key{whose}"
                yield forge.case("keys", label, token, REJECT, "RFC 8725, 2.1 and 3.1: a public key is no secret")


def signatures(forge: Forge) -> Iterator[Case]:
    """The signature is not what it is to be."""
    token = forge.token()
    text, written = token.rsplit(".", 1)
    sign = decode(written)

    def case(name: str, other: bytes, why: str = SIGNED) -> Case:
        return forge.case("signature", name, f"{text}.{encode(other)}", REJECT, why)

    for name, other in [
        ("a byte short", sign[:-1]), ("without its first byte", sign[1:]), ("a byte long", sign + b"\0"),
        ("with a zero before", b"\0" + sign), ("half", sign[: len(sign) // 2]), ("twice", sign + sign),
        ("one byte", sign[:1]), ("1000 bytes long", sign + bytes(1000)),
    ]:  # fmt: skip
        yield case(name, other, LENGTH)
    yield case("all zero", bytes(len(sign)))
    yield case("all ones", b"\xff" * len(sign))
    yield case("backwards", sign[::-1])
    yield case("of another token", decode(forge.token().rsplit(".", 1)[1]))
    yield case("of the payload alone", forge.sign(text.split(".")[1]))
    yield case("of what is decoded", forge.sign(".".join(decode(part).decode() for part in text.split("."))))
    yield case("of itself too", forge.sign(token))
    if forge.is_elliptic:
        yield from _ecdsa(forge, text, sign, case)
    elif forge.is_rsa:
        yield from _rsa(forge, text, sign, case)
    elif forge.algorithm == "EdDSA":
        r, s = sign[:32], int.from_bytes(sign[32:], "little")
        yield case("s and the order", r + (s + signing.ORDERS["EdDSA"]).to_bytes(32, "little"), OVERFLOW)
        yield case("the identity and zero", b"\x01" + bytes(63))
        yield case("a bit in the sign of r", sign[:31] + bytes([sign[31] ^ 0x80]) + sign[32:])


def _ecdsa(forge: Forge, text: str, sign: bytes, case: Callable[..., Case]) -> Iterator[Case]:
    r, s, size = signing.ecdsa_parts(forge.algorithm, sign)
    order = signing.ORDERS[forge.algorithm]

    def pair(r: int, s: int) -> bytes:
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")

    negated = f"{text}.{encode(pair(r, order - s))}"
    yield forge.case("signature", "s negated, which ECDSA allows", negated)
    yield case("DER", signing.ecdsa_der(r, s), "RFC 7518, 3.4: r and s, not DER")
    yield case("DER of s negated", signing.ecdsa_der(r, order - s), "RFC 7518, 3.4: r and s, not DER")
    yield case("each a byte longer", b"\0" + sign[:size] + b"\0" + sign[size:], LENGTH)
    yield case("each a byte shorter", sign[1:size] + sign[size + 1 :], LENGTH)
    yield case("r and s swapped", pair(s, r))
    for name, numbers in {
        "r is zero": (0, s), "s is zero": (r, 0), "both are one": (1, 1), "r is one, s is zero": (1, 0),
        "r is the order": (order, s), "s is the order": (r, order), "both are the order": (order, order),
        "r is zero, s is the order": (0, order),
    }.items():  # fmt: skip
        yield case(name, pair(*numbers), OVERFLOW)
    if forge.algorithm == "ES512":  # there is room for it
        yield case("r and the order", pair(r + order, s), OVERFLOW)
        yield case("s and the order", pair(r, s + order), OVERFLOW)


def _rsa(forge: Forge, text: str, sign: bytes, case: Callable[..., Case]) -> Iterator[Case]:
    number, size, n = int.from_bytes(sign, "big"), len(sign), signing.modulus(forge.key)
    yield case("the modulus less it", (n - number).to_bytes(size, "big"))
    yield case("zero and one", (1).to_bytes(size, "big"))
    yield case("the modulus", n.to_bytes(size, "big"), OVERFLOW)
    yield case("the modulus less one", (n - 1).to_bytes(size, "big"), OVERFLOW)
    yield case("it and the modulus, a byte long", (number + n).to_bytes(size + 1, "big"), OVERFLOW)
    yield from _sum_of_the_same_length(forge, n, size)
    kind = forge.algorithm[:2]
    for bits in (bits for bits in ["256", "384", "512"] if bits != forge.algorithm[2:]):
        other = signing.signature("PyJWT", kind + bits, forge.key, text.encode())
        yield case(f"with SHA-{bits}", other, PINNED)
    if kind == "RS":
        pss = signing.signature("joserfc", "PS" + forge.algorithm[2:], forge.key, text.encode())
        yield case("PSS", pss, PINNED)
        return
    yield case("PKCS #1 v1.5", signing.pkcs1(forge.key, forge.algorithm, text.encode()), PINNED)
    hash_of = signing.hash_of(forge.algorithm)
    salt = "RFC 7518, 3.5: the salt is as long as the hash"
    most = size - hash_of.digest_size - 2
    lengths = {"no salt": 0, "a salt of 20": 20, "the longest salt": most, "a salt too long by one": hash_of.digest_size + 1}
    for name, length in lengths.items():
        yield case(name, signing.pss(forge.key, forge.algorithm, text.encode(), length, hash_of), salt)
    other = signing.hash_of("PS384" if forge.algorithm != "PS384" else "PS256")
    mask = "RFC 7518, 3.5: the same hash in the mask"
    masked = signing.pss(forge.key, forge.algorithm, text.encode(), hash_of.digest_size, other)
    yield case("another hash in the mask", masked, mask)


def _sum_of_the_same_length(forge: Forge, n: int, size: int) -> Iterator[Case]:
    """How many tokens have such a signature depends on the key: of some it may be one in a hundred."""
    for _ in range(200):
        text, written = forge.token().rsplit(".", 1)
        more = int.from_bytes(decode(written), "big") + n
        if more.bit_length() <= size * 8:
            token = f"{text}.{encode(more.to_bytes(size, 'big'))}"
            yield forge.case("signature", "it and the modulus, of the same length", token, REJECT, OVERFLOW)
            return


def at_random(forge: Forge) -> Case:
    """One more, of any kind."""
    kinds = [(mixed, 12), (flipped, 5), (retyped, 3), (flipped_and_signed, 4)]
    kind = forge.chance.choices([kind for kind, _ in kinds], [weight for _, weight in kinds])[0]
    return kind(forge)


def mixed(forge: Forge) -> Case:
    """Some changes at once, most of which alone are taken."""
    chance = forge.chance
    heads, bodies = said.changes_of_header(attacker(forge).jwk()), changes_of_claims(forge)
    kind = chance.random() < 0.7
    if kind:
        heads = [change for change in heads if change.name in TAKEN or change.strict]
        bodies = [change for change in bodies if change.name in TAKEN or change.strict]
    chosen = chance.sample(heads, chance.randint(0, 2)) + chance.sample(bodies, chance.randint(1, 3))
    head = {name: value for change in chosen if change in heads for name, value in change.members.items()}
    body = {name: value for change in chosen if change in bodies for name, value in change.members.items()}
    # A member that two of them set is the last one's: that one alone counts.
    told = {id(change): head if change in heads else body for change in chosen}
    counts = [change for change in chosen if all(told[id(change)][name] is value for name, value in change.members.items())]
    token = forge.token(forge.header(**head), forge.claims(**body))
    untils = [change.until for change in counts if change.until]
    wrong = next((change for change in counts if change.strict is REJECT), None)
    sure = all(change.strict is ACCEPT for change in counts)
    strict = REJECT if wrong else ACCEPT if sure else None
    why = wrong.why if wrong else ""
    return forge.case("mixed", " and ".join(change.name for change in chosen), token, strict, why, min(untils, default=None))


# What is taken when it is alone, by name; `mixed` prefers these, lest all it makes be refused.
TAKEN = {
    "exp passed, within the leeway", "exp in ten years", "no nbf, no iat", "no sub", "no jti", "no kid", "nbf is now", "iat is now",
    "nbf in half a minute, within the leeway", "iat in half a minute, within the leeway", "aud is a list of ours",
    "aud is a list with ours first", "aud is a list with ours last", "a claim of other scripts", "a claim with escapes",
    "a claim nested", "a claim of 5000 bytes", "typ is 'jwt'", "typ is 'application/at+jwt'", "typ is 'APPLICATION/jwt'",
    "aud is ours, its first letter escaped", "iss is ours, its first letter escaped", "nbf is 0", "iat is -1",
}  # fmt: skip


def flipped(forge: Forge) -> Case:
    """A good token, a bit of which has changed."""
    parts = [decode(part) for part in forge.token().split(".")]
    index = forge.chance.randrange(3)
    parts[index], where = _flip(parts[index], forge.chance)
    name = ["header", "payload", "signature"][index]
    token = ".".join(map(encode, parts))
    return forge.case("flipped", f"{name}, {where}", token, REJECT, SIGNED)


def retyped(forge: Forge) -> Case:
    """A good token, a letter of which is another, is too many, is missing or has changed places."""
    token = forge.token()
    while True:
        at = forge.chance.randrange(1, len(token) - 1)
        letter = forge.chance.choice(LETTERS + "=+/.~%,;")
        how = forge.chance.choice(["another", "too many", "missing", "swapped"])
        other = {
            "another": token[:at] + letter + token[at + 1 :],
            "too many": token[:at] + letter + token[at:],
            "missing": token[:at] + token[at + 1 :],
            "swapped": token[: at - 1] + token[at] + token[at - 1] + token[at + 1 :],
        }[how]
        if other != token:
            return forge.case("retyped", f"letter {at} is {how}", other, REJECT, f"{BASE64}; {SIGNED}")


def flipped_and_signed(forge: Forge) -> Case:
    """A token, a bit of whose header or payload has changed before it was signed."""
    parts = [said.text(forge.header()).encode(), said.text(forge.claims()).encode()]
    index = forge.chance.randrange(2)
    parts[index], where = _flip(parts[index], forge.chance)
    why = fault(*parts)
    token = forge.token(*parts)
    name = ["header", "payload"][index]
    return forge.case("flipped and signed", f"{name}, {where}", token, REJECT if why else None, why or "")


def _flip(data: bytes, chance: random.Random) -> tuple[bytes, str]:
    at, bit = chance.randrange(len(data)), chance.randrange(8)
    return data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :], f"bit {bit} of byte {at}"


# Those about signatures are for every algorithm; the rest is the same for all, and tried with a few.
OF_EVERY_ALGORITHM = [good, signatures, keys]
OF_ANY_ALGORITHM = [header, payload, json_text, form, algorithms]
