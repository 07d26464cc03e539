package creditd

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// What is absent is left out: a zero time reads as the year 1, and null as a value.
func TestWhatIsAbsentIsAbsentInJSON(t *testing.T) {
	visited := map[reflect.Type]bool{}
	for i := range reflect.TypeFor[*Client]().NumMethod() {
		if method := reflect.TypeFor[*Client]().Method(i).Type; method.NumOut() == 2 {
			checkTags(t, method.Out(0), visited)
		}
	}
	checkTags(t, reflect.TypeFor[Error](), visited)
	if !visited[reflect.TypeFor[Entry]()] || !visited[reflect.TypeFor[GrantBalance]()] || !visited[reflect.TypeFor[Usage]()] ||
		!visited[reflect.TypeFor[Meter]()] || !visited[reflect.TypeFor[RateCardRevision]()] || !visited[reflect.TypeFor[Key]()] {
		t.Errorf("it visited %v", visited)
	}
	for _, value := range []any{Balance{Grants: []GrantBalance{{}}}, Entry{}, Hold{}, Usage{}, BatchChargeResult{}, Account{}, Meter{}, RateCard{}, RateCardRevision{}, Key{}, AdminEvent{}} {
		text, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		for _, bad := range []string{"0001-01-01", "ExpireTime", `"Usage"`, `"Quantity"`, `"Err"`, "DefaultValue", "EffectiveTime", "LastUseTime", "RevokeTime"} {
			if strings.Contains(string(text), bad) {
				t.Errorf("%T is %s", value, text)
			}
		}
	}
}

func checkTags(t *testing.T, kind reflect.Type, visited map[reflect.Type]bool) {
	for kind.Kind() == reflect.Pointer || kind.Kind() == reflect.Slice {
		kind = kind.Elem()
	}
	if kind.Kind() != reflect.Struct || kind.PkgPath() != reflect.TypeFor[Entry]().PkgPath() || visited[kind] {
		return
	}
	visited[kind] = true
	for i := range kind.NumField() {
		field := kind.Field(i)
		if !field.IsExported() {
			continue
		}
		canBeAbsent := field.Type == reflect.TypeFor[time.Time]() || field.Type == reflect.TypeFor[decimal.NullDecimal]()
		if (canBeAbsent || field.Type.Kind() == reflect.Pointer) && !strings.Contains(field.Tag.Get("json"), ",omitzero") {
			t.Errorf("%v.%s can be absent; it needs `json:\",omitzero\"`", kind, field.Name)
		}
		checkTags(t, field.Type, visited)
	}
}

func TestValuesComeBackFromJSON(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	half := decimal.RequireFromString("0.5")
	timed := Duration("lip_sync_video", 31*time.Second+500*time.Millisecond)
	counted := Count("ai_scripts", 3).WithAttribute("resolution", "1080p")
	for _, value := range []any{
		&Entry{EntryID: "e1", Kind: EntryCharge, Credits: half.Neg(), Available: half, CreateTime: now, Spent: half, Held: half,
			Usage: &timed, Labels: map[string]string{"user": "ada"}, Grants: []GrantShare{{GrantID: "g1", Credits: half, Held: half}}},
		&Hold{HoldID: "h1", Status: HoldOpen, Held: half, Settled: half, CreateTime: now, ExpireTime: now},
		&Balance{Account: "team-a", Available: half, Held: half, ReadTime: now, Version: 7, Grants: []GrantBalance{
			{GrantID: "g1", Granted: half, Remaining: half, Held: half, ExpireTime: now, CreateTime: now}}},
		&Account{Account: "team-a", CreateTime: now, RateCard: "studio", Attributes: Attributes{"plan": "growth"}, Balance: Balance{Available: half}},
		&Meter{Meter: "tokens", Unit: "token", Decimals: 9, DefaultValue: decimal.NewNullDecimal(half), Max: decimal.NewNullDecimal(half)},
		&timed, &counted, &Usage{Service: "motion_1_0"}, &Usage{Service: "ai_scripts", Quantity: QuantityOfPieces(0)},
		&Usage{Service: "a", Quantity: QuantityOfTime(0)},
	} {
		text, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		back := reflect.New(reflect.TypeOf(value).Elem()).Interface()
		if err := json.Unmarshal(text, back); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if again, err := json.Marshal(back); err != nil || string(again) != string(text) {
			t.Errorf("%s came back as %s (%v)", text, again, err)
		}
	}
	for text, want := range map[string]string{
		`{"Duration":"31.5s"}`:          `{"Duration":"31.5s"}`,
		`{"Count":0}`:                   `{"Count":0}`,
		`{}`:                            `{}`,
		`{"Duration":"1s","Count":1}`:   "",
		`{"Duration":"a long time"}`:    "",
		`{"Count":"1"}`:                 "",
		`{"Count":9223372036854775808}`: "",
	} {
		var quantity Quantity
		err := json.Unmarshal([]byte(text), &quantity)
		again, _ := json.Marshal(quantity)
		if (err != nil) != (want == "") || (err == nil && string(again) != want) {
			t.Errorf("%s is %s (%v)", text, again, err)
		}
	}
	text, err := json.Marshal(newError(status.New(codes.NotFound, "no"), "order-17", ""))
	if err != nil || strings.Contains(string(text), "Cause") || !strings.Contains(string(text), `"RequestID":"order-17"`) {
		t.Errorf("an error is %s (%v)", text, err)
	}
}
