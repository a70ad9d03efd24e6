//! The linker's cache, against what the real ldconfig wrote for the same root.

use super::*;

macro_rules! library {
    ($name:literal) => {
        include_bytes!(concat!("golden/libraries/", $name))
    };
}

const LIB: &str = "usr/lib/x86_64-linux-gnu";

/// The root that `golden/make.sh` lays out, split into packages.
fn golden_system() -> System {
    System::new()
        .package("libc6")
        .control(
            "control",
            "Package: libc6\nVersion: 2.36-9+deb12u14\nArchitecture: amd64\n",
        )
        .file(
            "etc/ld.so.conf",
            "include /etc/ld.so.conf.d/*.conf # first\n",
        )
        .file(
            "etc/ld.so.conf.d/multiarch.conf",
            "/lib/x86_64-linux-gnu\n/usr/lib/x86_64-linux-gnu\n/nowhere\n",
        )
        .file("etc/ld.so.conf.d/.hidden.conf", "/hidden\n")
        .package("libalpha")
        .file(
            &format!("{LIB}/libalpha.so.1.9"),
            library!("libalpha.so.1.9"),
        )
        .file(
            &format!("{LIB}/libalpha.so.1.10"),
            library!("libalpha.so.1.10"),
        )
        .file(
            &format!("{LIB}/glibc-hwcaps/x86-64-v3/libalpha.so.1"),
            library!("libalpha-v3.so"),
        )
        .file(
            &format!("{LIB}/glibc-hwcaps/x86-64-v2/libalpha.so.1"),
            library!("libalpha-v2.so"),
        )
        .directory(&format!("{LIB}/glibc-hwcaps/empty"))
        .link(&format!("{LIB}/libalpha.so"), "libalpha.so.1.10")
        .package("libbeta")
        .file(&format!("{LIB}/libbeta-2.5.so"), library!("libbeta-2.5.so"))
        .link(&format!("{LIB}/libbeta.so"), "libbeta-2.5.so")
        .file(&format!("{LIB}/libscript.so"), "not a library\n")
        .package("libplain")
        .file(&format!("{LIB}/libplain.so"), library!("libplain.so"))
        .link(&format!("{LIB}/libplain.so.5"), "libplain.so")
        .package("local")
        .file("etc/ld.so.conf.d/local.conf", "# local\n/opt/lib/\n")
        .file("opt/lib/libalpha.so.1", library!("libalpha.so.1.9"))
        .file("opt/lib/libbeta32.so", library!("libbeta32.so"))
}

#[test]
fn the_cache_is_the_one_that_ldconfig_writes() {
    let system = golden_system();
    let configured = system.configured();
    assert_eq!(
        configured.read("etc/ld.so.cache"),
        include_bytes!("golden/ld.so.cache")
    );
}

#[test]
fn links_by_soname_are_made_where_none_are() {
    let system = golden_system();
    let configured = system.configured();
    assert_eq!(
        configured.link(&format!("{LIB}/libalpha.so.1")),
        "libalpha.so.1.10"
    );
    assert_eq!(
        configured.link(&format!("{LIB}/libbeta.so.2")),
        "libbeta-2.5.so"
    );
    assert_eq!(configured.link("opt/lib/libbeta.so.2"), "libbeta32.so");
    assert!(!configured.has("opt/lib/libalpha.so.1"));
    assert!(!configured.has(&format!("{LIB}/glibc-hwcaps")));
}

