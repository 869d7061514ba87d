use super::*;

const SHOWN: &str = include_str!("../../config/castellan.toml");

fn read(text: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::read(Path::new("castellan.toml"), text, variables)
}

#[test]
fn the_shown_file_is_the_defaults_and_shows_every_key() {
    assert_eq!(read(SHOWN, &[]).unwrap(), Config::default());
    let shown: toml::Table = SHOWN.parse().unwrap();
    let all = toml::Table::try_from(Config::default()).unwrap();
    let keys = |table: &toml::Table| {
        let section = |(name, section): (&String, &toml::Value)| {
            let keys = section.as_table().unwrap().keys();
            keys.map(|key| format!("{name}.{key}")).collect::<Vec<_>>()
        };
        table.iter().flat_map(section).collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(keys(&shown), keys(&all));
}

#[test]
fn every_shown_key_has_a_sentence() {
    let mut explained = false;
    for line in SHOWN.lines() {
        match line.chars().next() {
            Some('#') => explained = true,
            Some('a'..='z') => {
                assert!(explained, "no comment above: {line}");
                explained = false;
            }
            _ => explained = false,
        }
    }
}

#[test]
fn an_unknown_key_is_named_with_its_line() {
    let error = read("[http]\nworkers = 2\nlisen = \"127.0.0.1:1\"\n", &[]).unwrap_err().to_string();
    assert!(error.contains("line 3") && error.contains("lisen"), "{error}");
}

#[test]
fn variables_override_and_are_checked() {
    let config = read("", &[("CASTELLAN__HTTP__WORKERS", "3"), ("CASTELLAN__LOG__FORMAT", "json")]).unwrap();
    assert_eq!((config.http.workers, config.log.format), (3, LogFormat::Json));
    for (name, value) in [
        ("CASTELLAN__HTTP__WORKRES", "3"),
        ("CASTELLAN__HTTP", "3"),
        ("CASTELLAN__HTTP__WORKERS", "many"),
        ("CASTELLAN__HTTP__LISTEN", "here"),
        ("CASTELLAN__LOG__FORMAT", "xml"),
    ] {
        let error = read("", &[(name, value)]).unwrap_err().to_string();
        assert!(error.starts_with(name), "{error}");
    }
}

#[test]
fn the_master_key_comes_from_the_environment_alone_and_is_never_shown() {
    let error = read("[secrets]\nmaster_key = \"0011\"\n", &[]).unwrap_err().to_string();
    assert!(error.contains("environment") && !error.contains("0011"), "{error}");
    // An override behind it must not lose it.
    let config = read("", &[("CASTELLAN__SECRETS__MASTER_KEY", "0011"), ("CASTELLAN__LOG__LEVEL", "warn")]).unwrap();
    assert!(matches!(config.master_key(), MasterKeySource::Environment(text) if *text == "0011"));
    assert!(!format!("{config:?}").contains("0011"));
    assert!(!toml::to_string(&config.shown()).unwrap().contains("0011"));
}

#[test]
fn values_out_of_range_are_named() {
    let error = read("[store]\npartitions = 0\n", &[]).unwrap_err().to_string();
    assert!(error.starts_with("store.partitions"), "{error}");
    assert!(read("[log]\nlevel = \"castellan=loud=x\"\n", &[]).is_err());
    for (text, key) in [("ping_s = 0", "links.ping_s"), ("silence_s = 30", "links.silence_s")] {
        let error = read(&format!("[links]\n{text}\n"), &[]).unwrap_err().to_string();
        assert!(error.starts_with(key), "{error}");
    }
}
