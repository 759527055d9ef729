//! Looks for an installation of a server: where the user says, on the path, in the cache, and where there
//! is none for a container engine that has an image of it.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::container::Contained;
use super::engine::Engine;
use super::{About, Error, group::wait_until, named};

/// What the scenario or `MQBENCH_<BROKER>_HOME` says instead of a place where only a container will do.
pub const CONTAINER: &str = "container";

/// A server's program and what led to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// The program, or the folder of a server that is more than one; in a container its place there.
    pub program: PathBuf,
    /// What led to it.
    pub origin: Origin,
}

impl Found {
    /// The container engine and the image that have it, if it is not on this machine itself.
    pub fn container(&self) -> Option<&Contained> {
        match &self.origin {
            Origin::Container(contained) => Some(contained),
            _ => None,
        }
    }

    /// The address at which it is to listen: only clients on this machine may reach it. In a container that
    /// is seen to by the ports that are published, and these lead to its other interfaces.
    pub fn bind(&self) -> &'static str {
        match self.container() {
            Some(_) => "0.0.0.0",
            None => "127.0.0.1",
        }
    }

    /// What the program prints on its standard output, for those that tell their version and end.
    pub fn output(&self, args: &[&str]) -> io::Result<String> {
        match self.container() {
            None => output_of(&self.program, args),
            Some(contained) => contained.output_of(&self.program, args),
        }
    }
}

/// What led to a program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The scenario names it.
    Scenario,
    /// `MQBENCH_<BROKER>_HOME` names it.
    Environment,
    /// It is on the path.
    Path,
    /// `scripts/get` put it into the user's cache.
    Cache,
    /// It is the one in this program.
    Embedded,
    /// It is in an image that a container engine has.
    Container(Contained),
}

/// What a scenario writes instead of a path to have the implementation that is in this program.
pub const EMBEDDED: &str = "embedded";

impl Found {
    /// The one in this program. By this path a process finds the program that it runs; those who start
    /// servers run this one.
    fn embedded() -> Found {
        Found {
            program: "/proc/self/exe".into(),
            origin: Origin::Embedded,
        }
    }
}

/// Where to look, apart from the scenario.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// The value of `MQBENCH_<BROKER>_HOME`.
    pub home: Option<PathBuf>,
    /// The folders of the path.
    pub path: Vec<PathBuf>,
    /// The folder of this program in the user's cache.
    pub cache: Option<PathBuf>,
}

impl Places {
    /// Those of this process's environment.
    pub fn of(about: &About) -> Places {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let path: OsString = variable("PATH").unwrap_or_default();
        Places {
            home: variable(&home_variable(about)).map(PathBuf::from),
            path: std::env::split_paths(&path).collect(),
            cache: user_folder("XDG_CACHE_HOME", ".cache"),
        }
    }
}

/// This program's folder among the user's: below `variable` if that is set, or below `otherwise` in
/// the home folder.
pub fn user_folder(variable: &str, otherwise: &str) -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).map(PathBuf::from);
    // The specification of these variables says that a path which is not absolute is ignored.
    let named = set(variable).filter(|path| path.is_absolute());
    Some(
        named
            .or_else(|| Some(set("HOME")?.join(otherwise)))?
            .join("mqbench"),
    )
}

fn home_variable(about: &About) -> String {
    format!(
        "MQBENCH_{}_HOME",
        about.name.to_uppercase().replace('-', "_")
    )
}

/// Finds the program of a server. A place that the user named and that does not have it is an error, not
/// a reason to measure another one.
pub fn find(
    about: &'static About,
    scenario: Option<&Path>,
    places: &Places,
) -> Result<Found, Error> {
    let variable = home_variable(about);
    let is_embedded = named(about.name).is_ok_and(|server| server.is_embedded());
    if is_embedded && scenario == Some(Path::new(EMBEDDED)) {
        return Ok(Found::embedded());
    }
    if let Some((place, origin, what)) = named_place(about, scenario, places) {
        return match program_in(about, place) {
            Some(program) => Ok(Found { program, origin }),
            None => Err(Error::Misplaced {
                about,
                origin: what,
                path: place.to_owned(),
            }),
        };
    }
    for program in about.programs.iter().filter(|program| !is_jar(program)) {
        let mut candidates = places.path.iter().map(|folder| folder.join(program));
        if let Some(program) = candidates.find(|candidate| runs(candidate)) {
            let origin = Origin::Path;
            return Ok(Found { program, origin });
        }
    }
    let cached = places.cache.as_ref().map(|cache| cache.join(about.name));
    let kept = cached
        .iter()
        .flat_map(|cached| [cached.join(about.version), cached.clone()]);
    if let Some(program) = kept.into_iter().find_map(|place| program_in(about, &place)) {
        let origin = Origin::Cache;
        return Ok(Found { program, origin });
    }
    if is_embedded {
        return Ok(Found::embedded());
    }
    let mut looked = vec![variable];
    if !about.programs.iter().all(|program| is_jar(program)) {
        looked.push(format!("{} on the path", about.programs.join(" or ")));
    }
    if let Some(cached) = cached {
        looked.push(format!("the copy in the cache ({})", cached.display()));
    }
    Err(Error::NotFound { about, looked })
}

