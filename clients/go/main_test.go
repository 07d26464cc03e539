package creditd_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	creditd "github.com/creditd/creditd/clients/go"
	"go.uber.org/goleak"
)

// shared is the server that tests use unless they start one of their own. They
// share its accounts too, so each takes a new one.
var shared *server

func TestMain(m *testing.M) {
	os.Exit(runAll(m))
}

// runAll returns the exit code: no goroutine may be left when everything is closed.
func runAll(m *testing.M) int {
	dir, err := os.MkdirTemp("", "creditd-go-")
	if err != nil {
		return report(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if shared, err = startServer(dir, "127.0.0.1:0"); err != nil {
		return report(err)
	}
	code := m.Run()
	if err := shared.stop(); err != nil {
		return report(err)
	}
	if code != 0 {
		return code
	}
	if err := goleak.Find(); err != nil {
		return report(err)
	}
	return 0
}

func report(err error) int {
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// newClient makes a client of the shared server that ends with the test.
func newClient(t *testing.T, opts ...creditd.Option) *creditd.Client {
	t.Helper()
	return newClientOf(t, shared.address, opts...)
}

func newClientOf(t *testing.T, target string, opts ...creditd.Option) *creditd.Client {
	t.Helper()
	client, err := creditd.New(target, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})
	return client
}

// testContext ends a test that hangs.
func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// newAccount is a name that nobody else uses.
func newAccount() string {
	return "go-" + strings.ToLower(rand.Text())
}

func asError(t *testing.T, err error) *creditd.Error {
	t.Helper()
	var failure *creditd.Error
	if !errors.As(err, &failure) {
		t.Fatalf("got %v (%T), want a *creditd.Error", err, err)
	}
	return failure
}
