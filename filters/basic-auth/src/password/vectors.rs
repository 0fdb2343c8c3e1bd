//! Hashes that other programs made, and the published ones.

/// What [`OF_HTPASSWD`] and [`OF_OPENSSL`] are hashes of.
pub(super) const PASSWORD: &str = "Grüße, 2 Äpfel!";

/// `htpasswd OPTIONS alice "$PASSWORD"`, of Apache 2.4.71, without `alice:`.
pub(super) const OF_HTPASSWD: [(&str, &str); 8] = [
    ("-nbB -C 4", "$2y$04$FKx9gEUteo33OvVj544FPeQKlKbTcn5hl1R/LaQlHHug3Uf6y.1bC"),
    ("-nbB", "$2y$05$TiY72nzZGNV9a.h43lCmdulp.vR0L6nihMy/ZgXa69yAhNHHuvA9C"),
    ("-nbm", "$apr1$eY7JI8.D$zpuQUPevb7Ycs2IunkMFk/"),
    ("-nb2", "$5$SHTr/p/EzLZqG0lo$n6UM/LgyPtuhfugCzCJG9IToVaiW/C4jFCQHqOHiLT3"),
    ("-nb2 -r 1000", "$5$rounds=1000$3iyyKGaP215.0o/B$HypCN0eMLN1QGwo5Yw5MPyOtkVnUVLQZJQUcSA60H60"),
    (
        "-nb5",
        "$6$0mp6G5KXpDOFgs8O$CjEwnaVtCrIOK0rS6NpmqSXxAYp9vIiCoLSyrEewNxJNOhs0nBlXXKp/n97Z6TEabbIfz/HWcEogt2BS.wYif/",
    ),
    (
        "-nb5 -r 10000",
        "$6$rounds=10000$fiqpVt/0XNod.a4I$mxv8KaSkDeqeussZmI4C/Rb98qBoeWjHyFHST0GATDVVi4zXX3KgzyCvhH1Vzd/zqMZNOCidKLDOjMJeU26Hv0",
    ),
    ("-nbs", "{SHA}xyD9TFZQCbVgynqI40oFYqzz8+8="),
];

/// `openssl passwd OPTIONS "$PASSWORD"`, of OpenSSL 3.0.19.
pub(super) const OF_OPENSSL: [(&str, &str); 4] = [
    ("-1 -salt 8charact", "$1$8charact$.Y2TqEIOcJ8gKDm1gH4sA."),
    ("-apr1 -salt S", "$apr1$S$bveWwTu7PCx4IGBRAhEW40"),
    ("-5 -salt short", "$5$short$fBMh7iC/dzlBeed.fnIeKZdQ7Z.ABbHUurNQIR2isK8"),
    (
        "-6 -salt sixteencharacter",
        "$6$sixteencharacter$5djfaqk0mw7ugSq.tKW4qyRs/rNuKIg0EzMZhw.jIWmT/QGVyRY4470PXIMNfXZcNtcZ6ZIu2Bmlp14jSdx4C1",
    ),
];

/// `htpasswd OPTIONS alice ""`: no password.
pub(super) const OF_NOTHING: [(&str, &str); 4] = [
    ("-nbm", "$apr1$jwj0JzCi$2c4qEBPREMOFVH6aVll07/"),
    ("-nb2", "$5$/sMZLPFEgg6ssSVg$HUv1hsZ2BUZxU2VUv5KJec69gEPCCyxLycl.olLHlz3"),
    (
        "-nb5",
        "$6$KvfJCGyVsShYwEHu$EV04dv33wqWEKyx6ZThat8fhNg49DZwJtG/0KEF3/qnxB8Ku7qosQ8noAbDEBcDypALOGSNkp7GBdmoT2p7oM0",
    ),
    ("-nbs", "{SHA}2jmj7l5rSw0yVb/vlWAYkK/YBwk="),
];

/// `htpasswd OPTIONS alice "$(printf 'x%.0s' $(seq 1 255))"`: the longest password it takes.
pub(super) const OF_255_X: [(&str, &str); 4] = [
    ("-nbm", "$apr1$G6Z4bIw5$lX7hscse/xUFZOnlz9Dnv0"),
    ("-nb2 -r 1000", "$5$rounds=1000$nQTVuacfq3BkGgdK$K9VCq3nGmXQZNaFIGMRhn8WKkhxjXg4O3fbc/3UUvj1"),
    (
        "-nb5 -r 1000",
        "$6$rounds=1000$Ht2Sm6LVP6cjpj4r$ukrro2WsT5I3LDHSPNguTUply3bU3o6vteeeeSKlLxBWWcRlJI15SMB6TO9SAdjzY.G0X7H4EdGkIkfUHyqL3/",
    ),
    ("-nbs", "{SHA}Y6oauq27VpjyUnxc/M577PBGX5c="),
];

/// `htpasswd -nbB -C 4 alice "$(printf 'x%.0s' $(seq 1 80))"`: eight more than bcrypt looks at.
pub(super) const OF_80_X: &str = "$2y$04$B3uBRgWUdGXfrVfWL/XTFObK71t5PAE.rUZXEEW8C/IcDMmmxzJly";

/// `htpasswd OPTIONS alice "$(printf '\xe9\xff\x80')"`: a password that is not UTF-8.
pub(super) const OF_BYTES: [(&str, &str); 3] = [
    ("-nbB -C 4", "$2y$04$VUJ/pXVmm05A6EechwFgouI7f2BQM8/PVk0AAZkhzjGbUuTLoGDCS"),
    ("-nbm", "$apr1$0u6xCKZ1$FZ6hoikqTAyK7IW6tmYiU/"),
    ("-nb2 -r 1000", "$5$rounds=1000$2fLC.CmhkRxXYl1K$1KdNFUP2uLyQUvEWvAFH.9HoPg8N05XsSlg3SDrCDh8"),
];

