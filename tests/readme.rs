//! The README's programs are the examples that are compiled: word for word.

use std::fs;
use std::path::Path;

/// The first block of a language in the README.
fn block(language: &str) -> String {
    let readme = read("README.md");
    let (_, rest) = readme.split_once(&format!("```{language}\n")).expect("the README has such a block");
    rest.split_once("```").expect("the block ends").0.to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect(path)
}

#[test]
fn the_rust_program_is_the_example() {
    assert_eq!(block("rust"), read("examples/hello.rs"));
}

#[test]
fn the_c_program_is_the_example() {
    assert_eq!(block("c"), read("examples/c/hello.c"));
}

#[test]
fn what_the_readme_links_to_exists() {
    let readme = read("README.md");
    let links: Vec<_> =
        readme.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link).collect();
    assert!(links.len() >= 3);
    for link in links.iter().filter(|link| !link.contains("://")) {
        assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(link).exists(), "{link}");
    }
}
