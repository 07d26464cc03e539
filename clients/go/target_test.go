package creditd

import (
	"strings"
	"testing"

	"google.golang.org/grpc"
)

func TestWhatIsLocal(t *testing.T) {
	for target, want := range map[string]bool{
		"127.0.0.1:50051":               true,
		"127.8.8.8:50051":               true,
		"localhost:50051":               true,
		"[::1]:50051":                   true,
		"::1":                           true,
		":50051":                        true,
		"dns:///localhost:50051":        true,
		"dns:localhost:50051":           true,
		"passthrough:///127.0.0.1:1":    true,
		"unix:/run/creditd.sock":        true,
		"unix-abstract:creditd":         true,
		"localhost":                     true,
		"credits.example.com:443":       false,
		"localhost.example.com:443":     false,
		"127.0.0.1.example.com:443":     false,
		"10.0.0.1:50051":                false,
		"0.0.0.0:50051":                 false,
		"dns:///credits.example.com:1":  false,
		"xds:///localhost":              false,
		"ipv4:127.0.0.1:1,10.0.0.1:1":   false,
		"dns://10.0.0.1/localhost:1234": false,
		"":                              false,
	} {
		if got := isLocal(target); got != want {
			t.Errorf("%q: got %v", target, got)
		}
		protocol := credentialsFor(target, false).Info().SecurityProtocol
		if plaintext := protocol == "insecure"; plaintext != want {
			t.Errorf("%q gets %q", target, protocol)
		}
	}
	if got := credentialsFor("credits.example.com:443", true).Info().SecurityProtocol; got != "insecure" {
		t.Errorf("plaintext that was asked for is %q", got)
	}
}

// What New says about a target; nothing where it takes it.
func TestWhatTargetsAreTaken(t *testing.T) {
	for target, want := range map[string]string{
		"127.0.0.1:50051":               "",
		"localhost:50051":               "",
		":50051":                        "",
		"[::1]:50051":                   "",
		"[fe80::1%25eth0]:50051":        "",
		"credits.example.com":           "",
		"credits.example.com:443":       "",
		"credits.example.com:https":     "",
		"2001:db8::1":                   "",
		"dns:///credits.example.com:1":  "",
		"DNS:///credits.example.com:1":  "",
		"dns:credits.example.com:1":     "",
		"dns://10.0.0.1/localhost:1234": "",
		"passthrough:///127.0.0.1:1":    "",
		"unix:/run/creditd.sock":        "",
		"unix:creditd.sock":             "",
		"unix:///run/creditd.sock":      "",
		"unix-abstract:creditd":         "",

		"":                              `target "" is empty`,
		"  ":                            "is empty",
		"127.0.0.1:50051\n":             "has white space in it",
		"http://127.0.0.1:50051":        `is a URL; write "127.0.0.1:50051", without a scheme. Plaintext is used for local targets; WithInsecure`,
		"http://":                       `write "127.0.0.1:50051"`,
		"HTTP://credits.example.com:1/": `write "credits.example.com:1"`,
		"https://credits.example.com":   `write "credits.example.com", without a scheme. TLS is used`,
		"grpc://localhost:50051":        `write "localhost:50051"`,
		"tcp://10.0.0.1:50051":          `write "10.0.0.1:50051"`,
		"ftp://credits.example.com":     "has a scheme that gRPC does not know",
		"dns://credits.example.com:443": `write "dns:///credits.example.com:443", with three`,
		"dns://10.0.0.1/":               "with three",
		"unix://run/creditd.sock":       "write unix:run/creditd.sock",
		"unix:":                         "has no path",
		"50051":                         `is a port alone; write "127.0.0.1:50051"`,
		"localhost":                     `has no port; creditd serves on 50051 unless told otherwise: write "localhost:50051"`,
		"127.0.0.1":                     `write "127.0.0.1:50051"`,
		"::1":                           `write "[::1]:50051"`,
		"[::1]":                         `write "[::1]:50051"`,
		"localhost:":                    `write "localhost:50051"`,
		"127.0.0.1:50051/":              `has something behind the address; write "127.0.0.1:50051"`,
		"localhost:0":                   "has port 0",
		"localhost:70000":               "has port 70000",
		"ipv4:127.0.0.1:1,10.0.0.1:1":   "is not HOST:PORT",
		"dns:///localhost":              "has no port",
		"[fe80::1%eth0]:50051":          "invalid URL escape",
	} {
		client, err := New(target)
		if err == nil {
			_ = client.Close()
		}
		switch {
		case want == "" && err != nil:
			t.Errorf("%q was refused: %v", target, err)
		case want != "" && (err == nil || !strings.HasPrefix(err.Error(), "creditd: ") || !strings.Contains(err.Error(), want)):
			t.Errorf("%q: got %v, want %s", target, err, want)
		}
	}
	// A dial option may bring a resolver, but none makes a URL of another protocol.
	option := WithDialOptions(grpc.WithUserAgent("test"))
	if client, err := New("consul:///credits", option); err != nil {
		t.Error(err)
	} else {
		_ = client.Close()
	}
	if _, err := New("http://127.0.0.1:50051", option); err == nil {
		t.Error("a URL was taken")
	}
}
