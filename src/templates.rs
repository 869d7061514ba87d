//! Templates that an operator may replace: built in, and file by file instead of them what a folder has. Whoever loads
//! some tries each with sample data, so that a broken one is found at the start and not when it is needed.

use minijinja::{Environment, UndefinedBehavior};
use std::path::Path;

/// File names and texts.
pub type BuiltIn = [(&'static str, &'static str)];

/// What is wrong with a template.
#[derive(Debug, thiserror::Error)]
#[error("{key}: {file}: {reason}")]
pub struct TemplateError {
    /// Of the configuration, that names the folder.
    key: &'static str,
    file: String,
    reason: String,
}

impl TemplateError {
    pub fn new(key: &'static str, file: impl Into<String>, reason: impl ToString) -> Self {
        Self { key, file: file.into(), reason: reason.to_string() }
    }
}

/// One without templates: what is not there is an error, and lines of logic leave no lines behind.
pub fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment
}

/// The built-in ones, and what the folder has instead of them; without a name there is no folder.
pub fn load(
    environment: &mut Environment<'static>,
    built_in: &'static BuiltIn,
    key: &'static str,
    folder: &Path,
) -> Result<(), TemplateError> {
    let broken = |file: &str, error: minijinja::Error| TemplateError::new(key, file, format!("{error:#}"));
    for (name, text) in built_in {
        environment.add_template(name, text).map_err(|error| broken(name, error))?;
    }
    if folder.as_os_str().is_empty() {
        return Ok(());
    }
    for (name, text) in replacements(built_in, key, folder)? {
        environment.add_template_owned(name.clone(), text).map_err(|error| broken(&name, error))?;
    }
    Ok(())
}

/// Templates in a folder. A name that replaces nothing is a mistake.
fn replacements(built_in: &BuiltIn, key: &'static str, folder: &Path) -> Result<Vec<(String, String)>, TemplateError> {
    let unreadable = |file: &Path, error: std::io::Error| TemplateError::new(key, file.display().to_string(), error);
    let mut found = Vec::new();
    for entry in folder.read_dir().map_err(|error| unreadable(folder, error))? {
        let path = entry.map_err(|error| unreadable(folder, error))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        if !built_in.iter().any(|(known, _)| *known == name) {
            let known: Vec<_> = built_in.iter().map(|(known, _)| *known).collect();
            return Err(TemplateError::new(key, name, format!("replaces nothing; there are {}", known.join(", "))));
        }
        let text = std::fs::read_to_string(&path).map_err(|error| unreadable(&path, error))?;
        found.push((name, text));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUILT_IN: &BuiltIn = &[("a.txt", "A {{ x }}"), ("b.txt", "B")];

    fn loaded(folder: &Path) -> Result<Environment<'static>, String> {
        let mut environment = environment();
        load(&mut environment, BUILT_IN, "t", folder).map_err(|error| error.to_string())?;
        Ok(environment)
    }

    fn filled(environment: &Environment<'_>, name: &str) -> Option<String> {
        environment.get_template(name).unwrap().render(minijinja::context! { x => 1 }).ok()
    }

    #[test]
    fn a_folder_replaces_file_by_file() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("b.txt", "C {{ x }}"), (".b.txt.swp", "{{")] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let environment = loaded(folder.path()).unwrap();
        assert_eq!(filled(&environment, "a.txt").as_deref(), Some("A 1"));
        assert_eq!(filled(&environment, "b.txt").as_deref(), Some("C 1"));
        assert_eq!(filled(&loaded(Path::new("")).unwrap(), "b.txt").as_deref(), Some("B"));
    }

    #[test]
    fn what_replaces_nothing_is_broken_or_not_there_is_said_with_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let wrong = |name: &str, text: &str| {
            std::fs::write(folder.path().join(name), text).unwrap();
            let said = loaded(folder.path()).unwrap_err();
            std::fs::remove_file(folder.path().join(name)).unwrap();
            said
        };
        assert_eq!(wrong("c.txt", ""), "t: c.txt: replaces nothing; there are a.txt, b.txt");
        assert!(wrong("a.txt", "{{").starts_with("t: a.txt: syntax error"), "{}", wrong("a.txt", "{{"));
        let nowhere = folder.path().join("nowhere");
        assert!(loaded(&nowhere).unwrap_err().contains("nowhere: "));
    }
}
