//! What Nix wrote is read, and what is written is as Nix would write it.

use super::*;

#[test]
fn a_new_store_has_the_schema_of_nix() {
    let (_folder, store) = empty();
    let reference = tempfile::tempdir().expect("a temporary folder");
    let reference_path = reference.path().join("db");
    let statements = GOLDEN_SCHEMA.replace("CREATE TABLE sqlite_sequence(name,seq);", "");
    rusqlite::Connection::open(&reference_path)
        .and_then(|connection| connection.execute_batch(&statements))
        .expect("the dump of Nix");
    assert_eq!(
        schema_of(&store.layout().database()),
        schema_of(&reference_path)
    );
    assert_eq!(
        fs::read_to_string(store.layout().schema()).expect("read"),
        "10"
    );
    let connection = rusqlite::Connection::open(store.layout().database()).expect("open");
    let mode: String = connection
        .pragma_query_value(None, "journal_mode", |row| row.get(0))
        .expect("pragma");
    assert_eq!(mode, "wal");
    assert!(verify(&store).is_sound());
}

#[test]
fn store_1_a_store_of_nix_is_read_and_verified() {
    let (_folder, store) = golden();
    let infos = golden_infos();
    assert_eq!(store.all_paths().expect("paths").len(), infos.len());
    for (path, nix) in &infos {
        let info = store.query(path).expect("query").expect("valid");
        assert_like_nix(&info, nix);
        assert_eq!(
            Some(info.registration_time),
            nix["registrationTime"].as_u64()
        );
    }
    let report = verify(&store);
    assert_eq!(report.problems, []);
    assert_eq!(report.unregistered, [""; 0]);
    assert_eq!(report.paths, infos.len());
}

#[test]
fn realisations_of_nix_are_found() {
    let (_folder, store) = golden();
    let find = |id: &str| {
        store
            .realisation(&id.parse().expect("an id"))
            .expect("query")
    };
    assert_eq!(
        find("sha256:1b65c7df3cde3a9e4f50f7dcc7978816f9567951cce607db00a6c1d6221676f2!out"),
        Some(path("/nix/store/8hr6cyvvhcj9xhmclxmd8vdwhv2bl1mj-ca-self"))
    );
    assert_eq!(
        find("sha256:4d2e61fc943df65931ec7c8fa35464cee7f9f9086847b37925f96dc6e842044e!dev"),
        Some(path(
            "/nix/store/8yq3ps3cmd7pxjihxc3r0fs7a3km8gk4-libfoo-1.0-dev"
        ))
    );
    assert_eq!(
        find("sha256:0000000000000000000000000000000000000000000000000000000000000000!out"),
        None
    );
}

#[test]
fn closures_follow_references_and_nothing_else() {
    let (_folder, store) = golden();
    let app = path("/nix/store/5qnkkjp070s47p2d50sdcl6qpdj53m3d-app-1.0");
    let closure = store.closure(std::slice::from_ref(&app)).expect("closure");
    let lib = path("/nix/store/l3dxs2l5s0wf618rkcyxqncw6j8nw1m3-libfoo-1.0");
    assert_eq!(closure, [app, lib].into());
    let absent = path("/nix/store/00000000000000000000000000000000-absent");
    assert!(matches!(
        store.closure(&[absent]),
        Err(StoreError::NotValid { .. })
    ));
    assert_eq!(store.closure(&[]).expect("closure"), BTreeSet::new());
}

#[test]
fn a_store_of_nix_can_be_written() {
    let (_folder, store) = golden();
    let info = add_file(&store, "more", "more\n");
    assert_eq!(store.query(&info.path).expect("query"), Some(info));
    assert_eq!(verify(&store).problems, []);
}

/// The derivations that Nix wrote, without those that it resolved: their inputs are not in a new store.
fn golden_graph() -> DerivationGraph {
    let files: [(&str, &[u8]); 7] = [
        (
            "libfoo-1.0",
            include_bytes!(
                "../../../tests/vectors/drvs/4f6nmw1afmwvasgc06v5di9m9w420fxr-libfoo-1.0.drv"
            ),
        ),
        (
            "app-1.0",
            include_bytes!(
                "../../../tests/vectors/drvs/6gkmzpjjhzfadp277y0h8andy8qf28g2-app-1.0.drv"
            ),
        ),
        (
            "fixed-1.0",
            include_bytes!(
                "../../../tests/vectors/drvs/b8pfwy5w9fkar2rv24kl81qahj0zw1p6-fixed-1.0.drv"
            ),
        ),
        (
            "ca-base",
            include_bytes!(
                "../../../tests/vectors/drvs/xqx39xy1jdd2f4323lwy1bbbpyrlflwy-ca-base.drv"
            ),
        ),
        (
            "ca-base",
            include_bytes!(
                "../../../tests/vectors/drvs/6l435pgfnl5xldhl60vnh9zq56q3x8k9-ca-base.drv"
            ),
        ),
        (
            "ca-self",
            include_bytes!(
                "../../../tests/vectors/drvs/i25zh56wnxmscph8yj9gqn40h1mnaldl-ca-self.drv"
            ),
        ),
        (
            "on-top",
            include_bytes!(
                "../../../tests/vectors/drvs/m2mric1sifk0i9i29hcr2gydbgv0ap86-on-top.drv"
            ),
        ),
    ];
    let mut graph = DerivationGraph::new();
    for (name, bytes) in files {
        let derivation = Derivation::parse(name, bytes).expect("a derivation");
        graph.insert(derivation).expect("inputs are in");
    }
    graph
}

#[test]
fn store_2_texts_and_derivations_have_the_rows_of_nix() {
    let (_folder, store) = empty();
    let graph = golden_graph();
    let missing = store.add_derivations(&graph);
    assert!(
        matches!(missing, Err(StoreError::MissingReference { .. })),
        "the note is not there yet: {missing:?}"
    );
    let note = store.add_text(&name("note.txt"), b"remember\n", &BTreeSet::new());
    assert_eq!(
        note.expect("add"),
        path("/nix/store/6klxm2n35cr0lyy6916cwykq67qb90wp-note.txt")
    );
    store.add_derivations(&graph).expect("add");
    store.add_derivations(&graph).expect("nothing to do");
    let paths = store.all_paths().expect("paths");
    assert_eq!(paths.len(), graph.len() + 1);
    for (path, nix) in golden_infos()
        .iter()
        .filter(|(path, _)| paths.contains(path))
    {
        assert_like_nix(&store.query(path).expect("query").expect("valid"), nix);
    }
    for derivation in graph.iter() {
        assert_eq!(
            store.read_derivation(derivation.as_path()).expect("read"),
            *derivation
        );
    }
    let connection = rusqlite::Connection::open(store.layout().database()).expect("open");
    let mut statement = connection
        .prepare("SELECT d.id, d.path FROM DerivationOutputs d JOIN ValidPaths v ON v.id = d.drv")
        .expect("prepare");
    let rows = statement
        .query_map([], |row| {
            Ok(format!(
                "'{}','{}'",
                row.get::<_, String>(0)?,
                row.get::<_, String>(1)?
            ))
        })
        .expect("query");
    let rows: Vec<String> = rows.map(|row| row.expect("texts")).collect();
    assert_eq!(rows.len(), 4);
    for row in rows {
        assert!(GOLDEN_ROWS.contains(&row), "{row}");
    }
    assert_eq!(verify(&store).problems, []);
}
