package creditd

import (
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/resolver"
)

// urlSchemes are those of addresses that people have of other protocols, or of
// other tools for gRPC.
var urlSchemes = []string{"http", "https", "grpc", "grpcs", "grpc+tls", "h2", "h2c", "tcp", "tls", "ssl", "ws", "wss"}

// checkTarget refuses a target that could never lead to a server, in a sentence
// that says what could. grpc takes most of them and fails in each call. A scheme
// that is not known here may be one of a resolver that a dial option brings.
func checkTarget(target string, dialOptions bool) error {
	refuse := func(format string, args ...any) error {
		return fmt.Errorf("creditd: target %q %s", target, fmt.Sprintf(format, args...))
	}
	if strings.TrimSpace(target) == "" {
		return refuse("is empty; a creditd on this machine is at \"127.0.0.1:50051\" unless told otherwise")
	}
	if strings.ContainsAny(target, " \t\r\n") {
		return refuse("has white space in it")
	}
	scheme, rest, has := strings.Cut(target, "://")
	switch lower := strings.ToLower(scheme); {
	case !has:
		if path, isUnix := strings.CutPrefix(target, "unix:"); isUnix {
			if path == "" {
				return refuse("has no path; write unix:/run/creditd.sock")
			}
			return nil
		}
		// Others with a resolver have a form of their own, such as unix-abstract:name.
		if scheme, _, has := strings.Cut(target, ":"); has && resolver.Get(scheme) != nil && scheme != "dns" && scheme != "passthrough" {
			return nil
		}
		return checkAddress(strings.TrimPrefix(strings.TrimPrefix(target, "dns:"), "passthrough:"), refuse)
	case slices.Contains(urlSchemes, lower):
		address, _, _ := strings.Cut(rest, "/")
		if address == "" {
			address = "127.0.0.1:50051"
		}
		return refuse("is a URL; write %q, without a scheme. %s", address, howToEncrypt(lower))
	case lower == "unix":
		if !strings.HasPrefix(rest, "/") {
			return refuse("is no path; write unix:%s, or three slashes before an absolute one", rest)
		}
		return nil
	case lower == "dns" || lower == "passthrough":
		_, address, has := strings.Cut(rest, "/")
		if !has || address == "" {
			return refuse("has two slashes, after which %s has the name of a DNS server; write \"%s:///%s\", with three", lower, lower, strings.Trim(rest, "/"))
		}
		return checkAddress(address, refuse)
	case resolver.Get(lower) == nil && !dialOptions:
		return refuse("has a scheme that gRPC does not know; write HOST:PORT, unix:PATH or dns:///HOST:PORT")
	}
	return nil
}

func howToEncrypt(scheme string) string {
	if strings.HasSuffix(scheme, "s") || scheme == "grpc+tls" || scheme == "tls" || scheme == "ssl" {
		return "TLS is used for all targets but local ones; WithTLS asks for it there too"
	}
	return "Plaintext is used for local targets; WithInsecure asks for it elsewhere"
}

// checkAddress is about HOST:PORT. Without a port grpc takes 443, where a proxy may
// be, but never a creditd of this machine.
func checkAddress(address string, refuse func(string, ...any) error) error {
	if at := strings.IndexAny(address, "/?#"); at >= 0 {
		return refuse("has something behind the address; write %q", address[:at])
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		if isLocal(address) {
			return refuse("has no port; creditd serves on 50051 unless told otherwise: write %q", net.JoinHostPort(strings.Trim(address, "[]"), "50051"))
		}
		if _, err := strconv.ParseUint(address, 10, 64); err == nil {
			return refuse("is a port alone; write %q", "127.0.0.1:"+address)
		}
		if strings.Contains(address, ":") && net.ParseIP(strings.Trim(address, "[]")) == nil {
			return refuse("is not HOST:PORT")
		}
		return nil
	}
	if port == "" {
		return refuse("has no port behind the colon; write %q", net.JoinHostPort(host, "50051"))
	}
	if number, err := strconv.ParseInt(port, 10, 64); err == nil && (number < 1 || number > 65535) {
		return refuse("has port %s; a port is from 1 to 65535", port)
	}
	return nil
}

// credentialsFor chooses for a caller who gave none.
func credentialsFor(target string, plaintext bool) credentials.TransportCredentials {
	if plaintext || isLocal(target) {
		return insecure.NewCredentials()
	}
	return credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS12})
}

// isLocal tells whether traffic to the target surely stays on this machine.
// Forms that it does not know are not local.
func isLocal(target string) bool {
	if strings.HasPrefix(target, "unix:") || strings.HasPrefix(target, "unix-abstract:") {
		return true
	}
	for _, scheme := range []string{"dns:///", "passthrough:///", "dns:", "passthrough:"} {
		if rest, has := strings.CutPrefix(target, scheme); has {
			target = rest
			break
		}
	}
	host, _, err := net.SplitHostPort(target)
	if err != nil {
		host = strings.Trim(target, "[]")
	} else if host == "" {
		// Such as ":50051": grpc takes localhost.
		return true
	}
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
