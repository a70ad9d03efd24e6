//! Made-up archives, where one rule or chance decides.

use super::super::archive::{BACKPORTS, EXPERIMENTAL, MadeSuite, MemoryArchive, lock, request};
use super::super::choosing::{RULES, Rule};
use super::super::recommended::RECOMMENDED;
use super::super::several::{Case, SEVERAL};
use super::*;
use crate::mirrors::apt_sources::DEBIAN;

/// What we choose of made-up suites.
async fn ours(
    suites: &[Made<'static>],
    packages: &[String],
    recommends: bool,
) -> Option<BTreeSet<String>> {
    let mut archive = MemoryArchive::default();
    let mut wanted = request(&[]);
    wanted.packages = parsed(&packages.iter().map(String::as_str).collect::<Vec<_>>());
    wanted.recommends = recommends;
    wanted.sources.clear();
    for (suite, lines, fields) in suites {
        let mut made = MadeSuite::new(DEBIAN, suite, lines);
        made.fields = fields;
        made.serve(&mut archive);
        wanted.sources.push(SuiteSource {
            input: DEBIAN.to_owned(),
            suite: (*suite).to_owned(),
            components: vec!["main".to_owned()],
            pinned: None,
        });
    }
    let lock = lock(&archive, &wanted).await.ok()?;
    Some(names(lock.packages))
}

fn texts(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}

async fn agrees_with(rules: &[Rule], recommends: bool) {
    let apt = Apt::new("");
    for (rule, lines, requests, _) in rules {
        let (suites, requests) = ([("test", *lines, "")], texts(requests));
        apt.serve(&suites);
        let theirs = apt.install(&requests, recommends);
        assert_eq!(ours(&suites, &requests, recommends).await, theirs, "{rule}");
    }
}

#[tokio::test]
async fn apt_agrees_with_every_rule() {
    agrees_with(RULES, false).await;
}

#[tokio::test]
async fn apt_agrees_with_every_rule_about_recommendations() {
    agrees_with(RECOMMENDED, true).await;
    agrees_with(RULES, true).await;
}

#[tokio::test]
async fn apt_agrees_about_several_suites() {
    let apt = Apt::new("");
    for Case {
        rule,
        suites,
        requests,
        ..
    } in SEVERAL
    {
        let requests = texts(requests);
        apt.serve(suites);
        assert_eq!(
            ours(suites, &requests, false).await,
            apt.install(&requests, false),
            "{rule}"
        );
    }
}

/// A small archive in which names, versions, provisions and conflicts meet by chance.
fn random_archive(random: &mut impl rand::Rng, suffix: &str) -> String {
    let mut pick = |most: usize| random.gen_range(0..most);
    let rarity = pick(6) + 2;
    let mut lines = String::new();
    for place in 0..14 {
        lines += &format!("p{place} {}{suffix}", pick(3) + 1);
        let mut relation = |plain: bool| match (pick(6), plain) {
            (0, _) => format!("v{}", pick(3)),
            (1, false) => format!("p{} (>= {})", pick(14), pick(4)),
            (2, false) => format!("p{} (<< {})", pick(14), pick(4)),
            _ => format!("p{}", pick(14)),
        };
        let groups: Vec<_> = (0..2).map(|_| [relation(false), relation(false)]).collect();
        let (conflict, recommended) = (relation(false), relation(true));
        match pick(4) {
            0 => {}
            1 => lines += &format!("; Depends: {}", groups[0][0]),
            2 => {
                lines += &format!(
                    "; Depends: {}, {} | {}",
                    groups[0][0], groups[1][0], groups[1][1]
                )
            }
            _ => lines += &format!("; Depends: {} | {}", groups[0][0], groups[0][1]),
        }
        if pick(rarity) == 0 {
            lines += &format!("; {}: {conflict}", ["Conflicts", "Breaks"][pick(2)]);
        }
        if pick(3) == 0 {
            lines += &format!("; Provides: v{}{}", pick(3), ["", " (= 2)"][pick(2)]);
        }
        if pick(4) == 0 {
            lines += &format!("; Recommends: {recommended}");
        }
        lines += &format!(
            "; Priority: {}\n",
            ["optional", "optional", "important", "extra"][pick(4)]
        );
    }
    lines
}

/// How many archives are made up.
fn rounds() -> u64 {
    let asked = std::env::var("COGNIX_APT_ROUNDS").ok();
    asked.and_then(|text| text.parse().ok()).unwrap_or(40)
}

/// Where apt finds a solution that we do not find, or another one.
#[expect(clippy::print_stdout, reason = "the counts are what the test shows")]
async fn agrees_on_random(
    recommends: bool,
    suites: impl Fn(&mut rand::rngs::StdRng) -> Vec<Made<'static>>,
) {
    let apt = Apt::new("");
    let mut differ = Vec::new();
    let mut solved = 0;
    for seed in 0..rounds() {
        let mut random = <rand::rngs::StdRng as rand::SeedableRng>::seed_from_u64(seed);
        let suites = suites(&mut random);
        apt.serve(&suites);
        let second = if suites.len() > 1 { "p1/new" } else { "p1" };
        for requests in [&["p0"][..], &[second, "p2"], &["p3", "p4", "p5"]] {
            let requests = texts(requests);
            let theirs = apt.install(&requests, recommends);
            let ours = ours(&suites, &requests, recommends).await;
            solved += usize::from(theirs.is_some());
            if theirs != ours {
                differ.push(format!(
                    "seed {seed} {requests:?}: apt {theirs:?}, ours {ours:?}"
                ));
            }
        }
    }
    let asked = 3 * rounds();
    println!(
        "{asked} random questions, recommendations {recommends}: apt solves {solved}, {} differ",
        differ.len()
    );
    assert!(
        differ.is_empty(),
        "{} of {asked} (apt solves {solved})\n{}",
        differ.len(),
        differ.join("\n")
    );
}

/// Tests live as short as their process, so their texts may live as long.
fn kept(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

#[tokio::test]
async fn apt_agrees_on_random_archives() {
    agrees_on_random(false, |random| {
        vec![("test", kept(random_archive(random, "")), "")]
    })
    .await;
}

#[tokio::test]
async fn apt_agrees_on_random_archives_with_recommendations() {
    agrees_on_random(true, |random| {
        vec![("test", kept(random_archive(random, "")), "")]
    })
    .await;
}

#[tokio::test]
async fn apt_agrees_on_random_archives_of_two_suites() {
    agrees_on_random(false, |random| {
        let fields = ["", BACKPORTS, EXPERIMENTAL][rand::Rng::gen_range(random, 0..3)];
        vec![
            ("test", kept(random_archive(random, "")), ""),
            ("new", kept(random_archive(random, ".5")), fields),
        ]
    })
    .await;
}
