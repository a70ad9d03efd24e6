//! The records of an extended header: `LENGTH KEY=VALUE\n`, where the length counts the whole record.

/// What an extended header says about the file after it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Extended {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link_path: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u64>,
    pub(super) gid: Option<u64>,
}

/// Why the records are refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) found: Vec<u8>,
    pub(super) expected: &'static str,
}

/// Records that change nothing about what is unpacked.
const WITHOUT_MEANING: [&[u8]; 6] = [b"atime", b"comment", b"ctime", b"gname", b"mtime", b"uname"];

impl Extended {
    /// Reads all records. Keys that may mean something unknown are refused: attributes, capabilities, sparse maps.
    pub(super) fn parse(mut records: &[u8]) -> Result<Self, Problem> {
        let mut extended = Self::default();
        let mut seen = Vec::new();
        while !records.is_empty() {
            let Some((key, value, rest)) = split_record(records) else {
                return Err(Problem {
                    found: records.to_vec(),
                    expected: "records of the form \"LENGTH KEY=VALUE\"",
                });
            };
            if seen.contains(&key) {
                return Err(Problem {
                    found: key.to_vec(),
                    expected: "each key once",
                });
            }
            seen.push(key);
            extended.take(key, value)?;
            records = rest;
        }
        Ok(extended)
    }

    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), Problem> {
        match key {
            b"path" => self.path = Some(name(value)?),
            b"linkpath" => self.link_path = Some(name(value)?),
            b"size" => self.size = Some(number(value)?),
            b"uid" => self.uid = Some(number(value)?),
            b"gid" => self.gid = Some(number(value)?),
            _ if WITHOUT_MEANING.contains(&key) => {}
            _ => {
                return Err(Problem {
                    found: key.to_vec(),
                    expected: "a path, a size, an owner or a time",
                });
            }
        }
        Ok(())
    }
}

/// Key and value of the first record, and what follows it.
fn split_record(records: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let blank = records.iter().take(9).position(|byte| *byte == b' ')?;
    let length = usize::try_from(number(&records[..blank]).ok()?).ok()?;
    let record = records.get(blank + 1..length)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|byte| *byte == b'=')?;
    Some((&record[..equals], &record[equals + 1..], &records[length..]))
}

fn name(value: &[u8]) -> Result<Vec<u8>, Problem> {
    if value.is_empty() || value.contains(&0) {
        return Err(Problem {
            found: value.to_vec(),
            expected: "a name without NUL",
        });
    }
    Ok(value.to_vec())
}

fn number(value: &[u8]) -> Result<u64, Problem> {
    let digits = !value.is_empty() && value.len() <= 19 && value.iter().all(u8::is_ascii_digit);
    let value_of = |digits: &[u8]| {
        digits
            .iter()
            .fold(0, |value, digit| value * 10 + u64::from(digit - b'0'))
    };
    digits.then(|| value_of(value)).ok_or_else(|| Problem {
        found: value.to_vec(),
        expected: "decimal digits",
    })
}
