package creditd_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	creditd "github.com/creditd/creditd/clients/go"
	"github.com/shopspring/decimal"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Any method of the API, called through the typed method of the client that has its
// name. The descriptors say which fields there are, and the params and results have
// fields of the same names, so a new method needs nothing here.

const apiPackage = "creditd.v1"

// unaryMethods are all methods of the API but streams.
func unaryMethods() []protoreflect.MethodDescriptor {
	var all []protoreflect.MethodDescriptor
	protoregistry.GlobalFiles.RangeFilesByPackage(apiPackage, func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			methods := file.Services().Get(i).Methods()
			for j := range methods.Len() {
				if method := methods.Get(j); !method.IsStreamingServer() {
					all = append(all, method)
				}
			}
		}
		return true
	})
	slices.SortFunc(all, func(a, b protoreflect.MethodDescriptor) int {
		return strings.Compare(string(a.FullName()), string(b.FullName()))
	})
	return all
}

func unaryMethod(name string) (protoreflect.MethodDescriptor, error) {
	for _, method := range unaryMethods() {
		if string(method.Name()) == name {
			return method, nil
		}
	}
	return nil, fmt.Errorf("the API has no method %s", name)
}

func newMessage(t *testing.T, descriptor protoreflect.MessageDescriptor) protoreflect.Message {
	t.Helper()
	message, err := messageOf(descriptor)
	if err != nil {
		t.Fatal(err)
	}
	return message
}

func messageOf(descriptor protoreflect.MessageDescriptor) (protoreflect.Message, error) {
	kind, err := protoregistry.GlobalTypes.FindMessageByName(descriptor.FullName())
	if err != nil {
		return nil, err
	}
	return kind.New(), nil
}

// callByDescriptor makes the typed call of a request and returns the typed result in
// the JSON form of the reply. A method that reads a list reads one page: that the
// iterators read the same pages is for list_test.go. An error that is no
// *creditd.Error means that this client cannot express the request or the reply.
func callByDescriptor(ctx context.Context, client *creditd.Client, method protoreflect.MethodDescriptor, request proto.Message) (map[string]any, error) {
	call, params, err := typedCall(client, method, request)
	if err != nil {
		return nil, err
	}
	results := call.Call([]reflect.Value{reflect.ValueOf(ctx), params})
	if err, failed := results[1].Interface().(error); failed {
		return nil, err
	}
	return replyJSON(results[0].Elem(), method.Output())
}

// typedCall is the client's method and the params that stand for the request.
func typedCall(client *creditd.Client, method protoreflect.MethodDescriptor, request proto.Message) (call, params reflect.Value, err error) {
	call = reflect.ValueOf(client).MethodByName(string(method.Name()) + "Page")
	if !call.IsValid() {
		call = reflect.ValueOf(client).MethodByName(string(method.Name()))
	}
	if !call.IsValid() {
		return call, params, fmt.Errorf("this client has no method %s", method.Name())
	}
	params = reflect.New(call.Type().In(1)).Elem()
	if mask, has := updateMask(request.ProtoReflect()); has {
		return call, params, setMasked(params, request.ProtoReflect(), mask)
	}
	return call, params, setFields(params, request.ProtoReflect())
}

// updateMask is the mask of a request that has a field for one; it may be empty.
func updateMask(request protoreflect.Message) (*fieldmaskpb.FieldMask, bool) {
	field := request.Descriptor().Fields().ByName("update_mask")
	if field == nil {
		return nil, false
	}
	mask, is := request.Get(field).Message().Interface().(*fieldmaskpb.FieldMask)
	return mask, is
}

