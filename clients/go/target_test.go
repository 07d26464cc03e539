package creditd

import (
	"testing"
)

func TestWhatIsLocal(t *testing.T) {
	for target, want := range map[string]bool{
		"127.0.0.1:50051":               true,
		"127.8.8.8:50051":               true,
		"localhost:50051":               true,
		"[::1]:50051":                   true,
		"dns:///localhost:50051":        true,
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
