use std::collections::BTreeMap;
use std::io::{Read, Write};

use proptest::prelude::*;

use super::*;

type Entries = BTreeMap<Vec<u8>, Node>;

#[derive(Debug, Clone, PartialEq)]
enum Node {
    File(bool, Vec<u8>),
    Link(Vec<u8>),
    Directory(Entries),
}

fn write(node: &Node, name: Option<&[u8]>, archive: &mut Encoder<Vec<u8>>) -> Result<(), NarError> {
    match node {
        Node::File(executable, contents) => {
            let mut file = archive.regular(name, *executable, contents.len() as u64)?;
            file.write_all(contents).map_err(NarError::Io)?;
            file.finish()
        }
        Node::Link(target) => archive.symlink(name, target),
        Node::Directory(entries) => {
            archive.start_directory(name)?;
            for (name, node) in entries {
                write(node, Some(name), archive)?;
            }
            archive.end_directory()
        }
    }
}

fn encode(node: &Node) -> Result<Vec<u8>, NarError> {
    let mut archive = Encoder::new(Vec::new())?;
    write(node, None, &mut archive)?;
    archive.finish()
}

#[derive(Default)]
struct Reader {
    open: Vec<(Option<Vec<u8>>, Entries)>,
    root: Option<Node>,
    skip_contents: bool,
}

impl Reader {
    fn place(&mut self, name: Option<Vec<u8>>, node: Node) {
        match (name, self.open.last_mut()) {
            (Some(name), Some((_, entries))) => drop(entries.insert(name, node)),
            _ => self.root = Some(node),
        }
    }
}

impl Visitor for Reader {
    fn start_directory(&mut self, name: Option<&[u8]>) -> io::Result<()> {
        self.open.push((name.map(<[u8]>::to_vec), BTreeMap::new()));
        Ok(())
    }

    fn end_directory(&mut self) -> io::Result<()> {
        let (name, entries) = self.open.pop().unwrap();
        self.place(name, Node::Directory(entries));
        Ok(())
    }

    fn regular(
        &mut self,
        name: Option<&[u8]>,
        executable: bool,
        size: u64,
        contents: &mut dyn Read,
    ) -> io::Result<()> {
        let mut bytes = Vec::new();
        if !self.skip_contents {
            contents.read_to_end(&mut bytes)?;
            assert_eq!(bytes.len() as u64, size);
        }
        self.place(name.map(<[u8]>::to_vec), Node::File(executable, bytes));
        Ok(())
    }

    fn symlink(&mut self, name: Option<&[u8]>, target: &[u8]) -> io::Result<()> {
        self.place(name.map(<[u8]>::to_vec), Node::Link(target.to_vec()));
        Ok(())
    }
}

fn read(archive: &[u8]) -> Result<Node, NarError> {
    let mut reader = Reader::default();
    decode(&mut &archive[..], &mut reader)?;
    Ok(reader.root.unwrap())
}

fn any_node() -> impl Strategy<Value = Node> {
    let name = prop::collection::vec(
        any::<u8>().prop_filter("not in names", |byte| ![0, b'/'].contains(byte)),
        1..12,
    )
    .prop_filter("leads elsewhere", |name| name != b"." && name != b"..");
    let leaf = prop_oneof![
        (any::<bool>(), prop::collection::vec(any::<u8>(), 0..40))
            .prop_map(|(executable, bytes)| Node::File(executable, bytes)),
        prop::collection::vec(1u8.., 1..20).prop_map(Node::Link),
    ];
    leaf.prop_recursive(4, 32, 5, move |inner| {
        prop::collection::btree_map(name.clone(), inner, 0..5).prop_map(Node::Directory)
    })
}

proptest! {
    #[test]
    fn nar_1_reading_what_was_written_is_identity(node in any_node()) {
        let archive = encode(&node).unwrap();
        prop_assert_eq!(read(&archive).unwrap(), node);
    }

    /// ALL-1, ALL-2, NAR-1: a changed archive is refused or says something else, and never makes us panic.
    #[test]
    fn nar_1_there_is_one_archive_for_each_tree(node in any_node(), position: prop::sample::Index, byte: u8) {
        let archive = encode(&node).unwrap();
        let mut changed = archive.clone();
        *position.get_mut(&mut changed) = byte;
        if let Ok(other) = read(&changed) {
            prop_assert_eq!(encode(&other).unwrap(), changed);
        }
        let mut longer = archive;
        longer.push(0);
        prop_assert!(read(&longer).is_err());
    }
}

fn nested(levels: usize) -> Node {
    let leaf = Node::File(false, Vec::new());
    (1..levels).fold(leaf, |inner, _| {
        Node::Directory(BTreeMap::from([(b"d".to_vec(), inner)]))
    })
}