// setMasked sets the params of an update, which have no mask: each field of the message
// that is updated is a setting, which is set where the mask names it.
func setMasked(params reflect.Value, request protoreflect.Message, mask *fieldmaskpb.FieldMask) error {
	rest := proto.Clone(request.Interface())
	rest.ProtoReflect().Clear(request.Descriptor().Fields().ByName("update_mask"))
	var updated protoreflect.Message
	rest.ProtoReflect().Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		if field.Message() != nil {
			updated = value.Message()
			rest.ProtoReflect().Clear(field)
			return false
		}
		return true
	})
	if err := setFields(params, rest.ProtoReflect()); err != nil || updated == nil {
		return err
	}
	for _, path := range mask.GetPaths() {
		field := updated.Descriptor().Fields().ByName(protoreflect.Name(path))
		if field == nil {
			return fmt.Errorf("an update cannot set %q", path)
		}
		target := goField(params, field)
		if !target.IsValid() {
			return fmt.Errorf("%v cannot set %s", params.Type(), path)
		}
		if err := setSetting(target, field, updated.Get(field)); err != nil {
			return fmt.Errorf("%v.%s: %w", params.Type(), path, err)
		}
		updated.Clear(field)
	}
	// What the mask does not name is not read; only the name of what is updated is left.
	name := updated.Descriptor().Fields().ByNumber(1)
	return setField(goField(params, name), name, updated.Get(name))
}

func setSetting(target reflect.Value, field protoreflect.FieldDescriptor, value protoreflect.Value) error {
	switch into := target.Addr().Interface().(type) {
	case *creditd.Setting[string]:
		*into = creditd.Set(value.String())
		return nil
	case *creditd.Setting[map[string]string]:
		pairs := map[string]string{}
		if err := setField(reflect.ValueOf(&pairs).Elem(), field, value); err != nil {
			return err
		}
		*into = creditd.Set(pairs)
		return nil
	}
	return fmt.Errorf("a %v is no setting", target.Type())
}

// goField is the field of a struct that has the name of a field of a message:
// RequestID for request_id.
func goField(structure reflect.Value, field protoreflect.FieldDescriptor) reflect.Value {
	name := strings.ReplaceAll(string(field.Name()), "_", "")
	return structure.FieldByNameFunc(func(candidate string) bool { return strings.EqualFold(candidate, name) })
}

// fieldOfType is the field of a struct that has the type.
func fieldOfType[T any](structure reflect.Value) (reflect.Value, bool) {
	for i := range structure.NumField() {
		if field := structure.Field(i); field.Type() == reflect.TypeFor[T]() {
			return field, true
		}
	}
	return reflect.Value{}, false
}

// setFields sets the fields of a struct to those of a message.
func setFields(structure reflect.Value, message protoreflect.Message) error {
	var failed error
	message.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		target := goField(structure, field)
		if !target.IsValid() {
			failed = setOneof(structure, field, value)
		} else {
			failed = setField(target, field, value)
		}
		if failed != nil {
			failed = fmt.Errorf("%v.%s: %w", structure.Type(), field.Name(), failed)
		}
		return failed == nil
	})
	return failed
}

// setOneof sets a field of a type that stands for a whole oneof.
func setOneof(structure reflect.Value, field protoreflect.FieldDescriptor, value protoreflect.Value) error {
	if cost, is := fieldOfType[creditd.Cost](structure); is {
		switch field.Name() {
		case "usage":
			var usage creditd.Usage
			if err := setFields(reflect.ValueOf(&usage).Elem(), value.Message()); err != nil {
				return err
			}
			cost.Set(reflect.ValueOf(usage))
			return nil
		case "credits":
			credits, err := decimal.NewFromString(value.String())
			cost.Set(reflect.ValueOf(creditd.Credits(credits)))
			return err
		}
	}
	if quantity, is := fieldOfType[creditd.Quantity](structure); is {
		switch field.Name() {
		case "duration":
			duration, err := durationOf(value)
			quantity.Set(reflect.ValueOf(creditd.QuantityOfTime(duration)))
			return err
		case "count":
			quantity.Set(reflect.ValueOf(creditd.QuantityOfPieces(value.Int())))
			return nil
		}
	}
	// A message whose fields are params: CreateKey takes those of a Key.
	if field.Message() != nil && field.ContainingOneof() == nil {
		return setFields(structure, value.Message())
	}
	return errors.New("this client has no such field")
}

