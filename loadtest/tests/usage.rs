//! The program as somebody meets it who calls it for the first time. That this is a test of the program has cargo build
//! it beside the server, where the tests of the root package look for it.

use std::process::{Command, Output};

fn called(arguments: &[&str]) -> Output {
    match Command::new(env!("CARGO_BIN_EXE_castellan-load")).args(arguments).output() {
        Ok(output) => output,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn it_says_what_it_does_and_every_scenario_has_an_example() {
    let output = called(&["--help"]);
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && told.contains("Exit status"), "{told}");
    let scenarios = told.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names: Vec<_> =
        scenarios.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").collect();
    assert!(names.len() >= 18, "{names:?}");
    for name in names {
        assert!(
            told.contains(&format!("castellan-load {name} ")) || told.contains(&format!("castellan-load {name}\n")),
            "{name}"
        );
    }
}

#[test]
fn what_it_does_not_know_is_status_2() {
    assert_eq!(called(&["strom"]).status.code(), Some(2));
    assert_eq!(called(&["storm", "--boxes", "many"]).status.code(), Some(2));
}
