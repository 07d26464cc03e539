package creditd_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	creditd "github.com/creditd/creditd/clients/go"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
)

const tlsName = "credits.example"

// writePEM writes one block to a file of a directory.
func writePEM(t *testing.T, dir, name, kind string, bytes []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	block := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: bytes})
	if err := os.WriteFile(path, block, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// issue makes an authority's certificate and one that it issues for this machine and a
// name, and writes them with the second one's key.
func issue(t *testing.T, dir string) (ca, cert, key string) {
	t.Helper()
	newKey := func() *ecdsa.PrivateKey {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	template := func(serial int64, name string) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
			BasicConstraintsValid: true,
		}
	}
	sign := func(template, parent *x509.Certificate, of, by *ecdsa.PrivateKey) []byte {
		der, err := x509.CreateCertificate(rand.Reader, template, parent, &of.PublicKey, by)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	caKey, serverKey := newKey(), newKey()
	authority := template(1, dir)
	authority.IsCA, authority.KeyUsage = true, x509.KeyUsageCertSign
	server := template(2, "server")
	server.DNSNames, server.IPAddresses = []string{tlsName}, []net.IP{net.IPv4(127, 0, 0, 1)}
	private, err := x509.MarshalPKCS8PrivateKey(serverKey)
	if err != nil {
		t.Fatal(err)
	}
	return writePEM(t, dir, "ca.pem", "CERTIFICATE", sign(authority, authority, caKey, caKey)),
		writePEM(t, dir, "cert.pem", "CERTIFICATE", sign(server, authority, serverKey, caKey)),
		writePEM(t, dir, "key.pem", "PRIVATE KEY", private)
}

// Who gets through to a server that speaks TLS.
func TestTLS(t *testing.T) {
	dir := t.TempDir()
	ca, cert, key := issue(t, dir)
	otherCA, _, _ := issue(t, t.TempDir())
	server, err := startServer(dir, "127.0.0.1:0", "--tls-cert", cert, "--tls-key", key)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := server.stop(); err != nil {
			t.Error(err)
		}
	}()
	for _, test := range []struct {
		name   string
		option creditd.Option
		// failure is a part of the error; empty: the call succeeds.
		failure string
	}{
		{"its issuer", creditd.WithTLS(creditd.TLS{CAFile: ca}), ""},
		{"its name", creditd.WithTLS(creditd.TLS{CAFile: ca, ServerName: tlsName}), ""},
		{"a certificate of the client", creditd.WithTLS(creditd.TLS{CAFile: ca, CertFile: cert, KeyFile: key}), ""},
		{"another name", creditd.WithTLS(creditd.TLS{CAFile: ca, ServerName: "elsewhere.example"}), "certificate is valid for " + tlsName},
		{"another issuer", creditd.WithTLS(creditd.TLS{CAFile: otherCA}), "unknown authority"},
		{"the system's issuers", creditd.WithTLS(creditd.TLS{}), "unknown authority"},
		{"plaintext", creditd.WithTransportCredentials(insecure.NewCredentials()), "connection"},
	} {
		t.Run(test.name, func(t *testing.T) {
			client := newClientOf(t, server.address, test.option)
			// It is tried again until then.
			timeout := creditd.WithTimeout(2 * time.Second)
			_, err := client.GetRateCard(testContext(t), creditd.GetRateCardParams{}, timeout)
			if test.failure == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			failure := asError(t, err)
			if failure.Code != codes.Unavailable && failure.Code != codes.DeadlineExceeded {
				t.Errorf("got %+v", failure)
			}
			if !strings.Contains(err.Error(), test.failure) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// Files that cannot be used are found before any call.
func TestTLSOptionsThatAreRefused(t *testing.T) {
	dir := t.TempDir()
	ca, cert, key := issue(t, dir)
	empty := filepath.Join(dir, "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		settings creditd.TLS
		more     []creditd.Option
		want     string
	}{
		{creditd.TLS{CAFile: filepath.Join(dir, "missing.pem")}, nil, "CAFile: open "},
		{creditd.TLS{CAFile: empty}, nil, "CAFile: no certificate is in "},
		{creditd.TLS{CertFile: cert}, nil, "CertFile and KeyFile need each other"},
		{creditd.TLS{KeyFile: key}, nil, "CertFile and KeyFile need each other"},
		{creditd.TLS{CertFile: ca, KeyFile: key}, nil, "CertFile and KeyFile: tls: private key does not match"},
		{creditd.TLS{}, []creditd.Option{creditd.WithInsecure()}, "WithTLS excludes WithInsecure and WithTransportCredentials"},
	} {
		_, err := creditd.New("127.0.0.1:1", append(test.more, creditd.WithTLS(test.settings))...)
		if err == nil || !strings.Contains(err.Error(), "creditd: "+test.want) {
			t.Errorf("%+v: got %v", test.settings, err)
		}
	}
}
