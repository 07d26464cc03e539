package creditd_test

import (
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
