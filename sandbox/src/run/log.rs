//! Cuts what a program writes into lines, bounds them (LIM-3) and masks secrets in them (SEC-2).

/// A log on its way: lines out, with marks where something is missing.
pub(super) struct Log<'a> {
    sink: &'a mut dyn FnMut(&[u8]),
    /// What must not be shown, longest first.
    secrets: Vec<Vec<u8>>,
    line: Vec<u8>,
    /// How many bytes of the current line were dropped.
    dropped: usize,
    longest: usize,
    left: u64,
    limit: u64,
    /// Whether the mark of the log's end was written.
    ended: bool,
    pub(super) truncated: bool,
}

impl<'a> Log<'a> {
    pub(super) fn new(sink: &'a mut dyn FnMut(&[u8]), limit: u64, longest: usize) -> Self {
        Self {
            sink,
            secrets: Vec::new(),
            line: Vec::new(),
            dropped: 0,
            longest,
            left: limit,
            limit,
            ended: false,
            truncated: false,
        }
    }

    /// Masks these values from now on, line by line. What is shorter than four bytes would mask half the log.
    pub(super) fn masking<'s>(mut self, secrets: impl Iterator<Item = &'s [u8]>) -> Self {
        let lines = secrets.flat_map(|secret| secret.split(|byte| *byte == b'\n'));
        self.secrets = lines
            .map(<[u8]>::trim_ascii)
            .filter(|line| line.len() >= 4)
            .map(<[u8]>::to_vec)
            .collect();
        self.secrets
            .sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        self
    }

    /// Takes what was read.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, complete) = match piece.split_last() {
                Some((b'\n', text)) => (text, true),
                _ => (piece, false),
            };
            let room = self.longest.saturating_sub(self.line.len()).min(text.len());
            self.line.extend_from_slice(&text[..room]);
            self.dropped += text.len() - room;
            if complete {
                self.flush();
            }
        }
    }

    /// Passes on a last line that has no line feed.
    pub(super) fn finish(&mut self) {
        if !self.line.is_empty() || self.dropped > 0 {
            self.flush();
        }
    }

    fn flush(&mut self) {
        for secret in &self.secrets {
            self.line = masked(&self.line, secret);
        }
        if self.dropped > 0 {
            self.truncated = true;
            let mark = format!(" [line cut: {} more bytes]", self.dropped);
            self.line.extend_from_slice(mark.as_bytes());
            self.dropped = 0;
        }
        let size = self.line.len() as u64 + 1;
        if self.ended || size > self.left {
            self.truncated = true;
            if !self.ended {
                self.ended = true;
                let mark = format!("[log cut after {} bytes]", self.limit - self.left);
                (self.sink)(mark.as_bytes());
            }
        } else {
            self.left -= size;
            (self.sink)(&self.line);
        }
        self.line.clear();
    }
}

fn masked(line: &[u8], secret: &[u8]) -> Vec<u8> {
    let mut result = Vec::with_capacity(line.len());
    let mut rest = line;
    while let Some(place) = rest.windows(secret.len()).position(|part| part == secret) {
        result.extend_from_slice(&rest[..place]);
        result.extend_from_slice(b"***");
        rest = &rest[place + secret.len()..];
    }
    result.extend_from_slice(rest);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(limit: u64, longest: usize, pieces: &[&str], expected: &[&str], truncated: bool) {
        let mut lines = Vec::new();
        let mut sink = |line: &[u8]| lines.push(String::from_utf8_lossy(line).into_owned());
        let mut log = Log::new(&mut sink, limit, longest);
        for piece in pieces {
            log.push(piece.as_bytes());
        }
        log.finish();
        assert_eq!(log.truncated, truncated);
        assert_eq!(lines, expected);
    }

    #[test]
    fn lines_are_whole_however_they_are_read() {
        check(
            100,
            100,
            &["one\ntw", "o\n", "\nlast"],
            &["one", "two", "", "last"],
            false,
        );
        check(100, 100, &[], &[], false);
    }

    #[test]
    fn sec_2_secrets_are_masked() {
        let mut lines = Vec::new();
        let mut sink = |line: &[u8]| lines.push(String::from_utf8_lossy(line).into_owned());
        let secrets: [&[u8]; 3] = [b"hunter2\n", b"hunter2-long", b"a"];
        let mut log = Log::new(&mut sink, 1000, 1000).masking(secrets.into_iter());
        log.push(b"a hunter2 hunt");
        log.push(b"er2hunter2-long\nhunter\n");
        log.finish();
        assert_eq!(lines, ["a *** ******", "hunter"]);
    }

    #[test]
    fn lim_3_long_lines_are_cut_with_a_mark() {
        check(
            100,
            4,
            &["abcd\n", "abc", "defgh\nx\n"],
            &["abcd", "abcd [line cut: 4 more bytes]", "x"],
            true,
        );
    }

    #[test]
    fn lim_3_a_long_log_is_kept_with_a_mark() {
        check(
            8,
            100,
            &["abc\nabc\n", "abc\n", "x\n"],
            &["abc", "abc", "[log cut after 8 bytes]"],
            true,
        );
    }
}
