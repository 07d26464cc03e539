"""A TCP proxy that can lose its connections silently, as a firewall does."""

import selectors
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

_BUFFER_BYTES = 65536


@dataclass
class Proxy:
    """Carries bytes to a server; `lose` stops that for the connections that are there now.

    They stay open, and what is sent over them is taken and forgotten. New ones work.
    """

    server: str
    address: str = ""
    accepted: int = 0
    _lost: set[socket.socket] = field(default_factory=set)
    _open: dict[socket.socket, socket.socket] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def lose(self) -> None:
        with self._lock:
            self._lost |= self._open.keys()

    def serve(self, listener: socket.socket, over: socket.socket) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(listener, selectors.EVENT_READ)
            selector.register(over, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fileobj is over:
                        for one in self._open:
                            one.close()
                        return
                    assert isinstance(key.fileobj, socket.socket)
                    if key.fileobj is listener:
                        self._accept(listener, selector)
                    else:
                        self._move(key.fileobj, selector)

    def _accept(self, listener: socket.socket, selector: selectors.BaseSelector) -> None:
        client, _ = listener.accept()
        host, _, port = self.server.rpartition(":")
        server = socket.create_connection((host, int(port)))
        with self._lock:
            self.accepted += 1
            self._open[client], self._open[server] = server, client
        selector.register(client, selectors.EVENT_READ)
        selector.register(server, selectors.EVENT_READ)

    def _move(self, one: socket.socket, selector: selectors.BaseSelector) -> None:
        try:
            data = one.recv(_BUFFER_BYTES)
        except OSError:
            data = b""
        with self._lock:
            lost = one in self._lost
        other = self._open[one]
        if not data:
            selector.unregister(one)
        if not lost:
            # Either side may be gone.
            with suppress(OSError):
                if data:
                    other.sendall(data)
                else:
                    other.shutdown(socket.SHUT_WR)


@contextmanager
def running_proxy(server: str) -> Iterator[Proxy]:
    """A proxy before that server; `address` says where it listens."""
    proxy = Proxy(server)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy.address = f"127.0.0.1:{listener.getsockname()[1]}"
        ours, its = socket.socketpair()
        thread = threading.Thread(target=proxy.serve, args=(listener, its), daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            ours.close()
            thread.join()
            its.close()
