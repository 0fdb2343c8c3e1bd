"""The keys, and what signs with them: both libraries, and `cryptography` where a signature is to be wrong."""

import base64
import hashlib
import hmac
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jwt as pyjwt
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa, utils
from joserfc import jwk, jws
from joserfc import jwt as jose_jwt

FOLDER = Path(__file__).parent / "keys"
ASYMMETRIC = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
SYMMETRIC = ["HS256", "HS384", "HS512"]
ALGORITHMS = ASYMMETRIC + SYMMETRIC
LIBRARIES = ["PyJWT", "joserfc"]
STRANGERS = {"RS": "rsa", "PS": "rsa", "ES256": "p256", "ES384": "p384", "ES512": "p521", "EdDSA": "ed25519"}
ORDERS = {
    "ES256": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    "ES384": int("F" * 48 + "C7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973", 16),
    "ES512": int("1" + "F" * 65 + "A51868783BF2F966B7FCC0148F709A5D03BB5C9B8899C47AEBB6FB71E91386409", 16),
    "EdDSA": 2**252 + 27742317777372353535851937790883648493,
}


@dataclass(frozen=True)
class Key:
    """A key, which is for one algorithm; its id is the algorithm's name in lower case."""

    algorithm: str
    kid: str
    private: Any
    written: bytes

    def jwk(self) -> dict:
        """As RFC 7517 has it: the public part, unless it is symmetric."""
        if isinstance(self.private, bytes):
            members = {"kty": "oct", "k": encode(self.private)}
        else:
            members = _of_joserfc(self).as_dict(private=False)
        return {**members, "kid": self.kid, "alg": self.algorithm, "use": "sig"}

    def public_pem(self) -> bytes:
        """The public part, as it is published."""
        return self._public(serialization.Encoding.PEM)

    def public_der(self) -> bytes:
        """The same, without the armour."""
        return self._public(serialization.Encoding.DER)

    def _public(self, encoding: serialization.Encoding) -> bytes:
        info = serialization.PublicFormat.SubjectPublicKeyInfo
        return self.private.public_key().public_bytes(encoding, info)


def _read(name: str, algorithm: str, kid: str) -> Key:
    if algorithm in SYMMETRIC:
        secret = bytes.fromhex((FOLDER / f"{name}.hex").read_text())
        return Key(algorithm, kid, secret, secret)
    pem = (FOLDER / f"{name}.pem").read_bytes()
    return Key(algorithm, kid, serialization.load_pem_private_key(pem, None), pem)


KEYS = {algorithm: _read(algorithm.lower(), algorithm, algorithm.lower()) for algorithm in ALGORITHMS}


@cache
def stranger(algorithm: str) -> Key:
    """A key of the same kind that is in no set, under the id of the one that is."""
    kid = algorithm.lower()
    if algorithm in SYMMETRIC:
        secret = hashlib.sha512(b"stranger").digest()[: len(KEYS[algorithm].private)]
        return Key(algorithm, kid, secret, secret)
    name = STRANGERS.get(algorithm) or STRANGERS[algorithm[:2]]
    return _read(f"stranger-{name}", algorithm, kid)


def encode(data: bytes) -> str:
    """Base64url as RFC 7515, 2 has it."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """The same, back; only for what was encoded here."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def signature(library: str, algorithm: str, key: Key, message: bytes) -> bytes:
    """A signature by one of the libraries, whatever algorithm the key is for."""
    if library == "PyJWT":
        return _PYJWT[algorithm].sign(message, _of_pyjwt(key, algorithm))
    return jws.JWSRegistry.algorithms[algorithm].sign(message, _of_joserfc(key))


def whole(library: str, algorithm: str, key: Key, header: dict, claims: dict) -> str:
    """A token that a library makes all by itself."""
    if library == "PyJWT":
        return pyjwt.encode(claims, _of_pyjwt(key, algorithm), algorithm, headers=header)
    registry = jws.JWSRegistry(algorithms=[algorithm])
    return jose_jwt.encode(header, claims, _of_joserfc(key), registry=registry)


_PYJWT = pyjwt.algorithms.get_default_algorithms()


# Reading an RSA key takes longer than signing with it.
@cache
def _of_pyjwt(key: Key, algorithm: str) -> Any:
    return _PYJWT[algorithm].prepare_key(key.written)


@cache
def _of_joserfc(key: Key) -> Any:
    return jwk.import_key(key.written, "oct" if isinstance(key.private, bytes) else None)


def mac(algorithm: str, secret: bytes, message: bytes) -> bytes:
    """HMAC with any bytes for a key, which the libraries refuse."""
    return hmac.new(secret, message, f"sha{algorithm[2:]}").digest()


def hash_of(algorithm: str) -> hashes.HashAlgorithm:
    """The hash that an algorithm is named after."""
    return {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}[algorithm[2:]]


def pss(key: Key, algorithm: str, message: bytes, salt: int, mask: hashes.HashAlgorithm) -> bytes:
    """RSASSA-PSS with any length of salt and any hash in its mask."""
    return key.private.sign(message, padding.PSS(padding.MGF1(mask), salt), hash_of(algorithm))


def pkcs1(key: Key, algorithm: str, message: bytes) -> bytes:
    """RSASSA-PKCS1-v1_5."""
    return key.private.sign(message, padding.PKCS1v15(), hash_of(algorithm))


def ecdsa_parts(algorithm: str, pair: bytes) -> tuple[int, int, int]:
    """`r`, `s`, and the length of each (RFC 7518, 3.4)."""
    size = len(pair) // 2
    return int.from_bytes(pair[:size], "big"), int.from_bytes(pair[size:], "big"), size


def ecdsa_der(r: int, s: int) -> bytes:
    """The form that other standards have."""
    return utils.encode_dss_signature(r, s)


def modulus(key: Key) -> int:
    """Of an RSA key."""
    assert isinstance(key.private, rsa.RSAPrivateKey)
    return key.private.public_key().public_numbers().n

