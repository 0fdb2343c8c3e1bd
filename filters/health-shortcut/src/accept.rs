//! Which of JSON and XML a client likes better (RFC 9110, 12.5.1).
//!
//! 1. The most precise range that matches a type says how much it is liked; of two as precise, the
//!    one that says more.
//! 2. Parameters other than `q` do not matter. A range whose `q` is none is as if it were not there.
//! 3. XML has to be liked better. Whoever says nothing, or nothing of use, gets JSON.

/// Whether XML is liked better than JSON, by the values of `Accept`.
pub(crate) fn prefers_xml<'a>(accept: impl Iterator<Item = &'a [u8]>) -> bool {
    let (mut json, mut xml) = (Liking::default(), Liking::default());
    for range in accept.flat_map(|value| value.split(|byte| *byte == b',')) {
        let mut parts = range.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let media = parts.next().unwrap_or_default().to_ascii_lowercase();
        let Some(quality) = quality(parts) else { continue };
        for (liking, name) in
            [(&mut json, &b"application/json"[..]), (&mut xml, b"application/xml")]
        {
            let precision = precision(&media, name);
            *liking = Liking { precision, quality: quality.min(precision.saturating_mul(1000)) }
                .max(*liking);
        }
    }
    xml.quality > json.quality
}

/// How much a type is liked; ordered by what counts first.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Liking {
    /// 3 for the type itself, 2 for all of `application`, 1 for all; 0 where nothing matches.
    precision: u16,
    /// In thousandths.
    quality: u16,
}

fn precision(media: &[u8], name: &[u8]) -> u16 {
    match media {
        b"*/*" => 1,
        b"application/*" => 2,
        _ if media == name => 3,
        _ => 0,
    }
}

/// `q`, in thousandths; 1000 where it is left out.
fn quality<'a>(mut parameters: impl Iterator<Item = &'a [u8]>) -> Option<u16> {
    let value =
        parameters.find_map(|part| part.strip_prefix(b"q=").or_else(|| part.strip_prefix(b"Q=")));
    let Some(value) = value else { return Some(1000) };
    let text = std::str::from_utf8(value).ok()?;
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let digits = decimals.len() <= 3 && decimals.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || !matches!(whole, "0" | "1") {
        return None;
    }
    format!("{whole}{decimals:0<3}").parse().ok().filter(|quality| *quality <= 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(accept: &[&str], xml: bool) {
        assert_eq!(prefers_xml(accept.iter().map(|value| value.as_bytes())), xml, "{accept:?}");
    }

    #[test]
    fn whoever_says_nothing_of_use_gets_json() {
        check(&[], false);
        check(&[""], false);
        check(&["text/html, image/*;q=0.2"], false);
        check(&["*/*"], false);
        check(&["application/*"], false);
    }

    #[test]
    fn xml_alone_is_xml() {
        check(&["application/xml"], true);
        check(&["Application/XML; charset=utf-8"], true);
        check(&["text/html", "application/xml"], true);
    }

    #[test]
    fn the_one_liked_better_wins() {
        check(&["application/json;q=0.5, application/xml"], true);
        check(&["application/json;q=0.5, application/xml;q=0.499"], false);
        check(&["application/xml; Q=0.9 , application/json; q=0.8"], true);
        check(&["application/xml, application/json"], false);
    }

    #[test]
    fn the_most_precise_range_counts() {
        check(&["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"], true);
        check(&["application/xml;q=0.1, */*"], false);
        check(&["application/*;q=0.5, application/json;q=0.1"], true);
        check(&["*/*;q=0.9, application/json;q=0"], true);
        check(&["application/*;q=0.1, application/xml;q=0.2, */*"], true);
    }

    #[test]
    fn what_is_refused_is_not_liked() {
        check(&["application/xml;q=0"], false);
        check(&["application/xml;q=0.000, application/json;q=0"], false);
    }

    #[test]
    fn a_range_with_a_wrong_quality_is_as_if_it_were_not_there() {
        for quality in ["2", "1.001", "0.1234", "-0", "x", "", ".5", "0.+1", "é"] {
            check(&[&format!("application/xml;q={quality}")], false);
        }
    }

    #[test]
    fn bytes_that_are_no_text_do_no_harm() {
        assert!(!prefers_xml([&b"\xff/\xff;q=\xff,;;,application/xml;q=\xff"[..]].into_iter()));
    }
}