func durationOf(value protoreflect.Value) (time.Duration, error) {
	message, is := value.Message().Interface().(*durationpb.Duration)
	if !is {
		return 0, errors.New("it is no duration")
	}
	duration := message.AsDuration()
	if durationpb.New(duration).GetSeconds() != message.GetSeconds() {
		return 0, fmt.Errorf("a time.Duration cannot be %d s", message.GetSeconds())
	}
	return duration, nil
}

func setField(target reflect.Value, field protoreflect.FieldDescriptor, value protoreflect.Value) error {
	switch {
	case field.IsMap():
		target.Set(reflect.MakeMap(target.Type()))
		value.Map().Range(func(key protoreflect.MapKey, value protoreflect.Value) bool {
			target.SetMapIndex(reflect.ValueOf(key.String()), reflect.ValueOf(value.String()))
			return true
		})
		return nil
	case field.IsList():
		target.Set(reflect.MakeSlice(target.Type(), value.List().Len(), value.List().Len()))
		for i := range value.List().Len() {
			if err := setValue(target.Index(i), field, value.List().Get(i)); err != nil {
				return err
			}
		}
		return nil
	}
	return setValue(target, field, value)
}

func setValue(target reflect.Value, field protoreflect.FieldDescriptor, value protoreflect.Value) error {
	switch into := target.Addr().Interface().(type) {
	case *decimal.Decimal:
		amount, err := decimal.NewFromString(value.String())
		*into = amount
		return err
	case *decimal.NullDecimal:
		amount, err := decimal.NewFromString(value.String())
		*into = decimal.NewNullDecimal(amount)
		return err
	case *time.Duration:
		duration, err := durationOf(value)
		*into = duration
		return err
	case *time.Time:
		moment, is := value.Message().Interface().(*timestamppb.Timestamp)
		if !is {
			return errors.New("it is no time")
		}
		*into = moment.AsTime()
		return nil
	}
	switch {
	case field.Kind() == protoreflect.EnumKind && target.Kind() == reflect.String:
		target.SetString(enumName(field.Enum(), value.Enum()))
	case field.Kind() == protoreflect.MessageKind && target.Kind() == reflect.Struct:
		return setFields(target, value.Message())
	case field.Kind() == protoreflect.StringKind && target.Kind() == reflect.String:
		target.SetString(value.String())
	case field.Kind() == protoreflect.BoolKind && target.Kind() == reflect.Bool:
		target.SetBool(value.Bool())
	case target.CanInt():
		target.SetInt(value.Int())
	default:
		return fmt.Errorf("a %v cannot be a %v", field.Kind(), target.Type())
	}
	return nil
}

// enumPrefix is "ENTRY_KIND_" for EntryKind.
func enumPrefix(enum protoreflect.EnumDescriptor) string {
	return strings.TrimSuffix(string(enum.Values().Get(0).Name()), "UNSPECIFIED")
}

// enumName is the name without its prefix, or the number of a value without a name.
func enumName(enum protoreflect.EnumDescriptor, number protoreflect.EnumNumber) string {
	if value := enum.Values().ByNumber(number); value != nil {
		return strings.TrimPrefix(string(value.Name()), enumPrefix(enum))
	}
	return strconv.Itoa(int(number))
}

// replyJSON writes a result in the JSON form of a reply. A message of the reply that
// the result has no field for is the result itself: GetBalance returns a Balance.
func replyJSON(result reflect.Value, descriptor protoreflect.MessageDescriptor) (map[string]any, error) {
	object := map[string]any{}
	for i := range descriptor.Fields().Len() {
		field := descriptor.Fields().Get(i)
		var err error
		isMessage := field.Message() != nil && !field.IsList() && !field.IsMap()
		// A name alone is no message: an Account has an Account.
		if source := goField(result, field); isMessage && (!source.IsValid() || source.Kind() == reflect.String) {
			object[string(field.Name())], err = structJSON(result, field.Message())
		} else {
			err = fieldJSON(object, result, field)
		}
		if err != nil {
			return nil, err
		}
	}
	return object, nil
}

