//! Moves a session to another machine: it is stored as frozen before anyone sees its bytes, so that
//! it is in use in only one place.

use super::driver::Host;
use super::error::Error;
use super::transaction::read_even_frozen;
use crate::protocol::session::stored::{Expired, Stage, Stored};

/// Stores the session as frozen, unless it is frozen already, and returns it. This waits for a
/// running sender or receiver to end, because it still has to store what it has begun.
pub async fn freeze<H: Host>(host: &mut H) -> Result<Stage, Error> {
    let _sender = host.become_sender(false).await?;
    let _receiver = host.become_receiver(false).await?;
    let lock = host.lock().await?;
    let (bytes, mut version) = host.load(&lock).await?;
    let mut stored = read_even_frozen(&bytes)?;
    match stored.stage.expire(host.now()) {
        Expired::Nothing if stored.frozen => {}
        Expired::Nothing | Expired::Numbers => {
            host.replace(&lock, &mut version, &stored.stage.to_bytes(true)).await?;
        }
        Expired::Invite => {
            host.wipe(&lock).await?;
            return Err(Error::NobodyAnswered);
        }
    }
    Ok(stored.stage)
}

/// Wipes the frozen session, which continues elsewhere.
pub async fn forget<H: Host>(host: &mut H) -> Result<(), Error> {
    let lock = host.lock().await?;
    let (bytes, _) = host.load(&lock).await?;
    frozen(read_even_frozen(&bytes)?)?;
    Ok(host.wipe(&lock).await?)
}

/// Puts the frozen session back into use here.
pub async fn thaw<H: Host>(host: &mut H) -> Result<(), Error> {
    let lock = host.lock().await?;
    let (bytes, mut version) = host.load(&lock).await?;
    let mut stored = frozen(read_even_frozen(&bytes)?)?;
    if stored.stage.expire(host.now()) == Expired::Invite {
        host.wipe(&lock).await?;
        return Err(Error::NobodyAnswered);
    }
    Ok(host.replace(&lock, &mut version, &stored.stage.to_bytes(false)).await?)
}

fn frozen(stored: Stored) -> Result<Stored, Error> {
    if stored.frozen { Ok(stored) } else { Err(Error::NotFrozen) }
}
