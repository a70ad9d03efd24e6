//! Scripts in the manner of real ones, and what they would call.

use super::*;

/// A system with a few files.
struct Files(&'static [(&'static str, Found)]);

impl World for Files {
    fn find(&self, path: &str, _follow: bool) -> Option<Found> {
        self.0
            .iter()
            .find(|(known, _)| *known == path)
            .map(|(_, found)| *found)
    }
}

fn follow(text: &str) -> Result<Vec<Vec<Text>>, ParseError> {
    let files = Files(&[
        ("/usr/bin/tool", Found::File { executable: true }),
        ("/usr/share/data", Found::Directory),
        ("/etc/config", Found::File { executable: false }),
    ]);
    let script = Script {
        text,
        package: "package",
        arguments: &["configure", ""],
    };
    script.calls("ua", &files)
}

/// The calls one per line, with `?` for a word that is not known.
fn check(script: &str, expected: &[&str]) {
    let calls = follow(script).unwrap_or_else(|error| panic!("{script}: {error}"));
    let word = |word: &Text| word.clone().unwrap_or_else(|| "?".to_owned());
    let lines: Vec<String> = calls
        .iter()
        .map(|call| call.iter().map(word).collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(lines, expected, "{script}");
}

#[test]
fn words_are_split_and_joined() {
    check("ua a 'b c' \"d e\"f g\\ h", &["a b c d ef g h"]);
    check(
        "ua --install /a \\\n   a \\\n\t/b 5 \\\n  #--slave x\nua second",
        &["--install /a a /b 5", "second"],
    );
    check("ua a # b\n#ua c\nua d#e", &["a", "d#e"]);
    check(
        "x=1 y='2 3'; ua $x $y \"$y\" ${x}y '$x' \\$x",
        &["1 2 3 2 3 1y $x $x"],
    );
    check("x='a b'; ua pre${x}post", &["prea bpost"]);
    check("ua \"\" end; ua '' ; ua $unset end", &[" end", "", "end"]);
    check(
        "MAN=/m\nua $MAN/a.1 x>/dev/null 2>&1 <in || true",
        &["/m/a.1 x"],
    );
}

#[test]
fn parameters_have_operations() {
    check("ua ${a:-b} ${1:-x} ${2:-x} ${2-x}", &["b configure x"]);
    check(
        "a=lib.so.3; ua ${a#lib} ${a%.*} ${a%%.*} ${a##*.} ${#a}",
        &[".so.3 lib.so lib 3 8"],
    );
    check(
        "ua ${x:=new} $x ${x:+set} ${y:+set} $# $@",
        &["new new set 2 configure"],
    );
    check("ua ${x/a/b} $((1+1)) $$ end", &["? ? ? end"]);
}

#[test]
fn conditions_are_answered() {
    check(
        "if [ \"$1\" = configure ] || [ \"$1\" = x ]; then ua yes; else ua no; fi",
        &["yes"],
    );
    check(
        "if [ \"$1\" != configure ] ; then ua a; elif test -n \"$2\"; then ua b; else ua c; fi",
        &["c"],
    );
    check(
        "[ -x /usr/bin/tool ] && ua tool; [ -d /usr/share/data -a ! -e /none ] && ua data",
        &["tool", "data"],
    );
    check(
        "if [ -f /etc/config ]; then ua file; fi; [ -x /etc/config ] || ua plain",
        &["file", "plain"],
    );
    check(
        "[ 5 -gt 3 ] && ua more; if ! [ -L /etc/config ]; then ua no-link; fi",
        &["more", "no-link"],
    );
    check(
        "if which tool >/dev/null; then ua have; fi; which other || ua lack",
        &["have", "lack"],
    );
    check(
        "if [ -x \"`command -v tool`\" ]; then ua have; fi",
        &["have"],
    );
    check(
        "if dpkg --compare-versions \"$2\" lt-nl 5; then ua upgrade; fi; dpkg --compare-versions \"$2\" lt 5 && ua new",
        &["new"],
    );
}

#[test]
fn unknown_answers_take_both_ways() {
    check(
        "if grep -q x /etc/config; then ua a; else ua b; fi",
        &["a", "b"],
    );
    check(
        "v=1; if grep x y; then v=2; w=3; else w=3; fi; ua $v $w",
        &["? 3"],
    );
    check("if grep x y; then exit 0; fi; ua after", &["after"]);
    check("if grep x y; then exit 0; else exit 1; fi; ua after", &[]);
    check("ua $(cat file) end", &["? end"]);
    check("[[ -e x && -d y ]] && ua perhaps", &["perhaps"]);
    check("while read line; do ua $line; done < file", &["?"]);
}

#[test]
fn scripts_end_where_they_end() {
    check(
        "case \"$1\" in (configure) ua a; exit 0 ;; *) ua b ;; esac; ua c",
        &["a"],
    );
    check("set -e; ua a; exit; ua b", &["a"]);
    check("f() { return 1; ua never; }; f || ua after", &["after"]);
}

#[test]
fn cases_fit_patterns() {
    check(
        "case configure in conf*|x) ua a;; configure) ua b;; esac",
        &["a"],
    );
    check(
        "case \"$1\" in\n abort-upgrade|abort-remove)\n ;;\n [a-d]*e) ua set;; esac",
        &["set"],
    );
    check(
        "case $1 in \"conf*\") ua quoted;; c?nfigure) ua one;; esac",
        &["one"],
    );
    check("case $(unknown) in a) ua a;; b) ua b;; esac", &["a", "b"]);
    check(
        "case $(unknown) in a) ua a;; *) ua rest;; esac",
        &["a", "rest"],
    );
}

#[test]
fn loops_and_functions_run() {
    check(
        "for i in php phar; do ua /usr/bin/${i} ${i}8.2; done",
        &["/usr/bin/php php8.2", "/usr/bin/phar phar8.2"],
    );
    check("f () {\n ua $1 $2\n}\nf a b\nf c", &["a b", "c"]);
    check("for i\ndo ua $i; done", &["configure", ""]);
    check(
        "i=a; while [ \"$i\" != aaa ]; do ua $i; i=${i}a; done",
        &["a", "aa"],
    );
    check("while true; do x=1; done; ua end", &["end"]);
    check("f() { f; }; f; ua end", &["end"]);
    check("x=a; while true; do x=$x$x; done; ua $x", &["?"]);
    check("for i in /etc/*; do ua $i; done", &["?"]);
    check(
        "set -- x y; shift; ua \"$@\"; ( ua in; v=1 ); ua \"$v\"",
        &["y", "in", ""],
    );
    check("{ ua a; } >/dev/null; ua b | cat", &["a", "b"]);
}

#[test]
fn substitutions_give_output() {
    check(
        "ua lzma $(for u in cat more; do echo --slave /bin/lz$u; done)",
        &["lzma --slave /bin/lzcat --slave /bin/lzmore"],
    );
    check(
        "s() { d=$1; echo \"$d/$2\"; }; ua `s /a b` \"$(printf '%s' x)\" $(echo -n)",
        &["/a/b x"],
    );
    check(
        "ua $(uname -s) $(dpkg --print-architecture)",
        &["Linux amd64"],
    );
}

#[test]
fn here_documents_are_passed_over() {
    check("cat <<EOF\nua no $(\nif\nEOF\nua yes", &["yes"]);
    check("cat <<-'END' > file\n\tua no\n\tEND\nua yes\n", &["yes"]);
    check(
        "if true; then cat <<EOF; ua a; fi\nua no\nEOF\nua b",
        &["a", "b"],
    );
}

#[test]
fn all_1_broken_scripts_are_errors() {
    let deep = "( ".repeat(5000);
    let deep_words = "$(".repeat(5000);
    for script in [
        "if true; then",
        "ua 'open",
        "ua \"open",
        "ua $(",
        "case x in",
        ")",
        "}",
        "ua `",
        "ua ${x",
        "for",
        "((",
        &deep,
        &deep_words,
    ] {
        assert!(follow(script).is_err(), "{script:.20} was read");
    }
    let error = follow("ua a\n\nif x\nfi\n").expect_err("no then");
    assert_eq!(error.to_string(), "line 4: expected then");
}

proptest::proptest! {
    #[test]
    fn all_1_any_text_is_an_answer_or_an_error(text in "[a$'\"`(){}<>|&;#*\\[\\]!=\\\\ \n]{0,40}|(if|then|fi|case|in|esac|do|done|for|while|ua|x|;|\n|;;| |\\(|\\)|\\$x|\\{|\\}){0,40}") {
        drop(follow(&text));
    }
}
