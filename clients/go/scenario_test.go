package creditd_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	creditd "github.com/creditd/creditd/clients/go"
)

// The scenarios that every client passes; clients/scenarios/README.md says what
// is in them. A key that it does not know fails a scenario here: a step that was
// read in part would prove nothing.

type scenario struct {
	Name  string   `json:"name"`
	Only  []string `json:"only"`
	Steps []step   `json:"steps"`
}

type step struct {
	Call    string            `json:"call"`
	Request any               `json:"request"`
	Reply   map[string]any    `json:"reply"`
	Refusal *refusal          `json:"refusal"`
	Save    map[string]string `json:"save"`
}

type refusal struct {
	Code     string         `json:"code"`
	Reason   string         `json:"reason"`
	Metadata map[string]any `json:"metadata"`
	Fields   []string       `json:"fields"`
}

func TestScenarios(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "scenarios", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios in clients/scenarios (%v)", err)
	}
	client := newClient(t)
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var scenarios []scenario
		if err := decodeStrictly(content, &scenarios); err != nil {
			t.Errorf("%s: %v", filepath.Base(file), err)
			continue
		}
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		for _, s := range scenarios {
			if s.Only != nil && !slices.Contains(s.Only, "go") {
				continue
			}
			t.Run(name+"/"+s.Name, func(t *testing.T) { runScenario(t, client, s) })
		}
	}
}

func runScenario(t *testing.T, client *creditd.Client, s scenario) {
	ctx := testContext(t)
	vars := variables{values: map[string]any{"account": newAccount()}}
	if len(s.Steps) == 0 {
		t.Fatal("the scenario has no steps")
	}
	for i, step := range s.Steps {
		differences, err := runStep(ctx, client, step, &vars)
		if err != nil {
			t.Fatalf("step %d, %s: %v", i+1, step.Call, err)
		}
		if len(differences) > 0 {
			t.Fatalf("step %d, %s:\n  %s", i+1, step.Call, strings.Join(differences, "\n  "))
		}
	}
}

// runStep returns an error where the step cannot be run, and differences where
// the answer is another one than the step says.
func runStep(ctx context.Context, client *creditd.Client, s step, vars *variables) ([]string, error) {
	if (s.Reply == nil) == (s.Refusal == nil) {
		return nil, errors.New("a step has exactly one of reply and refusal")
	}
	call, known := calls[s.Call]
	if !known {
		return nil, errors.New("this client has no such call")
	}
	vars.now = time.Now()
	request, err := vars.expand(s.Request)
	if err != nil {
		return nil, err
	}
	encoded, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	reply, err := call(ctx, client, encoded)
	var failure *creditd.Error
	if err != nil && !errors.As(err, &failure) {
		return nil, err // the request is not one that this client can express
	}
	if s.Refusal != nil {
		expected, err := vars.expandRefusal(s.Refusal)
		if err != nil {
			return nil, err
		}
		if failure == nil {
			return []string{"it was not refused"}, nil
		}
		return compareRefusal("refusal", expected, failure), nil
	}
	if failure != nil {
		return []string{"it was refused: " + failure.Error()}, nil
	}
	expected, err := vars.expand(s.Reply)
	if err != nil {
		return nil, err
	}
	if differences := compare("reply", expected, reply); len(differences) > 0 {
		return differences, nil
	}
	return nil, vars.save(s.Save, reply)
}

// save keeps values of the reply, found by their paths.
func (v *variables) save(paths map[string]string, reply any) error {
	for name, path := range paths {
		value := reply
		for _, key := range strings.Split(path, ".") {
			switch container := value.(type) {
			case map[string]any:
				value = container[key]
			case []any:
				index, err := strconv.Atoi(key)
				if err != nil || index < 0 || index >= len(container) {
					return errors.New("save: the reply has no " + path)
				}
				value = container[index]
			default:
				return errors.New("save: the reply has no " + path)
			}
		}
		if value == nil {
			return errors.New("save: the reply has no " + path)
		}
		v.values[name] = value
	}
	return nil
}

// decodeStrictly refuses keys that the target does not have, and keeps numbers
// as they are written.
func decodeStrictly(content []byte, target any) error {
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	decoder.UseNumber()
	if err := decoder.Decode(target); err != nil {
		return err
	}
	if _, err := decoder.Token(); err != io.EOF {
		return errors.New("there is more after the end")
	}
	return nil
}
