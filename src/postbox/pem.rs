//! What editors and other systems do to PEM files.

/// UTF-8's byte order mark, which some editors put before a text.
const MARK: &[u8] = b"\xEF\xBB\xBF";

/// A file without the mark: a line that begins with it begins no certificate.
pub(crate) fn without_mark(file: &[u8]) -> &[u8] {
    file.strip_prefix(MARK).unwrap_or(file)
}