/// The root that `golden/make.sh` lays out for arm64.
fn golden_arm_system() -> System {
    const LIB: &str = "usr/lib/aarch64-linux-gnu";
    let gamma: &[u8] = library!("libgamma-aarch64.so.1.2");
    System::new()
        .package("libc6")
        .control(
            "control",
            "Package: libc6\nVersion: 2.36-9+deb12u14\nArchitecture: arm64\n",
        )
        .file(
            "etc/ld.so.conf",
            "include /etc/ld.so.conf.d/*.conf\n",
        )
        .file(
            "etc/ld.so.conf.d/aarch64-linux-gnu.conf",
            "/usr/local/lib/aarch64-linux-gnu\n/lib/aarch64-linux-gnu\n/usr/lib/aarch64-linux-gnu\n",
        )
        .package("libgamma")
        .file(&format!("{LIB}/libgamma.so.1.2"), gamma)
        .file(&format!("{LIB}/libgamma.so.1.10"), gamma)
        .file(&format!("{LIB}/glibc-hwcaps/atomics/libgamma.so.1"), gamma)
        .link(&format!("{LIB}/libgamma.so"), "libgamma.so.1.10")
        .file("usr/lib/libdelta.so.3", library!("libdelta-armhf.so.3"))
        .file("usr/lib/libepsilon.so", library!("libplain-aarch64.so"))
        .package("foreign")
        .file(&format!("{LIB}/libalpha.so.1"), library!("libalpha.so.1.9"))
}

#[test]
fn the_cache_for_arm_is_the_one_that_its_ldconfig_writes() {
    let system = golden_arm_system();
    let configured = system.configured();
    assert_eq!(
        configured.read("etc/ld.so.cache"),
        include_bytes!("golden/ld.so.cache.arm64")
    );
    assert_eq!(
        configured.link("usr/lib/aarch64-linux-gnu/libgamma.so.1"),
        "libgamma.so.1.10"
    );
}

#[test]
fn a_c_library_for_another_machine_is_refused() {
    let system = System::new().package("libc6").control(
        "control",
        "Package: libc6\nVersion: 2.36-9\nArchitecture: riscv64\n",
    );
    let error = system.configure().err().expect("no image is for it");
    assert_eq!(
        error.to_string(),
        "package libc6 is for \"riscv64\", expected amd64 or arm64"
    );
}

#[test]
fn the_cache_sees_the_links_of_alternatives() {
    let system = System::new()
        .package("libc6")
        .control(
            "control",
            "Package: libc6\nVersion: 2.41-12+deb13u4\nArchitecture: amd64\n",
        )
        .package("libblas3")
        .file(
            &format!("{LIB}/blas/libalpha.so.1"),
            library!("libalpha.so.1.9"),
        )
        .control(
            "postinst",
            "update-alternatives --install /usr/lib/x86_64-linux-gnu/libalpha.so.1 \\
                libalpha.so.1-x86_64-linux-gnu /usr/lib/x86_64-linux-gnu/blas/libalpha.so.1 10\n",
        );
    let configured = system.configured();
    let cache = configured.read("etc/ld.so.cache");
    let holds = |text: &[u8]| cache.windows(text.len()).any(|window| window == text);
    assert!(holds(b"/lib/x86_64-linux-gnu/libalpha.so.1\0"));
    assert!(
        cache.ends_with(b"ldconfig (Debian GLIBC 2.41-12+deb13u4) stable release version 2.41")
    );
}

#[test]
fn without_a_c_library_there_is_no_cache() {
    let system = System::new().package("libalpha").file(
        &format!("{LIB}/libalpha.so.1.9"),
        library!("libalpha.so.1.9"),
    );
    assert!(!system.configured().has("etc/ld.so.cache"));
}

#[test]
fn all_1_broken_libraries_are_passed_over() {
    let empty = {
        let system = with_library(b"");
        system.configured().read("etc/ld.so.cache")
    };
    for broken in [&b"\x7fELF"[..], b"\x7fELF\x02\x01\x01", &[0xff; 600]] {
        assert_eq!(
            with_library(broken).configured().read("etc/ld.so.cache"),
            empty
        );
    }
}

fn with_library(contents: &[u8]) -> System {
    System::new()
        .package("libc6")
        .control(
            "control",
            "Package: libc6\nVersion: 2.36-9\nArchitecture: amd64\n",
        )
        .file(&format!("{LIB}/libx.so.1"), contents)
}
