"""Addresses of servers, as grpc takes them: which stay on this machine, and how they are named."""

from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import unquote

_LOCAL_SCHEMES = ("unix:", "unix-abstract:")
_ADDRESS_SCHEMES = ("ipv4:", "ipv6:")
_URL_SCHEMES = ("http:", "https:", "grpc:", "grpcs:", "tcp:")


def check_target(target: str) -> None:
    """Refuses what grpc would only fail to resolve at the first call."""
    if not isinstance(target, str):
        raise TypeError(f"target must be a str, not {type(target).__name__}")
    if not target.strip():
        raise ValueError('target is empty; write host and port, such as "127.0.0.1:50051"')
    scheme = target.partition("//")[0].lower()
    if scheme in _URL_SCHEMES:
        raise ValueError(
            f"target {target!r} is a URL; write host and port alone, such as "
            '"credits.example.com:50051"'
        )


def is_local(target: str) -> bool:
    """Whether traffic to the target surely stays on this machine.

    Forms that it does not know are not local.
    """
    if target.startswith(_LOCAL_SCHEMES):
        return True
    return all(_is_loopback(_host(address)) for address in _addresses(target))


def authority(target: str) -> str | None:
    """The `:authority` to send where the one that grpc makes of the target is no valid one.

    Of a path it makes one with "%2F" in it, and of a list of addresses one with commas: servers
    that check the header refuse every call. None where grpc's own is right.
    """
    if target.startswith(_LOCAL_SCHEMES):
        return "localhost"
    if target.startswith(_ADDRESS_SCHEMES):
        return _addresses(target)[0]
    return None


def _addresses(target: str) -> list[str]:
    """The addresses that a target names; most often it is one itself."""
    if target.startswith(_ADDRESS_SCHEMES):
        _, _, several = target.partition(":")
        return [unquote(one) for one in several.lstrip("/").split(",")]
    # dns:host and dns:///host. In dns://resolver/host the resolver says what the host is.
    return [target.removeprefix("dns:").removeprefix("///")]


def _host(address: str) -> str:
    """The host of "host", "host:port", "[ipv6]" or "[ipv6]:port"."""
    if address.startswith("["):
        return address[1:].partition("]")[0]
    if address.count(":") == 1:
        return address.partition(":")[0]
    return address


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        ip: IPv4Address | IPv6Address = ip_address(host)
    except ValueError:
        return False
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    return ip.is_loopback