/// The test vectors of Ulrich Drepper's "Unix crypt using SHA-256 and SHA-512" (2007).
pub(super) const OF_DREPPER: [(&str, &str); 14] = [
    ("Hello world!", "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"),
    (
        "Hello world!",
        "$5$rounds=10000$saltstringsaltst$3xv.VbSHBb41AL9AvLeujZkZRBAwqFMz2.opqey6IcA",
    ),
    (
        "This is just a test",
        "$5$rounds=5000$toolongsaltstrin$Un/5jzAHMgOGZ5.mWJpuVolil07guHPvOW8mGRcvxa5",
    ),
    (
        "a very much longer text to encrypt.  This one even stretches over morethan one line.",
        "$5$rounds=1400$anotherlongsalts$Rx.j8H.h8HjEDGomFU8bDkXm3XIUnzyxf12oP84Bnq1",
    ),
    (
        "we have a short salt string but not a short password",
        "$5$rounds=77777$short$JiO1O3ZpDAxGJeaDIuqCoEFysAe1mZNJRs3pw0KQRd/",
    ),
    (
        "a short string",
        "$5$rounds=123456$asaltof16chars..$gP3VQ/6X7UUEW3HkBn2w1/Ptq2jxPyzV/cZKmF/wJvD",
    ),
    (
        "the minimum number is still observed",
        "$5$rounds=1000$roundstoolow$yfvwcWrQ8l/K0DAWyuPMDNHpIVlTQebY9l/gL972bIC",
    ),
    (
        "Hello world!",
        "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
    ),
    (
        "Hello world!",
        "$6$rounds=10000$saltstringsaltst$OW1/O6BYHV6BcXZu8QVeXbDWra3Oeqh0sbHbbMCVNSnCM/UrjmM0Dp8vOuZeHBy/YTBmSK6H9qs/y3RnOaw5v.",
    ),
    (
        "This is just a test",
        "$6$rounds=5000$toolongsaltstrin$lQ8jolhgVRVhY4b5pZKaysCLi0QBxGoNeKQzQ3glMhwllF7oGDZxUhx1yxdYcz/e1JSbq3y6JMxxl8audkUEm0",
    ),
    (
        "a very much longer text to encrypt.  This one even stretches over morethan one line.",
        "$6$rounds=1400$anotherlongsalts$POfYwTEok97VWcjxIiSOjiykti.o/pQs.wPvMxQ6Fm7I6IoYN3CmLs66x9t0oSwbtEW7o7UmJEiDwGqd8p4ur1",
    ),
    (
        "we have a short salt string but not a short password",
        "$6$rounds=77777$short$WuQyW2YR.hBNpjjRhpYD/ifIw05xdfeEyQoMxIXbkvr0gge1a1x3yRULJ5CCaUeOxFmtlcGZelFl5CxtgfiAc0",
    ),
    (
        "a short string",
        "$6$rounds=123456$asaltof16chars..$BtCwjqMJGx5hrJhZywWvt0RLE8uZ4oPwcelCjmw2kSYu.Ec6ycULevoBK25fs2xXgMNrCzIMVcgEJAstJeonj1",
    ),
    (
        "the minimum number is still observed",
        "$6$rounds=1000$roundstoolow$kUMsbe306n21p9R.FRkW3IGn.S9NPN0x50YhH1xhLsPuWGsUSklZt58jaTfF4ZEQpyUNGc0dqbpBYYBaHHrsX.",
    ),
];

/// From the tests of Openwall's `crypt_blowfish`, which Apache and many a libc have inside.
pub(super) const OF_OPENWALL: [(&[u8], &str); 11] = [
    (b"U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"),
    (b"U*U*", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK"),
    (b"U*U*U", "$2a$05$XXXXXXXXXXXXXXXXXXXXXOAcXxm9kjPGEMsLznoKqmqw7tc8WCx4a"),
    (b"", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.7uG0VCzI2bS7j6ymqJi9CdcdxiRTWNy"),
    (
        b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789chars after 72 are ignored",
        "$2a$05$abcdefghijklmnopqrstuu5s2v8.iXieOjg/.AySBTTZIIVFJeBui",
    ),
    (b"\xa3", "$2a$05$/OK.fbVrR/bpIqNJ5ianF.Sa7shbm4.OzKpvFnX1pQLmQW96oUlCq"),
    (b"\xa3", "$2b$05$/OK.fbVrR/bpIqNJ5ianF.Sa7shbm4.OzKpvFnX1pQLmQW96oUlCq"),
    (b"\xa3", "$2y$05$/OK.fbVrR/bpIqNJ5ianF.Sa7shbm4.OzKpvFnX1pQLmQW96oUlCq"),
    (b"\xff\xff\xa3", "$2b$05$/OK.fbVrR/bpIqNJ5ianF.CE5elHaaO4EbggVDjb8P19RukzXSM3e"),
    (b"\xff\xff\xa3", "$2y$05$/OK.fbVrR/bpIqNJ5ianF.CE5elHaaO4EbggVDjb8P19RukzXSM3e"),
    (b"\xd1\x91", "$2y$05$/OK.fbVrR/bpIqNJ5ianF.E737eUK7jOqGXQUPcu5iAm8pR815Cru"),
];

/// From the same tests: the one way in which its `$2a$` differs from `$2b$`.
pub(super) const OF_OPENWALLS_2A: (&[u8], &str) =
    (b"\xff\xff\xa3", "$2a$05$/OK.fbVrR/bpIqNJ5ianF.nqd1wy.pTMdcvrRWxyiGL2eMz.2a85.");
