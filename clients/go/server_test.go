package creditd_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/creditd/creditd/clients/go/internal/testserver"
)

// server is a creditd process.
type server struct {
	address string
	process *testserver.Server
}

// startServer returns once the server accepts connections. Its data file and its
// log are in dir.
func startServer(dir, listen string, options ...string) (*server, error) {
	started, err := testserver.Start(dir, listen, options...)
	if err != nil {
		return nil, err
	}
	return &server{address: started.Address, process: started}, nil
}

// stop ends the server as an operator would.
func (s *server) stop() error {
	return s.process.Stop()
}

// adminKey is known to servers that ask for a key.
const adminKey = "admin-key-of-the-tests-0123456789"

// startServerWithKeys starts a server that asks for a key, until the test ends.
func startServerWithKeys(t *testing.T, options ...string) *server {
	t.Helper()
	keys := filepath.Join(t.TempDir(), "admin-keys")
	if err := os.WriteFile(keys, []byte(adminKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	started, err := startServer(t.TempDir(), "127.0.0.1:0", append([]string{"--admin-key-file", keys}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := started.stop(); err != nil {
			t.Error(err)
		}
	})
	return started
}
