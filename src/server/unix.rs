//! A socket in the file system, for callers on this machine: who may open the file may
//! call. It is made for the server's own user alone, and removed at the end.

use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixSocket};

use super::StartError;
use super::listener::BACKLOG;
use super::stream::StdStream;

/// Only the server's user may connect; who wants others to changes the file's mode.
const MODE: u32 = 0o600;

/// The file, for as long as it is this server's.
struct Taken(PathBuf);

impl Drop for Taken {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A path that is taken and not listened on yet.
pub(super) struct Reserved {
    taken: Taken,
    socket: UnixSocket,
}

/// A path that is listened on.
pub(super) struct Listening {
    // It goes first: once nobody listens, another server may take the path.
    _taken: Taken,
    listener: UnixListener,
}

impl Reserved {
    /// Listens: from now on there are connections.
    pub(super) fn listen(self) -> Result<Listening, StartError> {
        let Self { taken, socket } = self;
        let listener = socket.listen(BACKLOG);
        Ok(Listening {
            listener: listener.map_err(|error| refused(&taken.0, &error))?,
            _taken: taken,
        })
    }
}

impl Listening {
    /// The next connection.
    pub(super) async fn accept(&self) -> std::io::Result<StdStream> {
        let (stream, _) = self.listener.accept().await?;
        stream.into_std().map(StdStream::Unix)
    }
}

/// Takes the path. What a server left behind that was killed is cleared away; what
/// anything else left is not touched.
pub(super) fn reserve(path: &Path) -> Result<Reserved, StartError> {
    if let Ok(found) = std::fs::symlink_metadata(path) {
        if !found.file_type().is_socket() {
            return Err(StartError::Listen(format!(
                "cannot listen on {}: there is a file that is no socket; choose another path by --listen-unix",
                path.display()
            )));
        }
        match UnixStream::connect(path) {
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                std::fs::remove_file(path).map_err(|error| refused(path, &error))?;
            }
            Ok(_) | Err(_) => {
                return Err(StartError::Listen(format!(
                    "cannot listen on {}: another program does; stop it, or choose another path by --listen-unix",
                    path.display()
                )));
            }
        }
    }
    let take = || {
        let socket = UnixSocket::new_stream()?;
        socket.bind(path)?;
        Ok(socket)
    };
    let reserved = Reserved {
        socket: take().map_err(|error| refused(path, &error))?,
        taken: Taken(path.to_owned()),
    };
    // Nobody can connect before there is a listener.
    let mode = std::fs::Permissions::from_mode(MODE);
    std::fs::set_permissions(path, mode).map_err(|error| refused(path, &error))?;
    Ok(reserved)
}

fn refused(path: &Path, error: &std::io::Error) -> StartError {
    StartError::Listen(format!(
        "cannot listen on {}: {error}; choose another path by --listen-unix",
        path.display()
    ))
}
