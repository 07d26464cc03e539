package creditd_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	creditd "github.com/creditd/creditd/clients/go"
	"google.golang.org/grpc/codes"
)

const anyValue = "*"

// compare says where the answer is not what is expected of it. Keys that are not
// expected are not looked at.
func compare(path string, expected, actual any) []string {
	if expected == anyValue {
		if isEmpty(actual) {
			return []string{path + " is empty"}
		}
		return nil
	}
	if isEmpty(expected) && isEmpty(actual) {
		return nil
	}
	switch expected := expected.(type) {
	case map[string]any:
		if failure, is := actual.(*creditd.Error); is {
			want, err := refusalOf(expected)
			if err != nil {
				return []string{fmt.Sprintf("%s: %v", path, err)}
			}
			return compareRefusal(path, want, failure)
		}
		object, is := actual.(map[string]any)
		if !is {
			return []string{fmt.Sprintf("%s is %v, want an object", path, actual)}
		}
		var differences []string
		for key, value := range expected {
			differences = append(differences, compare(path+"."+key, value, object[key])...)
		}
		slices.Sort(differences)
		return differences
	case []any:
		list, is := actual.([]any)
		if !is || len(list) != len(expected) {
			return []string{fmt.Sprintf("%s is %v, want %d elements", path, actual, len(expected))}
		}
		var differences []string
		for i, value := range expected {
			differences = append(differences, compare(path+"."+strconv.Itoa(i), value, list[i])...)
		}
		return differences
	}
	if expected != actual && !sameInstant(expected, actual) {
		return []string{fmt.Sprintf("%s is %#v, want %#v", path, actual, expected)}
	}
	return nil
}

// isEmpty tells whether a value is what a field is that was not set.
func isEmpty(value any) bool {
	switch value := value.(type) {
	case nil:
		return true
	case string:
		return value == ""
	case bool:
		return !value
	case json.Number:
		return value == "0"
	case []any:
		return len(value) == 0
	case map[string]any:
		return len(value) == 0
	}
	return false
}

// sameInstant sees the same time in "12:00:00Z" and "12:00:00.000Z".
func sameInstant(expected, actual any) bool {
	a, isText := expected.(string)
	b, isText2 := actual.(string)
	if !isText || !isText2 {
		return false
	}
	first, err := time.Parse(time.RFC3339Nano, a)
	if err != nil {
		return false
	}
	second, err := time.Parse(time.RFC3339Nano, b)
	return err == nil && first.Equal(second)
}

// compareRefusal does not look at what is not expected, as compare does.
func compareRefusal(path string, expected *refusal, actual *creditd.Error) []string {
	var differences []string
	differ := func(format string, args ...any) {
		differences = append(differences, path+fmt.Sprintf(format, args...))
	}
	if expected.Code == "" && expected.Reason == "" {
		differ(" has neither code nor reason")
	}
	if expected.Code != "" {
		var code codes.Code
		if err := code.UnmarshalJSON([]byte(strconv.Quote(expected.Code))); err != nil {
			differ(".code: %v", err)
		}
		if actual.Code != code {
			differ(".code is %v, want %v", actual.Code, code)
		}
	}
	if expected.Reason != "" && string(actual.Reason) != expected.Reason {
		differ(".reason is %q, want %q", actual.Reason, expected.Reason)
	}
	for key, value := range expected.Metadata {
		got, has := actual.Metadata[key]
		switch {
		case !has:
			differ(".metadata has no %s", key)
		case value == anyValue && got != "":
		case value != got:
			differ(".metadata.%s is %q, want %q", key, got, value)
		}
	}
	if expected.Fields != nil {
		var fields []string
		for _, violation := range actual.Fields {
			fields = append(fields, violation.Field)
		}
		wanted := slices.Sorted(slices.Values(expected.Fields))
		if slices.Sort(fields); !slices.Equal(fields, wanted) {
			differ(".fields are %v, want %v", fields, wanted)
		}
	}
	if len(differences) > 0 {
		slices.Sort(differences)
		differ(": the answer was: %s %v", strings.TrimSpace(actual.Error()), actual.Metadata)
	}
	return differences
}
