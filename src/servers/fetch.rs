//! Has a container engine fetch the image of a server, before the server is started: that may take minutes
//! and the network, so it is said, can be broken off, and does not outlive the run.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::sync::Arc;
use std::time::Duration;

use super::engine::reason;
use super::find::{Lack, Places, lacks_image, not_contained};
use super::group::wait_until;
use super::{Error, Keeper, Launch, Order, Place};

/// How long an image may take: hundreds of megabytes over a slow line.
const PULL: Duration = Duration::from_secs(15 * 60);
/// How long the engine's program may take to end when that is broken off.
const GRACE: Duration = Duration::from_secs(1);

/// Fetches the image that `order` needs, if it comes to that and the engine lacks it. `say` is told before it
/// begins; it is broken off once `is_over`.
pub fn fetch(
    order: &Order,
    keeper: &Arc<dyn Keeper>,
    say: &mut dyn FnMut(&str),
    is_over: &dyn Fn() -> bool,
) -> Result<(), Error> {
    let about = order.server.about();
    let Some(lack) = lacks_image(about, order.program, &Places::of(about)) else {
        return Ok(());
    };
    let (engine, image) = (lack.engine.name(), lack.image);
    say(&format!(
        "{}: {engine} fetches the image {image}, which may take minutes",
        about.name
    ));
    let pulled = pull(&lack, keeper, is_over).unwrap_or_else(|error| Err(error.to_string()));
    pulled.map_err(|why| {
        let why = format!("{engine} could not fetch {image}: {why}");
        not_contained(about, lack.looked, &why)
    })
}

fn pull(
    lack: &Lack,
    keeper: &Arc<dyn Keeper>,
    is_over: &dyn Fn() -> bool,
) -> io::Result<Result<(), String>> {
    let mut log: File = tempfile::tempfile()?;
    let launch = Launch {
        name: "pull".to_owned(),
        program: lack.engine.program.clone(),
        args: ["pull", "--quiet", lack.image].map(Into::into).to_vec(),
        env: Vec::new(),
    };
    let (mut child, group) = keeper.spawn(
        &launch,
        &std::env::temp_dir(),
        log.try_clone()?,
        &Place::default(),
    )?;
    let mut ended = None;
    wait_until(PULL, || {
        ended = child.try_wait().transpose();
        ended.is_some() || is_over()
    });
    let outcome = match ended {
        Some(Ok(status)) if status.success() => Ok(()),
        Some(status) => {
            let mut said = String::new();
            log.rewind()?;
            log.read_to_string(&mut said)?;
            let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
            Err(reason(&said, &status))
        }
        None => {
            group.end(GRACE);
            child.wait()?;
            Err(match is_over() {
                true => "it was broken off".to_owned(),
                false => format!("not done within {} min", PULL.as_secs() / 60),
            })
        }
    };
    keeper.release(&group);
    Ok(outcome)
}
