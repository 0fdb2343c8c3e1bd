//! The kinds of value that several filters' configurations have.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::time::Duration;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// The longest period that a configuration may name.
const LONGEST: Duration = Duration::from_secs(3660 * 24 * 3600);

/// A length of time such as `250ms`, `10s` or `1h30m`: more than zero, at most ten years.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period(Duration);

impl Period {
    /// So many seconds; at least one.
    pub const fn from_secs(secs: u64) -> Self {
        Self(Duration::from_secs(if secs == 0 { 1 } else { secs }))
    }

    /// So many milliseconds; at least one.
    pub const fn from_millis(millis: u64) -> Self {
        Self(Duration::from_millis(if millis == 0 { 1 } else { millis }))
    }

    /// The length of time.
    pub const fn duration(self) -> Duration {
        self.0
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match humantime::parse_duration(&text) {
            Ok(Duration::ZERO) => {
                Err(D::Error::custom("a period of zero; leave the field out instead"))
            }
            Ok(time) if time > LONGEST => {
                Err(D::Error::custom(format!("`{text}` is longer than ten years")))
            }
            Ok(time) => Ok(Self(time)),
            Err(_) => Err(D::Error::custom(format!(
                "`{text}` is not a period such as `250ms`, `10s` or `1h30m`"
            ))),
        }
    }
}

/// How far clocks may be apart: a period, or `0s`, at most ten minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leeway(Duration);

impl Leeway {
    /// So many seconds.
    pub const fn from_secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }

    /// The length of time.
    pub const fn duration(self) -> Duration {
        self.0
    }
}

impl<'de> Deserialize<'de> for Leeway {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match humantime::parse_duration(&text) {
            Ok(time) if time <= Duration::from_secs(600) => Ok(Self(time)),
            Ok(_) => Err(D::Error::custom(format!("`{text}` is more than ten minutes"))),
            Err(_) => Err(D::Error::custom(format!("`{text}` is not a period such as `60s`"))),
        }
    }
}

/// A number of bytes such as `64KiB` or `4MiB`: more than zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(u64);

impl Size {
    /// So many bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.parse::<bytesize::ByteSize>() {
            Ok(size) if size.as_u64() == 0 => Err(D::Error::custom("a size of zero")),
            Ok(size) => Ok(Self(size.as_u64())),
            Err(_) => Err(D::Error::custom(format!("`{text}` is not a size such as `64KiB`"))),
        }
    }
}

/// A text that no log, error or metric shows.
#[derive(Clone, Deserialize, PartialEq, Eq)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// Who may: `all`, the default, or those whom an object names.
#[derive(Clone, Debug)]
pub struct AllOr<T>(Option<T>);

/// An object that names somebody.
pub trait Names {
    /// Whether it names nobody: what a template leaves behind, which must not open.
    fn is_empty(&self) -> bool;
}

impl<T> AllOr<T> {
    /// Those who are named; `None` for all.
    pub const fn named(&self) -> Option<&T> {
        self.0.as_ref()
    }
}

impl<T> Default for AllOr<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<'de, T: Deserialize<'de> + Names> Deserialize<'de> for AllOr<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AllOrVisitor(PhantomData))
    }
}

struct AllOrVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de> + Names> Visitor<'de> for AllOrVisitor<T> {
    type Value = AllOr<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`all`, or an object that names some")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<AllOr<T>, E> {
        if text == "all" { Ok(AllOr(None)) } else { Err(E::custom("is not `all`")) }
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<AllOr<T>, A::Error> {
        let named = T::deserialize(MapAccessDeserializer::new(members))?;
        if named.is_empty() {
            return Err(A::Error::custom("names nobody; write `all` to allow everybody"));
        }
        Ok(AllOr(Some(named)))
    }
}

/// A list with at least one element: an empty one is an error of the writer, not a wish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NonEmpty<T>(Vec<T>);

impl<T> Deref for NonEmpty<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T> IntoIterator for NonEmpty<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for NonEmpty<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let list = Vec::deserialize(deserializer)?;
        if list.is_empty() {
            return Err(D::Error::custom("a list of at least one, and this one is empty"));
        }
        Ok(Self(list))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json};
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn periods_are_written_with_their_unit() {
        for (text, millis) in
            [("250ms", 250), ("10s", 10_000), ("1h30m", 5_400_000), ("1d", 86_400_000)]
        {
            let period: Period = from_value(json!(text)).unwrap();
            assert_eq!(period.duration(), Duration::from_millis(millis));
        }
    }

    #[test]
    fn what_is_no_period_is_refused() {
        for value in
            [json!("0s"), json!("10"), json!(10), json!("-1s"), json!(""), json!("20years")]
        {
            assert!(from_value::<Period>(value.clone()).is_err(), "{value}");
        }
    }

    #[test]
    fn sizes_are_written_with_their_unit() {
        assert_eq!(from_value::<Size>(json!("64KiB")).unwrap().bytes(), 65_536);
        assert_eq!(from_value::<Size>(json!("4MiB")).unwrap().bytes(), 4_194_304);
        for value in [json!("0"), json!("0KiB"), json!("x"), json!(5)] {
            assert!(from_value::<Size>(value.clone()).is_err(), "{value}");
        }
    }

    #[test]
    fn a_secret_does_not_print() {
        let secret: Secret = from_value(json!("hunter2")).unwrap();
        assert_eq!(format!("{secret:?}"), "(secret)");
        assert_eq!(secret.expose(), "hunter2");
    }

    #[test]
    fn an_empty_list_is_refused() {
        assert!(from_value::<NonEmpty<u8>>(json!([])).is_err());
        assert_eq!(&*from_value::<NonEmpty<u8>>(json!([1])).unwrap(), [1]);
    }
}