/// NAR-1 and NAR-2: 64 levels and no more, in both directions.
#[test]
fn nar_1_depth() {
    let deepest = nested(MAX_DEPTH);
    assert_eq!(read(&encode(&deepest).unwrap()).unwrap(), deepest);
    assert!(matches!(
        encode(&nested(MAX_DEPTH + 1)),
        Err(NarError::TooDeep)
    ));

    let token = |bytes: &[u8]| {
        let mut token = (bytes.len() as u64).to_le_bytes().to_vec();
        token.extend(bytes);
        token.resize(token.len().next_multiple_of(8), 0);
        token
    };
    let tokens = |words: &[&str]| {
        words
            .iter()
            .flat_map(|word| token(word.as_bytes()))
            .collect::<Vec<_>>()
    };
    let mut archive = tokens(&["nix-archive-1"]);
    for _ in 0..100_000 {
        archive.extend(tokens(&[
            "(",
            "type",
            "directory",
            "entry",
            "(",
            "name",
            "d",
            "node",
        ]));
    }
    assert!(matches!(read(&archive), Err(NarError::TooDeep)));
}

/// NAR-1 and NAR-2: names and targets.
#[test]
fn nar_2_names_and_targets() {
    let named =
        |name: &[u8]| Node::Directory(BTreeMap::from([(name.to_vec(), Node::Link(b"x".to_vec()))]));
    assert!(encode(&named(&[b'n'; 255])).is_ok());
    for name in [&b""[..], b".", b"..", b"a/b", b"a\0b", &[b'n'; 256]] {
        let error = encode(&named(name)).unwrap_err();
        assert!(matches!(error, NarError::Name { .. }), "{error}");
    }
    assert!(encode(&Node::Link(vec![b't'; 4095])).is_ok());
    for target in [&b""[..], b"a\0b", &[b't'; 4096]] {
        assert!(matches!(
            encode(&Node::Link(target.to_vec())),
            Err(NarError::Target { .. })
        ));
    }
    // The same limits for what others wrote: the underlying encoder is laxer.
    let mut lax = nix_archive::nar::Encoder::new(Vec::new()).unwrap();
    lax.symlink(None, &[b't'; 4096]).unwrap();
    assert!(matches!(
        read(&lax.finish().unwrap()),
        Err(NarError::Target { size: 4096, .. })
    ));
    let mut lax = nix_archive::nar::Encoder::new(Vec::new()).unwrap();
    lax.start_directory(None).unwrap();
    lax.regular(Some(&[b'n'; 256]), false, b"").unwrap();
    lax.end_directory().unwrap();
    assert!(matches!(
        read(&lax.finish().unwrap()),
        Err(NarError::Name { .. })
    ));
}

#[test]
fn entries_come_in_order_and_files_have_their_size() {
    let mut archive = Encoder::new(Vec::new()).unwrap();
    archive.start_directory(None).unwrap();
    archive.regular_bytes(Some(b"b"), false, b"").unwrap();
    assert!(matches!(
        archive.regular_bytes(Some(b"a"), false, b""),
        Err(NarError::Order(_))
    ));

    let mut archive = Encoder::new(Vec::new()).unwrap();
    let mut file = archive.regular(None, false, 3).unwrap();
    file.write_all(b"ab").unwrap();
    assert!(matches!(file.finish(), Err(NarError::Order(_))));
    assert!(archive.finish().is_err());
    assert!(Encoder::new(Vec::new()).unwrap().finish().is_err());
}

#[test]
fn what_a_visitor_leaves_is_skipped() {
    let archive = encode(&Node::Directory(BTreeMap::from([
        (b"a".to_vec(), Node::File(false, vec![1; 1000])),
        (b"b".to_vec(), Node::Link(b"a".to_vec())),
    ])));
    let mut reader = Reader {
        skip_contents: true,
        ..Reader::default()
    };
    decode(&mut archive.unwrap().as_slice(), &mut reader).unwrap();
    assert!(matches!(reader.root, Some(Node::Directory(entries)) if entries.len() == 2));
}

/// ALL-2: nothing is read after the visitor failed, and its error comes out as it is.
#[test]
fn all_2_a_failing_visitor_ends_it() {
    struct Failing;
    impl Visitor for Failing {
        fn start_directory(&mut self, _: Option<&[u8]>) -> io::Result<()> {
            Err(io::Error::new(io::ErrorKind::StorageFull, "disk full"))
        }
        fn end_directory(&mut self) -> io::Result<()> {
            unreachable!("nothing comes after an error")
        }
        fn regular(
            &mut self,
            _: Option<&[u8]>,
            _: bool,
            _: u64,
            _: &mut dyn Read,
        ) -> io::Result<()> {
            unreachable!("nothing comes after an error")
        }
        fn symlink(&mut self, _: Option<&[u8]>, _: &[u8]) -> io::Result<()> {
            unreachable!("nothing comes after an error")
        }
    }
    let archive = encode(&nested(3)).unwrap();
    let error = decode(&mut archive.as_slice(), &mut Failing).unwrap_err();
    assert!(
        matches!(error, NarError::Visitor(error) if error.kind() == io::ErrorKind::StorageFull)
    );
}

/// ALL-1: a declared size allocates nothing.
#[test]
fn all_1_huge_sizes_are_only_numbers() {
    let mut archive = encode(&Node::File(false, b"12345678".to_vec())).unwrap();
    let size = archive.len() - 8 - 16 - 8;
    archive[size..size + 8].copy_from_slice(&u64::MAX.to_le_bytes());
    let mut reader = Reader {
        skip_contents: true,
        ..Reader::default()
    };
    assert!(decode(&mut archive.as_slice(), &mut reader).is_err());
}
