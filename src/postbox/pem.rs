//! Repairs what editors and other systems do to PEM files.

/// The byte order mark of UTF-8, which some editors put before a text.
const MARK: &[u8] = b"\xEF\xBB\xBF";

/// The file without the mark, since a line that begins with it begins no certificate.
pub(crate) fn without_mark(file: &[u8]) -> &[u8] {
    file.strip_prefix(MARK).unwrap_or(file)
}
