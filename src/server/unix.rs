//! A socket in the file system, for callers on this machine: who may open the file may
//! call. It is made for the server's own user alone, and removed at the end.

use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixSocket};

use super::StartError;
use super::listener::BACKLOG;
use super::stream::StdStream;

/// Only the server's user may connect; who wants others to changes the file's mode.
const MODE: u32 = 0o600;

/// The file, for as long as it is this server's.
struct Taken {
    path: PathBuf,
    /// Which file it is: another one of that name is not this server's.
    file: (u64, u64),
}

impl Drop for Taken {
    fn drop(&mut self) {
        let found = std::fs::symlink_metadata(&self.path);
        if found.is_ok_and(|found| (found.dev(), found.ino()) == self.file) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// A path that is listened on.
pub(super) struct Listening {
    // Dropped first: once the listener is closed, another server may take the path.
    _taken: Taken,
    listener: UnixListener,
}

impl Listening {
    /// The next connection.
    pub(super) async fn accept(&self) -> std::io::Result<StdStream> {
        let (stream, _) = self.listener.accept().await?;
        stream.into_std().map(StdStream::Unix)
    }
}

/// Listens on the path: from now on there are connections. What a server left behind
/// that was killed is cleared away; what anything else left is not touched.
pub(super) fn listen(path: &Path) -> Result<Listening, StartError> {
    clear(path)?;
    let failed = |error: std::io::Error| refused(path, &error);
    let socket = UnixSocket::new_stream().map_err(failed)?;
    socket.bind(path).map_err(failed)?;
    let found = std::fs::symlink_metadata(path).map_err(failed)?;
    let taken = Taken {
        path: path.to_owned(),
        file: (found.dev(), found.ino()),
    };
    // There are no connections before there is a listener. From the binding to here it takes
    // microseconds, in which another server could take the file for one left behind.
    let mode = std::fs::Permissions::from_mode(MODE);
    std::fs::set_permissions(path, mode).map_err(failed)?;
    Ok(Listening {
        listener: socket.listen(BACKLOG).map_err(failed)?,
        _taken: taken,
    })
}

/// Makes room for a socket of that path.
fn clear(path: &Path) -> Result<(), StartError> {
    let Ok(found) = std::fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !found.file_type().is_socket() {
        return Err(StartError::Listen(format!(
            "cannot listen on {}: there is a file that is no socket; choose another path by --listen-unix",
            path.display()
        )));
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(|error| refused(path, &error))
        }
        Ok(_) | Err(_) => Err(StartError::Listen(format!(
            "cannot listen on {}: another program does; stop it, or choose another path by --listen-unix",
            path.display()
        ))),
    }
}

fn refused(path: &Path, error: &std::io::Error) -> StartError {
    StartError::Listen(format!(
        "cannot listen on {}: {error}; choose another path by --listen-unix",
        path.display()
    ))
}
