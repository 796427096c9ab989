//! The folder where generated data sets are kept.

use std::path::PathBuf;

use crate::error::MiniError;

/// The folder for generated data sets: `GLAD_CACHE` if set (`~/` is the home folder), else `glad` in the platform's folder
/// for caches, such as `~/.cache/glad`. It is not created here.
///
/// # Errors
/// [`MiniError::NoCacheDir`] if neither is known.
pub fn cache_dir() -> Result<PathBuf, MiniError> {
    let own = std::env::var_os("GLAD_CACHE").map(PathBuf::from);
    choose(own.map(|path| from_home(path, dirs::home_dir())), dirs::cache_dir())
}

/// A path with `~` at its beginning replaced: a shell leaves it in quotes.
fn from_home(path: PathBuf, home: Option<PathBuf>) -> PathBuf {
    match (path.strip_prefix("~"), home) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path,
    }
}

fn choose(own: Option<PathBuf>, platform: Option<PathBuf>) -> Result<PathBuf, MiniError> {
    own.filter(|path| !path.as_os_str().is_empty())
        .or_else(|| platform.map(|path| path.join("glad")))
        .ok_or(MiniError::NoCacheDir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_folder_wins_unless_empty() {
        let path = |text: &str| Some(PathBuf::from(text));
        assert_eq!(
            choose(path("/data"), path("/home/.cache")).unwrap(),
            PathBuf::from("/data")
        );
        assert_eq!(
            choose(path(""), path("/home/.cache")).unwrap(),
            PathBuf::from("/home/.cache/glad")
        );
        assert_eq!(
            choose(None, path("/home/.cache")).unwrap(),
            PathBuf::from("/home/.cache/glad")
        );
        let home = |text: &str| from_home(PathBuf::from(text), path("/home/a"));
        assert_eq!(home("~/gc"), PathBuf::from("/home/a/gc"));
        assert_eq!(home("/x/~/gc"), PathBuf::from("/x/~/gc"));
        assert_eq!(home("~b/gc"), PathBuf::from("~b/gc"));
        assert!(matches!(choose(None, None), Err(MiniError::NoCacheDir)));
    }
}
