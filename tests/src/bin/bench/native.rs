//! What the parts of the core take natively, as criterion left it in `target/criterion`.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What is older is of another run.
const RECENT: Duration = Duration::from_secs(3600);

/// A part of the core.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Part {
    pub(crate) name: String,
    /// The median, between the bounds that it is in with 95 %.
    pub(crate) nanoseconds: [f64; 3],
}

/// What `cargo bench -p shared` has measured just now, below a folder; nothing where it did not run.
pub(crate) fn parts(folder: &Path) -> Vec<Part> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut parts: Vec<_> =
        entries.filter_map(|entry| part(&entry.ok()?.path().join("new"))).collect();
    parts.sort_by(|one, other| one.name.cmp(&other.name));
    parts
}

fn part(folder: &Path) -> Option<Part> {
    let file = folder.join("estimates.json");
    let written = fs::metadata(&file).ok()?.modified().ok()?;
    if SystemTime::now().duration_since(written).is_ok_and(|age| age > RECENT) {
        return None;
    }
    let name = read(&folder.join("benchmark.json"))?["full_id"].as_str()?.to_owned();
    let median = &read(&file)?["median"];
    let bound = |which: &str| median["confidence_interval"][which].as_f64();
    let nanoseconds =
        [bound("lower_bound")?, median["point_estimate"].as_f64()?, bound("upper_bound")?];
    Some(Part { name, nanoseconds: nanoseconds.map(|value| (value * 10.0).round() / 10.0) })
}

fn read(path: &Path) -> Option<Value> {
    serde_json::from_str(&fs::read_to_string(path).ok()?).ok()
}

#[cfg(test)]
mod test {
    use std::fs::File;

    use serde_json::json;

    use super::*;

    fn write(folder: &Path, name: &str) {
        let new = folder.join(name).join("new");
        fs::create_dir_all(&new).unwrap();
        fs::write(new.join("benchmark.json"), json!({"full_id": name}).to_string()).unwrap();
        let bounds = json!({"lower_bound": 80.12, "upper_bound": 82.0});
        let median = json!({"point_estimate": 81.0, "confidence_interval": bounds});
        fs::write(new.join("estimates.json"), json!({"median": median}).to_string()).unwrap();
    }

    #[test]
    fn reads_what_criterion_writes() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b", "a", "old", "broken"] {
            write(folder.path(), name);
        }
        let old = File::options().write(true).open(folder.path().join("old/new/estimates.json"));
        old.unwrap().set_modified(SystemTime::now() - 2 * RECENT).unwrap();
        fs::write(folder.path().join("broken/new/estimates.json"), "{").unwrap();
        let part = |name: &str| Part { name: name.into(), nanoseconds: [80.1, 81.0, 82.0] };
        assert_eq!(parts(folder.path()), [part("a"), part("b")]);
        assert_eq!(parts(Path::new("/nowhere")), []);
    }
}
