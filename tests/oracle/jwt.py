"""Tokens, good and bad, with the verdict of two independent libraries.

    jwt.py cases SEED COUNT [--now T]            one JSON document: providers, cases, disputed
    jwt.py sign ALG CLAIMS [--kid K] [--header H]  a token signed with the test key for ALG
    jwt.py providers                             the providers of the policy, as jwt-auth is told of them

The same seed and time make the same cases, but for the salt in ECDSA and PSS.

A case is in `cases` where both libraries agree, and no RFC decides otherwise; its `why` is what they say. Else it is
in `disputed`, with what each says and what the RFC wants (`strict`, and the clause in `why`). A dispute that no RFC
decides is a mistake in this program, and ends it.
"""

import argparse
import json
import random
import sys
import time
from importlib.metadata import version

sys.dont_write_bytecode = True
# PyJWT is a module `jwt` too: what is installed comes first, what is in this folder last.
sys.path.append(sys.path.pop(0))

import cases  # noqa: E402
import signing  # noqa: E402
from judges import PROVIDERS, opinions, provider_of  # noqa: E402

# What is the same for all algorithms is tried with so many.
FEW = 3


def main() -> None:
    """Runs what is asked for."""
    arguments = _arguments()
    if arguments.what == "sign":
        print(sign(arguments.algorithm, arguments.claims, arguments.kid, arguments.header))
    elif arguments.what == "providers":
        print(json.dumps([provider.configuration() for provider in PROVIDERS], indent=1))
    else:
        print(json.dumps(document(arguments.seed, arguments.count, arguments.now), indent=1))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="what", required=True)
    many = commands.add_parser("cases")
    many.add_argument("seed", type=int)
    many.add_argument("count", type=int)
    many.add_argument("--now", type=int, default=int(time.time()), help="seconds since 1970; the clock's")
    one = commands.add_parser("sign")
    one.add_argument("algorithm", choices=signing.ALGORITHMS)
    one.add_argument("claims", help="the payload, signed as it is written")
    one.add_argument("--kid", help="another id than that of the key")
    one.add_argument("--header", help="members instead of the usual ones, as JSON", default="{}")
    commands.add_parser("providers")
    return parser.parse_args()


def sign(algorithm: str, claims: str, kid: str | None, header: str) -> str:
    """A token with this payload."""
    key = signing.KEYS[algorithm]
    members = {"alg": algorithm, "typ": "JWT", "kid": key.kid if kid is None else kid, **json.loads(header)}
    text = f"{signing.encode(json.dumps(members).encode())}.{signing.encode(claims.encode())}"
    return f"{text}.{signing.encode(signing.signature('PyJWT', algorithm, key, text.encode()))}"


def document(seed: int, count: int, now: int) -> dict:
    """So many cases at least: those that are always there, and others up to the count."""
    def forge(algorithm: str, what: object) -> cases.Forge:
        """One with luck of its own: a signature that is salted must not change what comes after it."""
        return cases.Forge(algorithm, now, random.Random(f"{seed} {algorithm} {what}"))

    chance, made = random.Random(seed), []
    for group in cases.OF_EVERY_ALGORITHM + cases.OF_ANY_ALGORITHM:
        every = group in cases.OF_EVERY_ALGORITHM
        for algorithm in signing.ALGORITHMS if every else chance.sample(signing.ALGORITHMS, FEW):
            made += group(forge(algorithm, group.__name__))
    while len(made) < count:
        algorithm = signing.ALGORITHMS[len(made) % len(signing.ALGORITHMS)]
        made.append(cases.at_random(forge(algorithm, len(made))))
    agreed, disputed = [], []
    for number, case in enumerate(made):
        case.name = f"{number} {case.algorithm} {case.group}: {case.name}"
        _judge(case, now, agreed, disputed)
    if undecided := [case for case in disputed if case["strict"] is None]:
        for case in undecided:
            print(f"{case['name']}: {case['opinions']}\n  {case['token'][:2000]}", file=sys.stderr)
        sys.exit("nobody decides these")
    return {
        "seed": seed,
        "time": now,
        "libraries": {name: version(name) for name in signing.LIBRARIES},
        "providers": [provider.configuration() for provider in PROVIDERS],
        "cases": agreed,
        "disputed": disputed,
    }


def _judge(case: cases.Case, now: int, agreed: list, disputed: list) -> None:
    objections = opinions(case.token, now)
    accepted = {said is None for said in objections.values()}
    written = {
        "name": case.name,
        "group": case.group,
        "provider": provider_of(case.algorithm).name,
        "alg": case.algorithm,
        "token": case.token,
    }
    if case.until:
        written["until"] = case.until
    if len(accepted) == 1 and case.strict in (None, *accepted):
        why = case.why or next(iter(objections.values())) or "good"
        agreed.append({**written, "accept": accepted.pop(), "why": why})
        return
    strict = None if case.strict is None else "accept" if case.strict else "reject"
    disputed.append({**written, "strict": strict, "why": case.why, "opinions": objections})


if __name__ == "__main__":
    main()
