//! UTF-16, which some shells write to a file unasked: converts it to bytes, with a question mark
//! for everything that is not ASCII, because items contain only ASCII.

/// The first half of a character that two reads split, and which half comes first.
pub(super) struct Wide {
    little_endian: bool,
    half: Option<u8>,
}

impl Wide {
    /// The reader of an input that begins with these two bytes, if they are a byte order mark.
    pub(super) fn of(first: u8, second: u8) -> Option<Self> {
        let little_endian = match (first, second) {
            (0xFF, 0xFE) => true,
            (0xFE, 0xFF) => false,
            _ => return None,
        };
        Some(Self { little_endian, half: None })
    }

    /// Converts what was read, in place; returns how many bytes are left of it.
    pub(super) fn narrow(&mut self, bytes: &mut [u8]) -> usize {
        let mut written = 0;
        for at in 0..bytes.len() {
            let second = bytes[at];
            let Some(first) = self.half.take() else {
                self.half = Some(second);
                continue;
            };
            let (low, high) = if self.little_endian { (first, second) } else { (second, first) };
            bytes[written] = if high == 0 && low.is_ascii() { low } else { b'?' };
            written += 1;
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_come_back_however_they_were_cut() {
        let text = "otr1p:AAAA ü 𝄞\r\n";
        for little_endian in [true, false] {
            let unit = |unit: u16| {
                if little_endian { unit.to_le_bytes() } else { unit.to_be_bytes() }
            };
            let bytes: Vec<u8> = text.encode_utf16().flat_map(unit).collect();
            for step in 1..bytes.len() {
                let mut wide = Wide { little_endian, half: None };
                let narrowed: Vec<u8> = bytes
                    .chunks(step)
                    .flat_map(|chunk| {
                        let mut chunk = chunk.to_vec();
                        let count = wide.narrow(&mut chunk);
                        chunk.truncate(count);
                        chunk
                    })
                    .collect();
                assert_eq!(narrowed, b"otr1p:AAAA ? ??\r\n");
            }
        }
    }
}