/// The place that the user named, and where.
fn named_place<'a>(
    about: &About,
    scenario: Option<&'a Path>,
    places: &'a Places,
) -> Option<(&'a Path, Origin, String)> {
    let scenario = scenario.map(|place| (place, Origin::Scenario, "the scenario".to_owned()));
    let home = places.home.as_deref();
    let home = || home.map(|place| (place, Origin::Environment, home_variable(about)));
    scenario.or_else(home)
}

/// Whether the user wants it from a container and from nowhere else.
pub fn wants_container(about: &About, scenario: Option<&Path>, places: &Places) -> bool {
    named_place(about, scenario, places).is_some_and(|(place, ..)| place == Path::new(CONTAINER))
}

/// Finds the program of a server, or where there is none on this machine an image of it that a container
/// engine has already: see [`lacks_image`].
pub fn find_or_contain(
    about: &'static About,
    scenario: Option<&Path>,
    places: &Places,
) -> Result<Found, Error> {
    let looked = match in_vain(about, scenario, places)? {
        Ok(found) => return Ok(found),
        Err(looked) => looked,
    };
    contained(about, places).map_err(|why| not_contained(about, looked, &why))
}

/// The program on this machine; or where it was looked for in vain, which is nowhere if the user wants a
/// container.
fn in_vain(
    about: &'static About,
    scenario: Option<&Path>,
    places: &Places,
) -> Result<Result<Found, Vec<String>>, Error> {
    if wants_container(about, scenario, places) {
        return Ok(Err(Vec::new()));
    }
    match find(about, scenario, places) {
        Err(Error::NotFound { looked, .. }) => Ok(Err(looked)),
        found => found.map(Ok),
    }
}

/// That no container engine helps either, and why.
pub fn not_contained(about: &'static About, mut looked: Vec<String>, why: &str) -> Error {
    looked.push(format!("a container engine ({why})"));
    Error::NotFound { about, looked }
}

fn contained(about: &About, places: &Places) -> Result<Found, String> {
    let image = about.image.as_ref();
    let image = image.ok_or_else(|| format!("there is no image of {}", about.title))?;
    let engine = Engine::find(&places.path)?;
    let identity = engine.image(image.name);
    let identity = identity.ok_or_else(|| format!("{} has no {}", engine.name(), image.name))?;
    Ok(Found {
        program: image.programs[0].into(),
        origin: Origin::Container(Contained {
            engine,
            image: image.name.to_owned(),
            identity,
            container: None,
        }),
    })
}

/// An image that would do, if the engine had it.
pub struct Lack {
    /// The engine.
    pub engine: Engine,
    /// Name of the image.
    pub image: &'static str,
    /// Where the server was looked for in vain.
    pub looked: Vec<String>,
}

/// What is missing for a server to run in a container, where it comes to that and no more is missing than
/// the image.
pub fn lacks_image(
    about: &'static About,
    scenario: Option<&Path>,
    places: &Places,
) -> Option<Lack> {
    let image = about.image.as_ref()?.name;
    let looked = in_vain(about, scenario, places).ok()?.err()?;
    let engine = Engine::find(&places.path).ok()?;
    let lack = Lack {
        engine,
        image,
        looked,
    };
    lack.engine.image(image).is_none().then_some(lack)
}

/// The program at `place`: itself, or in that folder or its `bin`; of a server that is a folder of jars
/// its own jar, in that folder or its `lib` or `libs`.
fn program_in(about: &About, place: &Path) -> Option<PathBuf> {
    let (jars, programs): (Vec<&str>, Vec<&str>) =
        about.programs.iter().partition(|name| is_jar(name));
    if !programs.is_empty() && runs(place) {
        return Some(place.to_owned());
    }
    programs
        .iter()
        .flat_map(|program| [place.join(program), place.join("bin").join(program)])
        .find(|candidate| runs(candidate))
        .or_else(|| {
            let folders = [place.to_owned(), place.join("libs"), place.join("lib")];
            let found = |folder: &PathBuf| jars.iter().find_map(|jar| jar_in(folder, jar));
            folders.iter().find_map(found)
        })
}

/// Whether a name of a program is that of a jar: `pulsar-broker-*.jar`, the star for its version.
fn is_jar(program: &str) -> bool {
    program.ends_with(".jar")
}

