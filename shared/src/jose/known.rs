//! Signatures of SHA-256 over `gatehouse` whose verdicts are known.
//!
//! Made once with OpenSSL (`openssl genpkey`, `openssl dgst -sha256 -sign`); the private keys are gone.

/// A key and what it signed.
pub(super) struct Known {
    /// The key, as a `SubjectPublicKeyInfo`.
    pub(super) public: &'static str,
    /// The signature, in the form that the proxy wants.
    pub(super) signature: &'static str,
}

pub(super) const RSA: Known = Known {
    public: "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEArUn3Fl6LO45hjFayAMQu1V4KNP2bv6RTbvKnV84X\
        GYfHjbjsg/59MoCxt6Y6LPCYsYsxnUyh39XtqS/thh5rnYgn9leokFmtfa6cSdTV3uf7h+L+G0eWHfH1PSFX\
        t9ts9T++0m4Jg7SUGxNiU3rh1rY7HSdXuROnmj41o7ibm1EFm9f1c40RaPWo4cbDbefbnTOAAoLRV2jAFIO4\
        5PAAmfj5nFs+13Zs5dzo52YBGYHV1XbSU7SVjF6G4WwSR755hTs6ZUufoVA7Gk/L+5I0Tb6FbDlcpOqJVX0+\
        namUYeQh6d1A7fpqEW5VPNTyWwO9TROgx3pAzNXePeBPsaWbOwIDAQAB",
    signature: "Nk9QGpyelkmMjWBcPIlm7zXKFq8BmzfqoEcSW3ouQA//POj5i3c+FCuOz5gRGx+/FpBTY7HEzWSHmzg4kFRy\
        5slfO0+yhYwTl+PVltz4d7y/cPFleHJFD1hv64xAZzTxTE5aq9vnHM5uMPkwoCI+7IvzlILNhL6/4WfncRh6\
        2P5h8bAzd8YrHGRmNpLUYQRnVt4AjWS8P4VjIldh+pivYaa1V+hUxgbKk2OQeGiGMZA220Db58lVDOiyvFCS\
        pMUGdYzKbeTHPoGxtsO1V9b0xOYiO+LMbYhkmfw92pOhpS4Y8/Qs954uagD5B8oVihVcSLn5+B74PcHKz+dY\
        4Flkbw==",
};

pub(super) const P256: Known = Known {
    public: "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEs0jUzis6hYVyUiEwTu6mib9WPjrlYvIcMSK3ijRf28ciAM/a\
        w7uxAy4BQJdS+/UH/21SpyB22nH2mlPrwc2ohA==",
    signature: "MEYCIQC5A23rf+vzGFsEkFRkE8mcAwpblTioQndrkRfjqdyMSAIhAL0p9YbcJL5h6KaUNJhqyUAIXoErBcHM\
        7og6g59cDy98",
};
