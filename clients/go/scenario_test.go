package creditd_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	creditd "github.com/creditd/creditd/clients/go"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// The scenarios that every client passes; clients/scenarios/README.md says what
// is in them. A key that it does not know fails a scenario here: a step that was
// read in part would prove nothing.

var scenarioFolder = filepath.Join("..", "scenarios")

type scenario struct {
	Name string   `json:"name"`
	Only []string `json:"only"`
	// Key is that of the steps that have none; nil: the server asks for none.
	Key   *string `json:"key"`
	Steps []step  `json:"steps"`
}

type step struct {
	Call    string            `json:"call"`
	Key     *string           `json:"key"`
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
	files, err := filepath.Glob(filepath.Join(scenarioFolder, "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios in clients/scenarios (%v)", err)
	}
	var sent sentRequest
	clients := scenarioClients{t: t, sent: &sent, keyed: startServerWithKeys(t), clients: map[string]*creditd.Client{}}
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
			t.Run(name+"/"+s.Name, func(t *testing.T) { runScenario(t, &clients, s) })
		}
	}
}

// scenarioClients has a client for each key, and one for the server that asks for none.
type scenarioClients struct {
	t       *testing.T
	sent    *sentRequest
	keyed   *server
	clients map[string]*creditd.Client
}

func (c *scenarioClients) of(s scenario, step step, vars *variables) (*creditd.Client, error) {
	target, key := shared.address, any("")
	if s.Key == nil && step.Key != nil {
		return nil, errors.New("the step has a key, and its scenario has none")
	}
	if s.Key != nil {
		target = c.keyed.address
		text := *s.Key
		if step.Key != nil {
			text = *step.Key
		}
		var err error
		if key, err = vars.expandText(text); err != nil {
			return nil, err
		}
	}
	name := fmt.Sprint(target, " ", key)
	if c.clients[name] == nil {
		opts := []creditd.Option{creditd.WithDialOptions(grpc.WithChainUnaryInterceptor(c.sent.store))}
		if key != "" {
			opts = append(opts, creditd.WithKey(fmt.Sprint(key)))
		}
		c.clients[name] = newClientOf(c.t, target, opts...)
	}
	return c.clients[name], nil
}

func runScenario(t *testing.T, clients *scenarioClients, s scenario) {
	ctx := testContext(t)
	vars := variables{values: map[string]any{"account": newAccount(), "admin_key": adminKey}}
	if len(s.Steps) == 0 {
		t.Fatal("the scenario has no steps")
	}
	for i, step := range s.Steps {
		client, err := clients.of(s, step, &vars)
		if err != nil {
			t.Fatalf("step %d, %s: %v", i+1, step.Call, err)
		}
		differences, err := runStep(ctx, client, clients.sent, step, &vars)
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
func runStep(ctx context.Context, client *creditd.Client, sent *sentRequest, s step, vars *variables) ([]string, error) {
	if (s.Reply == nil) == (s.Refusal == nil) {
		return nil, errors.New("a step has exactly one of reply and refusal")
	}
	vars.now = time.Now()
	request, err := vars.expand(s.Request)
	if err != nil {
		return nil, err
	}
	reply, err := callByName(ctx, client, sent, s.Call, request)
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

// sentRequest is the last request that was sent.
type sentRequest struct {
	message proto.Message
}

func (s *sentRequest) store(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	s.message = req.(proto.Message)
	return invoke(ctx, method, req, reply, conn, opts...)
}

// callByName makes a call by the name of its method and the JSON form of its
// request.
func callByName(ctx context.Context, client *creditd.Client, sent *sentRequest, name string, request any) (map[string]any, error) {
	method, err := unaryMethod(name)
	if err != nil {
		return nil, err
	}
	message, err := messageOf(method.Input())
	if err != nil {
		return nil, err
	}
	encoded, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	if err := protojson.Unmarshal(encoded, message.Interface()); err != nil {
		return nil, err
	}
	sent.message = nil
	reply, err := callByDescriptor(ctx, client, method, message.Interface())
	if sent.message != nil {
		if lost := notSent(message, sent.message.ProtoReflect()); len(lost) > 0 {
			return nil, fmt.Errorf("this client did not send %v", lost)
		}
	}
	return reply, err
}

// notSent are the fields that are set in a request and are not set in the one that
// was sent, such as a time to live of 0, which this client takes for none. It does
// not tell an empty message of the API from none.
func notSent(request, sent protoreflect.Message) []protoreflect.FullName {
	var lost []protoreflect.FullName
	request.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case !sent.Has(field):
			if field.Message() == nil || field.IsList() || field.IsMap() || field.Message().ParentFile().Package() != apiPackage || !isEmptyMessage(value.Message()) {
				lost = append(lost, field.FullName())
			}
		case field.IsList() && field.Message() != nil:
			for i := range min(value.List().Len(), sent.Get(field).List().Len()) {
				lost = append(lost, notSent(value.List().Get(i).Message(), sent.Get(field).List().Get(i).Message())...)
			}
		case field.Message() != nil && !field.IsMap():
			lost = append(lost, notSent(value.Message(), sent.Get(field).Message())...)
		}
		return true
	})
	return lost
}

func isEmptyMessage(message protoreflect.Message) bool {
	empty := true
	message.Range(func(protoreflect.FieldDescriptor, protoreflect.Value) bool {
		empty = false
		return false
	})
	return empty
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
