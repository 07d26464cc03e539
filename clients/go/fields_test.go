package creditd_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Every field of every message goes through this package's types: a request with
// all fields set, given to the typed call, arrives with all of them, and a reply
// with all fields set comes back with all of them.
func TestEveryFieldGoesThroughTheTypes(t *testing.T) {
	// watch_test.go has the only stream; its balance is the one of GetBalance.
	for _, method := range unaryMethods() {
		for variant := range 2 {
			t.Run(fmt.Sprintf("%s/%d", method.Name(), variant), func(t *testing.T) {
				checkFields(t, method, variant)
			})
		}
	}
}

func checkFields(t *testing.T, method protoreflect.MethodDescriptor, variant int) {
	filler := filler{variant: variant}
	reply := filler.message(t, method.Output())
	filler.request = true
	request := filler.message(t, method.Input())
	fake := (&fakeServer{answer: func(string, proto.Message) (proto.Message, error) { return reply, nil }}).start(t)
	client := fake.newClient(t)
	_, params, err := typedCall(client, method, request)
	if err != nil {
		t.Fatal(err)
	}
	for i := range params.NumField() {
		if params.Field(i).IsZero() {
			t.Errorf("the request has no field for %v.%s", params.Type(), params.Type().Field(i).Name)
		}
	}
	got, err := callByDescriptor(testContext(t), client, method, request)
	if err != nil {
		t.Fatal(err)
	}
	if received := fake.received(); len(received) != 1 || !proto.Equal(received[0], request) {
		t.Errorf("the request is\n%v\nwant\n%v", received, request)
	}
	encoded, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	back := reply.ProtoReflect().New().Interface()
	if err := protojson.Unmarshal(encoded, back); err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(back, reply) {
		t.Errorf("the reply is\n%v\nwant\n%v", back, reply)
	}
}

// setByServer are fields of messages that requests have too, which they do not set.
var setByServer = []protoreflect.FullName{
	"creditd.v1.Key.key_id", "creditd.v1.Key.create_time", "creditd.v1.Key.last_use_time", "creditd.v1.Key.revoke_time",
}

// filler makes messages with all fields set, no two of them alike.
type filler struct {
	// variant is which field of a oneof to set.
	variant int
	// request leaves out what the server sets.
	request bool
	last    int64
}

func (f *filler) next() int64 {
	f.last++
	return f.last
}

func (f *filler) message(t *testing.T, descriptor protoreflect.MessageDescriptor) proto.Message {
	t.Helper()
	message := newMessage(t, descriptor)
	f.fill(message)
	if _, has := updateMask(message); has {
		f.nameAll(message)
	}
	return message.Interface()
}

// nameAll makes an update set all that can be set, which its documentation names. Other
// fields of what is updated are not read, so the client does not send them.
func (f *filler) nameAll(update protoreflect.Message) {
	mask, _ := updateMask(update)
	mask.Paths = []string{"rate_card", "attributes", "labels"}
	fields := update.Descriptor().Fields()
	account := update.Get(fields.ByName("account")).Message()
	for i := range account.Descriptor().Fields().Len() {
		field := account.Descriptor().Fields().Get(i)
		if field.Name() != "account" && !slices.Contains(mask.GetPaths(), string(field.Name())) {
			account.Clear(field)
		}
	}
}

func (f *filler) fill(message protoreflect.Message) {
	fields := message.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		if f.leavesOut(field) {
			continue
		}
		switch {
		case field.IsMap():
			pairs := message.Mutable(field).Map()
			for range 2 {
				pairs.Set(f.scalar(field.MapKey()).MapKey(), f.scalar(field.MapValue()))
			}
		case field.IsList():
			list := message.Mutable(field).List()
			for range 2 {
				if field.Message() == nil {
					list.Append(f.scalar(field))
					continue
				}
				f.fill(list.AppendMutable().Message())
			}
		case field.Message() != nil:
			f.fill(message.Mutable(field).Message())
		default:
			message.Set(field, f.scalar(field))
		}
	}
}

// leavesOut keeps one field of each oneof: of a result the good one, as errors
// have tests of their own.
func (f *filler) leavesOut(field protoreflect.FieldDescriptor) bool {
	if f.request && slices.Contains(setByServer, field.FullName()) {
		return true
	}
	oneof := field.ContainingOneof()
	if oneof == nil || oneof.IsSynthetic() {
		return false
	}
	variant := f.variant
	if oneof.Name() == "result" {
		variant = 0
	}
	return field.Number() != oneof.Fields().Get(variant).Number()
}

func (f *filler) scalar(field protoreflect.FieldDescriptor) protoreflect.Value {
	number := f.next()
	switch field.Kind() {
	case protoreflect.StringKind:
		// Good as any text, amounts too.
		return protoreflect.ValueOfString(strconv.FormatInt(number, 10) + ".5")
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(true)
	case protoreflect.EnumKind:
		values := field.Enum().Values()
		known := int(number) % (values.Len() - 1)
		return protoreflect.ValueOfEnum(values.Get(1 + known).Number())
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32(int32(number))
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(number)
	}
	panic("no value for " + string(field.FullName()))
}
