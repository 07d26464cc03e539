package creditd_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// defaultAddress stands in the README in place of the address of a test's server.
const defaultAddress = "127.0.0.1:50051"

var fencedBlock = regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$")

// withKeys is the section whose blocks run on a server that asks for keys.
const withKeys = "## Keys\n"

// Each block of Go in the README is run and must print the block of text that
// follows it. They share a server of their own and run in the order of the page.
func TestReadme(t *testing.T) {
	page, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	own, err := startServer(t.TempDir(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := own.stop(); err != nil {
			t.Error(err)
		}
	})
	before, rest, found := strings.Cut(string(page), withKeys)
	if !found {
		t.Fatal("the page has no section about keys")
	}
	section, after, _ := strings.Cut(rest, "\n## ")
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte(adminKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CREDITD_ADMIN_KEY", adminKey)
	t.Setenv("CREDITD_KEY_FILE", file)
	runBlocks(t, own.address, "", before+after)
	runBlocks(t, startServerWithKeys(t).address, `, creditd.WithKey(os.Getenv("CREDITD_ADMIN_KEY"))`, section)
}

// runBlocks runs the blocks of a part of the page. The client that they have is made with
// the options.
func runBlocks(t *testing.T, address, options, page string) {
	t.Helper()
	blocks := fencedBlock.FindAllStringSubmatch(page, -1)
	ran := 0
	for i, block := range blocks {
		language, code := block[1], block[2]
		if language != "go" {
			continue
		}
		if i+1 == len(blocks) || blocks[i+1][1] != "text" {
			t.Fatalf("no output follows this:\n%s", code)
		}
		ran++
		if got, want := runGo(t, address, options, code), blocks[i+1][2]; got != want {
			t.Errorf("this:\n%s\nprinted:\n%s\nnot:\n%s", code, got, want)
		}
	}
	if ran < 2 {
		t.Errorf("only %d blocks of Go were found", ran)
	}
}

// runGo returns what a program prints, or a part of one.
func runGo(t *testing.T, address, options, code string) string {
	t.Helper()
	if !strings.HasPrefix(code, "package main\n") {
		code = wholeProgram(options, code)
	}
	code = strings.ReplaceAll(code, defaultAddress, address)
	file := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(file, []byte(code), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	var stderr strings.Builder
	command := exec.CommandContext(ctx, "go", "run", file)
	command.Stderr = &stderr
	stdout, err := command.Output()
	if err != nil {
		t.Errorf("this does not run (%v):\n%s\n%s", err, code, stderr.String())
	}
	return string(stdout)
}

// wholeProgram puts a part into a function that has a context and a client.
func wholeProgram(options, part string) string {
	part = `func main() {
	client, err := creditd.New("` + defaultAddress + `"` + options + `)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	if err := run(context.Background(), client); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, client *creditd.Client) error {
` + part + `
	return nil
}
`
	var imports strings.Builder
	for _, path := range []string{
		"context", "errors", "fmt", "log", "os", "strings", "time",
		"github.com/creditd/creditd/clients/go/creditdv1",
		"github.com/shopspring/decimal",
		"go.opentelemetry.io/otel",
		"go.opentelemetry.io/otel/propagation",
	} {
		if regexp.MustCompile(`\b` + filepath.Base(path) + `\.`).MatchString(part) {
			fmt.Fprintf(&imports, "import %q\n", path)
		}
	}
	return "package main\n\nimport creditd \"github.com/creditd/creditd/clients/go\"\n" + imports.String() + part
}