/// The jar with this name, whatever its version; archives put the name of its group before it.
fn jar_in(folder: &Path, jar: &str) -> Option<PathBuf> {
    let entries = folder.read_dir().ok()?;
    let mut files = entries.flatten().map(|entry| entry.path());
    files.find(|file| jar_version(file, jar).is_some())
}

/// The version of a jar, if it is the one that `jar` means.
pub fn jar_version(file: &Path, jar: &str) -> Option<String> {
    let (name, end) = jar.split_once('*')?;
    let file = file.file_name()?.to_str()?.strip_suffix(end)?;
    let version = &file[file.rfind(name)? + name.len()..];
    let is_version = version.starts_with(|c: char| c.is_ascii_digit());
    is_version.then(|| version.to_owned())
}

/// What runs jars: the one of `JAVA_HOME`, or the first on the path.
pub fn java() -> io::Result<PathBuf> {
    let of_home = std::env::var_os("JAVA_HOME").map(|home| PathBuf::from(home).join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    of_home
        .into_iter()
        .chain(std::env::split_paths(&path))
        .map(|folder| folder.join("java"))
        .find(|candidate| runs(candidate))
        .ok_or_else(|| {
            let why = "there is no java in JAVA_HOME or on the path";
            io::Error::new(io::ErrorKind::NotFound, why)
        })
}

/// Whether this is a file that can be executed.
pub fn runs(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|facts| facts.is_file() && facts.permissions().mode() & 0o111 != 0)
}

/// What a program prints on its standard output.
pub fn output_of(program: &Path, args: &[&str]) -> io::Result<String> {
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let ended = wait_until(Duration::from_secs(10), || {
        matches!(child.try_wait(), Ok(Some(_)) | Err(_))
    });
    if !ended {
        child.kill()?;
        child.wait()?;
        return Err(io::Error::new(io::ErrorKind::TimedOut, "no answer in 10 s"));
    }
    let mut output = String::new();
    if let Some(mut stdout) = child.stdout.take() {
        stdout.read_to_string(&mut output)?;
    }
    Ok(output)
}

