package creditd_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// variables are what ${…} stands for in the texts of a scenario.
type variables struct {
	values map[string]any
	// now is the time of the step. A step has one, so that a time in its reply can
	// be the one in its request.
	now time.Time
}

var placeholder = regexp.MustCompile(`\$\{([^}]*)\}`)

// expand replaces all placeholders of a request or a reply, and writes out the
// repeated items of its lists.
func (v *variables) expand(value any) (any, error) {
	switch value := value.(type) {
	case string:
		return v.expandText(value)
	case map[string]any:
		if value["text_of"] != nil {
			return v.textOf(value)
		}
		expanded := make(map[string]any, len(value))
		for key, element := range value {
			name, err := v.expandText(key)
			if err != nil {
				return nil, err
			}
			if expanded[fmt.Sprint(name)], err = v.expand(element); err != nil {
				return nil, err
			}
		}
		return expanded, nil
	case []any:
		expanded := []any{}
		for _, element := range value {
			item, count, err := repeated(element)
			if err != nil {
				return nil, err
			}
			if item, err = v.expand(item); err != nil {
				return nil, err
			}
			for range count {
				expanded = append(expanded, item)
			}
		}
		return expanded, nil
	}
	return value, nil
}

// textOf reads {"text_of": "cards/models.toml", "with": {…}}: the text of a file beside the
// scenarios, with further variables.
func (v *variables) textOf(object map[string]any) (any, error) {
	name, is := object["text_of"].(string)
	given, isObject := object["with"].(map[string]any)
	if !is || isObject != (len(object) == 2) || len(object) > 2 {
		return nil, fmt.Errorf("%v is no text of a file", object)
	}
	text, err := os.ReadFile(filepath.Join(scenarioFolder, filepath.FromSlash(name)))
	if err != nil {
		return nil, err
	}
	with := variables{values: maps.Clone(v.values), now: v.now}
	for name, value := range given {
		if with.values[name], err = v.expand(value); err != nil {
			return nil, err
		}
	}
	return with.expandText(string(text))
}

// repeated reads {"repeat": 3, "item": {…}}; everything else stands once.
func repeated(element any) (item any, count int64, err error) {
	object, is := element.(map[string]any)
	if !is || object["repeat"] == nil {
		return element, 1, nil
	}
	number, is := object["repeat"].(json.Number)
	if !is || len(object) != 2 || object["item"] == nil {
		return nil, 0, fmt.Errorf("%v is no repeated item", object)
	}
	count, err = number.Int64()
	return object["item"], count, err
}

// expandText keeps the type of a saved value where the text is nothing else.
func (v *variables) expandText(text string) (any, error) {
	if match := placeholder.FindStringSubmatch(text); match != nil && match[0] == text {
		return v.lookup(match[1])
	}
	var failed error
	expanded := placeholder.ReplaceAllStringFunc(text, func(found string) string {
		value, err := v.lookup(placeholder.FindStringSubmatch(found)[1])
		if err != nil {
			failed = err
		}
		return fmt.Sprint(value)
	})
	return expanded, failed
}

func (v *variables) lookup(name string) (any, error) {
	if arguments, is := strings.CutPrefix(name, "repeat:"); is {
		separator := strings.LastIndex(arguments, ":")
		count, err := strconv.Atoi(arguments[separator+1:])
		if separator < 0 || err != nil || count < 0 {
			return nil, fmt.Errorf("${%s} does not say what to repeat how often", name)
		}
		return strings.Repeat(arguments[:separator], count), nil
	}
	if shift, is := strings.CutPrefix(name, "now"); is && (shift == "" || strings.ContainsAny(shift[:1], "+-")) {
		var moved time.Duration
		if shift != "" {
			var err error
			if moved, err = time.ParseDuration(shift); err != nil {
				return nil, err
			}
		}
		// Microseconds, which every store keeps.
		return v.now.Add(moved).UTC().Truncate(time.Microsecond).Format(time.RFC3339Nano), nil
	}
	value, known := v.values[name]
	if !known {
		return nil, fmt.Errorf("${%s} was not saved", name)
	}
	return value, nil
}

func (v *variables) expandRefusal(r *refusal) (*refusal, error) {
	encoded, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	var plain any
	if err := decodeStrictly(encoded, &plain); err != nil {
		return nil, err
	}
	if plain, err = v.expand(plain); err != nil {
		return nil, err
	}
	return refusalOf(plain)
}

// refusalOf reads a refusal that stands in a reply.
func refusalOf(plain any) (*refusal, error) {
	encoded, err := json.Marshal(plain)
	if err != nil {
		return nil, err
	}
	var expected refusal
	if err := decodeStrictly(encoded, &expected); err != nil {
		return nil, err
	}
	return &expected, nil
}
