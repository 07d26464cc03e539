// Package testserver starts a creditd for the tests.
package testserver

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"time"
)

const (
	serverStartTimeout = 20 * time.Second
	serverStopTimeout  = 20 * time.Second
)

// listensOn finds the address in a line that may be of JSON.
var listensOn = regexp.MustCompile(`listens on ([^\s"]+)`)

// Server is a creditd process.
type Server struct {
	// Address is where it listens.
	Address string
	process *os.Process
	// exited receives the result of the process when it ends.
	exited chan error
	// logged is the file with its whole output.
	logged string
}

// Start returns once the server accepts connections, with further options of
// "creditd serve". Its data file and its log are in dir.
func Start(dir, listen string, options ...string) (*Server, error) {
	binary, err := findServer()
	if err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	args := []string{"serve", "--listen", listen, "--data", filepath.Join(dir, "creditd.db"),
		"--rate-card-file", filepath.Join(repo(), "rate-cards", "jogg-api-v2.toml"),
		"--rate-card-file", filepath.Join(repo(), "tests", "data", "cards", "models.toml")}
	command := exec.Command(binary, append(args, options...)...)
	command.Env = environmentWithoutOptions()
	printed, err := command.StdoutPipe()
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	// The line with the address may come on either.
	command.Stderr = command.Stdout
	if err := command.Start(); err != nil {
		return nil, errors.Join(err, log.Close())
	}
	s := &Server{process: command.Process, exited: make(chan error, 1), logged: log.Name()}
	address := make(chan string, 1)
	go func() {
		readAddress(io.TeeReader(printed, log), address)
		_ = log.Close()
		s.exited <- command.Wait()
	}()
	select {
	case s.Address = <-address:
		return s, nil
	case err := <-s.exited:
		return nil, fmt.Errorf("%s ended before it listened: %v\n%s", binary, err, s.Log())
	case <-time.After(serverStartTimeout):
		err := fmt.Errorf("%s did not say within %v where it listens\n%s", binary, serverStartTimeout, s.Log())
		return nil, errors.Join(err, s.Stop())
	}
}

// findServer is the binary to test. Without one the tests fail: skipped, they would
// prove nothing.
func findServer() (string, error) {
	candidates := []string{
		filepath.Join(repo(), "target", "debug", "creditd"),
		filepath.Join(repo(), "target", "release", "creditd"),
	}
	if named := os.Getenv("CREDITD_BIN"); named != "" {
		candidates = []string{named}
	}
	for _, candidate := range candidates {
		if _, err := os.Stat(candidate); err == nil {
			return filepath.Abs(candidate)
		}
	}
	return "", fmt.Errorf("there is no server at %s: run `cargo build` at the top of the repository, or set CREDITD_BIN",
		strings.Join(candidates, " or "))
}

// repo is the top of the repository, wherever the tests run.
func repo() string {
	_, here, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(here), "..", "..", "..", "..")
}

// environmentWithoutOptions is the environment without the server's own options, which
// whoever runs the tests may have set.
func environmentWithoutOptions() []string {
	var variables []string
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "CREDITD_") {
			variables = append(variables, variable)
		}
	}
	return variables
}

// readAddress reads to the end, so that the server never waits for its output to
// be read.
func readAddress(printed io.Reader, address chan<- string) {
	lines := bufio.NewScanner(printed)
	found := false
	for lines.Scan() {
		if match := listensOn.FindStringSubmatch(lines.Text()); match != nil && !found {
			found = true
			address <- match[1]
		}
	}
}

// Stop ends the server as an operator would.
func (s *Server) Stop() error {
	if err := s.process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case err := <-s.exited:
		if err != nil {
			return fmt.Errorf("the server ended badly: %v\n%s", err, s.Log())
		}
		return nil
	case <-time.After(serverStopTimeout):
		_ = s.process.Kill()
		return fmt.Errorf("the server did not end within %v of SIGTERM\n%s", serverStopTimeout, s.Log())
	}
}

// Log returns what the server has printed.
func (s *Server) Log() string {
	text, err := os.ReadFile(s.logged)
	if err != nil {
		return err.Error()
	}
	return string(text)
}