/// The first word of `text` that starts with `prefix` and a digit, without the prefix.
pub fn version_after(text: &str, prefix: &str) -> io::Result<String> {
    text.split_whitespace()
        .filter_map(|word| word.strip_prefix(prefix))
        .find(|version| version.starts_with(|c: char| c.is_ascii_digit()))
        .map(str::to_owned)
        .ok_or_else(|| {
            let first = text.lines().next().unwrap_or_default();
            io::Error::new(io::ErrorKind::InvalidData, format!("it says `{first}`"))
        })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn about() -> &'static About {
        named("nats").unwrap().about()
    }

    /// A program at `path` in a new folder.
    fn installed(path: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join(path);
        fs::create_dir_all(program.parent().unwrap()).unwrap();
        fs::write(&program, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        (folder, program)
    }

    #[test]
    fn the_scenario_comes_before_the_environment_the_path_and_the_cache() {
        let (scenario, in_scenario) = installed("bin/nats-server");
        let (home, in_home) = installed("nats-server");
        let (path, in_path) = installed("nats-server");
        let (cache, in_cache) = installed(&format!("nats/{}/nats-server", about().version));
        let mut places = Places {
            home: Some(home.path().into()),
            path: vec!["/nonexistent".into(), path.path().into()],
            cache: Some(cache.path().into()),
        };
        let found = find(about(), Some(scenario.path()), &places).unwrap();
        assert_eq!(
            (found.program, found.origin),
            (in_scenario, Origin::Scenario)
        );
        let found = find(about(), None, &places).unwrap();
        assert_eq!(
            (found.program, found.origin),
            (in_home, Origin::Environment)
        );
        places.home = None;
        let found = find(about(), None, &places).unwrap();
        assert_eq!((found.program, found.origin), (in_path, Origin::Path));
        places.path.clear();
        let found = find(about(), None, &places).unwrap();
        assert_eq!((found.program, found.origin), (in_cache, Origin::Cache));
    }

    #[test]
    fn a_named_place_without_the_program_is_an_error_although_the_path_has_one() {
        let (path, _) = installed("nats-server");
        let empty = tempfile::tempdir().unwrap();
        let places = Places {
            home: Some(empty.path().into()),
            path: vec![path.path().into()],
            cache: None,
        };
        let error = find(about(), None, &places).unwrap_err().to_string();
        assert!(
            error.contains("MQBENCH_NATS_HOME") && error.contains("nats-server"),
            "{error}"
        );
    }

    #[test]
    fn nothing_found_says_where_it_looked_and_how_to_get_one() {
        let places = Places {
            cache: Some("/home/me/.cache/mqbench".into()),
            ..Places::default()
        };
        let error = find(about(), None, &places).unwrap_err().to_string();
        assert_eq!(
            error,
            "cannot start a private nats: no NATS was found\n   \
             looked for MQBENCH_NATS_HOME, nats-server on the path, \
             the copy in the cache (/home/me/.cache/mqbench/nats)\n   \
             get one with    scripts/get nats\n   \
             or use your own brokers: {nats: {url: \"nats://host:4222\"}}"
        );
    }

    /// An engine that has an image if `identity` says so.
    fn engine(identity: &str) -> (tempfile::TempDir, Places) {
        let (folder, program) = installed("docker");
        let script = format!(
            "#!/bin/sh\ncase $1 in info) printf '28.2.2\\n[]\\n' ;; image) {identity} ;; esac\n"
        );
        fs::write(&program, script).unwrap();
        let places = Places {
            path: vec![folder.path().into()],
            ..Places::default()
        };
        (folder, places)
    }

    #[test]
    fn a_container_is_the_last_resort_and_the_first_where_it_is_asked_for() {
        let (_folder, mut places) = engine("echo sha256:77");
        let found = find_or_contain(about(), None, &places).unwrap();
        let contained = found.container().unwrap();
        assert_eq!(contained.image, about().image.as_ref().unwrap().name);
        assert_eq!(contained.identity, "sha256:77");
        assert_eq!(
            (found.program.as_path(), found.bind()),
            (Path::new("/nats-server"), "0.0.0.0")
        );
        assert!(lacks_image(about(), None, &places).is_none());

        let (path, in_path) = installed("nats-server");
        places.path.push(path.path().into());
        let found = find_or_contain(about(), None, &places).unwrap();
        assert_eq!(
            (found.program.as_path(), found.bind()),
            (&*in_path, "127.0.0.1")
        );
        let asked = Some(Path::new(CONTAINER));
        assert!(
            find_or_contain(about(), asked, &places)
                .unwrap()
                .container()
                .is_some()
        );
        places.home = Some(CONTAINER.into());
        assert!(
            find_or_contain(about(), None, &places)
                .unwrap()
                .container()
                .is_some()
        );
    }

    #[test]
    fn what_an_engine_lacks_is_said() {
        let (_folder, places) = engine("exit 1");
        let lack = lacks_image(about(), None, &places).unwrap();
        assert_eq!(lack.image, about().image.as_ref().unwrap().name);
        let error = find_or_contain(about(), None, &places)
            .unwrap_err()
            .to_string();
        let expected = format!("a container engine (docker 28.2.2 has no {})", lack.image);
        assert!(error.contains(&expected), "{error}");

        let error = find_or_contain(about(), None, &Places::default()).unwrap_err();
        let expected = "a container engine (no docker or podman is on the path)";
        assert!(error.to_string().contains(expected), "{error}");
    }

    #[test]
    fn what_is_in_this_program_is_taken_last_or_by_name() {
        let about = named("mosquitto").unwrap().about();
        let nowhere = Places::default();
        assert_eq!(find(about, None, &nowhere).unwrap(), Found::embedded());
        let (path, program) = installed("mosquitto");
        let places = Places {
            path: vec![path.path().into()],
            ..Places::default()
        };
        assert_eq!(find(about, None, &places).unwrap().program, program);
        let by_name = find(about, Some(Path::new(EMBEDDED)), &places).unwrap();
        assert_eq!(by_name, Found::embedded());
    }

    #[test]
    fn a_file_that_cannot_be_executed_is_not_a_program() {
        let (folder, program) = installed("nats-server");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(program_in(about(), folder.path()), None);
    }

    #[test]
    fn a_jar_is_found_by_its_name_whatever_its_version_and_not_taken_for_a_longer_name() {
        let jar = "pulsar-broker-*.jar";
        let version = |file: &str| jar_version(Path::new(file), jar);
        assert_eq!(version("/x/pulsar-broker-4.2.4.jar").unwrap(), "4.2.4");
        let archived = "/x/org.apache.pulsar-pulsar-broker-4.2.4.jar";
        assert_eq!(version(archived).unwrap(), "4.2.4");
        assert_eq!(version("/x/pulsar-broker-common-4.2.4.jar"), None);
        assert_eq!(version("/x/pulsar-broker-4.2.4.pom"), None);

        let folder = tempfile::tempdir().unwrap();
        let libs = folder.path().join("libs");
        fs::create_dir(&libs).unwrap();
        assert_eq!(jar_in(&libs, jar), None);
        let file = libs.join("pulsar-broker-4.2.4.jar");
        fs::write(&file, "").unwrap();
        assert_eq!(jar_in(&libs, jar), Some(file));
    }

    #[test]
    fn a_version_is_the_word_after_its_prefix() {
        let redis = "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64";
        assert_eq!(version_after(redis, "v=").unwrap(), "7.0.15");
        assert_eq!(
            version_after("nats-server: v2.15.2\n", "v").unwrap(),
            "2.15.2"
        );
        assert!(version_after("hello", "v").is_err());
    }
}
