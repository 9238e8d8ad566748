"""Prints password hashes of the installed Django version, one JSON object with password and hash per line.

The salts are fixed, so the output is the same each time. Schemes that this version does not support are omitted.
"""

import json

import django
from django.conf import settings
from django.contrib.auth import hashers

settings.configure()

PASSWORDS = [
    "1234ABCD",
    "\u043f\u0430\u0440\u043e\u043b\u044c-\u2713-\u65e5\u672c\u8a9e-\u00e9-\U0001f600",
    " leading and trailing ",
    # bcrypt uses at most 72 bytes. HMAC hashes a password first if it is longer than a block of SHA-256 (64 bytes).
    "x" * 72,
    "Aa1!" * 50,
]
SALT = "DEyHzzhS8TlL1VcpmV4sfA"
BCRYPT_SALT = "$2b$%02d$DEyHzzhS8TlL1VcpmV4sfO"


def bcrypt_at(name, rounds):
    hasher = getattr(hashers, name)()
    hasher.rounds = rounds
    return lambda password: hasher.encode(password, (BCRYPT_SALT % rounds).encode())


def salted(name, salt=SALT, **arguments):
    hasher = getattr(hashers, name, None)
    return hasher and (lambda password: hasher().encode(password, salt, **arguments))


def argon2(**cost):
    hasher = hashers.Argon2PasswordHasher()
    vars(hasher).update(cost)
    return lambda password: hasher.encode(password, SALT)


def scrypt(**cost):
    if hasher := getattr(hashers, "ScryptPasswordHasher", None):
        return lambda password: hasher().encode(password, SALT, **cost)


# The schemes with the default parameters of this version. They are slow, so two passwords per scheme are enough.
SLOW = [
    salted("PBKDF2PasswordHasher"),
    argon2(),
    bcrypt_at("BCryptSHA256PasswordHasher", 12),
    scrypt(),
]

SCHEMES = [
    *SLOW,
    salted("PBKDF2PasswordHasher", iterations=30000),
    salted("PBKDF2SHA1PasswordHasher", iterations=1000),
    argon2(memory_cost=512, time_cost=3, parallelism=2),
    bcrypt_at("BCryptSHA256PasswordHasher", 4),
    bcrypt_at("BCryptPasswordHasher", 4),
    scrypt(n=1024, r=4, p=2),
    # Old schemes. Signet does not verify them.
    salted("MD5PasswordHasher"),
    salted("SHA1PasswordHasher"),
    salted("UnsaltedSHA1PasswordHasher", salt=""),
    salted("UnsaltedMD5PasswordHasher", salt=""),
    salted("CryptPasswordHasher", salt="ab"),
]

for scheme in filter(None, SCHEMES):
    for password in PASSWORDS:
        print(json.dumps({"password": password, "hash": scheme(password)}))
        if password == PASSWORDS[1] and scheme in SLOW:
            break
