package creditd

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"

	"google.golang.org/grpc/credentials"
)

// TLS says how a connection speaks TLS, by PEM files: see [WithTLS].
type TLS struct {
	// CAFile has the certificates of who may have issued the server's; empty: whom the
	// system trusts.
	CAFile string
	// CertFile and KeyFile are a certificate to show to the server and its private key;
	// both or none. They are read again for each connection, so that they can be renewed.
	CertFile, KeyFile string
	// ServerName is the name that the server's certificate is for; empty: that of the
	// target.
	ServerName string
}

// WithTLS asks for TLS, also for a target on this machine. [New] fails where a file
// cannot be read.
func WithTLS(settings TLS) Option {
	return optionFunc(func(c *config) { c.tls = &settings })
}

// newCredentials reads the files.
func (t TLS) newCredentials() (credentials.TransportCredentials, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("creditd: CAFile: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("creditd: CAFile: no certificate is in %s", t.CAFile)
		}
	}
	if (t.CertFile == "") != (t.KeyFile == "") {
		return nil, errors.New("creditd: CertFile and KeyFile need each other")
	}
	if t.CertFile != "" {
		load := func() (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
			if err != nil {
				return nil, fmt.Errorf("creditd: CertFile and KeyFile: %w", err)
			}
			return &pair, nil
		}
		if _, err := load(); err != nil {
			return nil, err
		}
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return load() }
	}
	return credentials.NewTLS(config), nil
}
