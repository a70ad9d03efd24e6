//! Writes XML as `toXML` prints it: two blanks for each level, one element on each line.

/// A document that is being written.
#[derive(Debug)]
pub(crate) struct XmlWriter {
    out: Vec<u8>,
    open: Vec<&'static str>,
}

/// Names and values; written in the order given.
pub(crate) type XmlAttributes<'a> = [(&'static str, &'a [u8])];

impl XmlWriter {
    /// Starts with the declaration.
    pub(crate) fn new() -> Self {
        Self {
            out: b"<?xml version='1.0' encoding='utf-8'?>\n".to_vec(),
            open: Vec::new(),
        }
    }

    /// How long the document is, with what the next element adds by its place.
    pub(crate) fn len(&self) -> usize {
        self.out.len() + 4 * self.open.len()
    }

    /// Opens an element; it stays open until [`Self::close`].
    pub(crate) fn open(&mut self, name: &'static str, attributes: &XmlAttributes<'_>) {
        self.tag(name, attributes, ">\n");
        self.open.push(name);
    }

    /// Closes the element that was opened last.
    pub(crate) fn close(&mut self) {
        if let Some(name) = self.open.pop() {
            self.indent();
            self.out
                .extend_from_slice(format!("</{name}>\n").as_bytes());
        }
    }

    /// Writes an element that holds nothing.
    pub(crate) fn empty(&mut self, name: &'static str, attributes: &XmlAttributes<'_>) {
        self.tag(name, attributes, " />\n");
    }

    /// The document; whatever is open is closed.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        while !self.open.is_empty() {
            self.close();
        }
        self.out
    }

    fn tag(&mut self, name: &str, attributes: &XmlAttributes<'_>, end: &str) {
        self.indent();
        self.out.extend_from_slice(format!("<{name}").as_bytes());
        for (name, value) in attributes {
            self.out.extend_from_slice(format!(" {name}=\"").as_bytes());
            self.escaped(value);
            self.out.push(b'"');
        }
        self.out.extend_from_slice(end.as_bytes());
    }

    fn indent(&mut self) {
        self.out.resize(self.out.len() + 2 * self.open.len(), b' ');
    }

    /// Line breaks are escaped too: a reader would turn them into blanks.
    fn escaped(&mut self, value: &[u8]) {
        for byte in value {
            match byte {
                b'"' => self.out.extend_from_slice(b"&quot;"),
                b'<' => self.out.extend_from_slice(b"&lt;"),
                b'>' => self.out.extend_from_slice(b"&gt;"),
                b'&' => self.out.extend_from_slice(b"&amp;"),
                b'\n' => self.out.extend_from_slice(b"&#xA;"),
                byte => self.out.push(*byte),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_indented_and_values_escaped() {
        let mut writer = XmlWriter::new();
        writer.open("expr", &[]);
        writer.open("attr", &[("name", b"a")]);
        writer.empty("string", &[("value", b"<\"&'\n>")]);
        writer.close();
        writer.empty("null", &[]);
        let expected = "<?xml version='1.0' encoding='utf-8'?>\n<expr>\n  <attr name=\"a\">\n    \
            <string value=\"&lt;&quot;&amp;'&#xA;&gt;\" />\n  </attr>\n  <null />\n</expr>\n";
        assert_eq!(String::from_utf8(writer.finish()).unwrap(), expected);
    }
}
