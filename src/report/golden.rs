//! Texts compared with files under `tests/golden/`.

use std::fs;
use std::path::PathBuf;

/// Compares a text with `tests/golden/NAME`.
///
/// To accept new texts, run the tests with `METAQNN_ACCEPT=1` and read what `git diff` shows.
#[track_caller]
pub(super) fn assert_golden(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var("METAQNN_ACCEPT").is_ok_and(|value| value == "1") {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
    }
    let accepted = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, accepted, "`{name}` differs (METAQNN_ACCEPT=1 accepts the text on the left)");
}