func structJSON(structure reflect.Value, descriptor protoreflect.MessageDescriptor) (map[string]any, error) {
	object := map[string]any{}
	for i := range descriptor.Fields().Len() {
		if err := fieldJSON(object, structure, descriptor.Fields().Get(i)); err != nil {
			return nil, err
		}
	}
	return object, nil
}

// fieldJSON adds a field to the JSON form of a message.
func fieldJSON(object map[string]any, structure reflect.Value, field protoreflect.FieldDescriptor) error {
	source := goField(structure, field)
	if !source.IsValid() {
		return oneofJSON(object, structure, field)
	}
	name := string(field.Name())
	switch {
	case field.IsMap():
		pairs := map[string]any{}
		for _, key := range source.MapKeys() {
			pairs[key.String()] = source.MapIndex(key).String()
		}
		object[name] = pairs
		return nil
	case field.IsList():
		list := make([]any, source.Len())
		for i := range list {
			var err error
			if list[i], err = valueJSON(source.Index(i), field); err != nil {
				return err
			}
		}
		object[name] = list
		return nil
	}
	value, err := valueJSON(source, field)
	if err == nil && value != nil {
		object[name] = value
	}
	return err
}

// oneofJSON is about the fields of types that stand for a whole oneof.
func oneofJSON(object map[string]any, structure reflect.Value, field protoreflect.FieldDescriptor) error {
	if failure, is := fieldOfType[*creditd.Error](structure); is && field.Name() == "error" {
		if !failure.IsNil() {
			object["refusal"] = failure.Interface()
		}
		return nil
	}
	if quantity, is := fieldOfType[creditd.Quantity](structure); is {
		quantity := quantity.Interface().(creditd.Quantity)
		switch field.Name() {
		case "duration":
			if duration, is := quantity.Duration(); is {
				object["duration"] = strings.Trim(protojson.Format(durationpb.New(duration)), `"`)
			}
			return nil
		case "count":
			if count, is := quantity.Count(); is {
				object["count"] = numberJSON(count)
			}
			return nil
		}
	}
	return fmt.Errorf("%v has no field for %s", structure.Type(), field.FullName())
}

func numberJSON(number int64) json.Number {
	return json.Number(strconv.FormatInt(number, 10))
}

func valueJSON(source reflect.Value, field protoreflect.FieldDescriptor) (any, error) {
	switch value := source.Interface().(type) {
	case decimal.Decimal:
		return value.String(), nil
	case decimal.NullDecimal:
		if !value.Valid {
			return nil, nil
		}
		return value.Decimal.String(), nil
	case time.Time:
		if value.IsZero() {
			return nil, nil
		}
		return value.Format(time.RFC3339Nano), nil
	}
	if source.Kind() == reflect.Pointer {
		if source.IsNil() {
			return map[string]any(nil), nil
		}
		source = source.Elem()
	}
	switch {
	case field.Kind() == protoreflect.EnumKind:
		return enumPrefix(field.Enum()) + source.String(), nil
	case field.Kind() == protoreflect.MessageKind && source.Kind() == reflect.Struct:
		return structJSON(source, field.Message())
	case field.Kind() == protoreflect.StringKind && source.Kind() == reflect.String:
		// The underlying one: a Secret encodes to something else.
		return source.String(), nil
	case field.Kind() == protoreflect.BoolKind:
		return source.Interface(), nil
	case source.CanInt():
		return numberJSON(source.Int()), nil
	}
	return nil, fmt.Errorf("a %v cannot be a %v", source.Type(), field.Kind())
}
