package creditd

import (
	"encoding/json"
	"errors"
	"maps"
	"strconv"
	"time"
)

// Usage is one billable thing, measured. [Duration], [Count], [Metered] and [Once]
// make the usual ones.
type Usage struct {
	// Service is the key of a row of the rate card, such as "lip_sync_video".
	Service string
	// Quantity is how much was used, where the service has one meter.
	Quantity Quantity `json:",omitzero"`
	// Attributes are facts that the price may depend on, such as
	// {"resolution": "1080p"}.
	Attributes Attributes
	// Meters are further quantities as decimal texts, such as
	// {"input_tokens": "1200"}.
	Meters Meters
}

// Meters are quantities by the names of their meters, as decimal texts: "1200",
// "0.5". [Whole] makes one of any whole number. There is no way from a float, which
// cannot hold most decimals.
type Meters = map[string]string

// Attributes are words by the names of what they are about, such as
// {"resolution": "1080p"}.
type Attributes = map[string]string

// Integer is any type of whole numbers.
type Integer interface {
	~int | ~int8 | ~int16 | ~int32 | ~int64 | ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64
}

// Whole is a whole number as a value of [Meters].
func Whole[N Integer](number N) string {
	if number < 0 {
		return strconv.FormatInt(int64(number), 10)
	}
	return strconv.FormatUint(uint64(number), 10)
}

// Duration is usage of a service that is priced by time.
func Duration(service string, duration time.Duration) Usage {
	return Usage{Service: service, Quantity: QuantityOfTime(duration)}
}

// Count is usage of a service that is priced by the piece.
func Count(service string, count int64) Usage {
	return Usage{Service: service, Quantity: QuantityOfPieces(count)}
}

// Metered is usage of a service that is priced by meters of its own, such as tokens:
//
//	creditd.Metered("messages", creditd.Meters{"input_tokens": "2000"})
func Metered(service string, meters Meters) Usage {
	return Usage{Service: service, Meters: meters}
}

// Once is usage without a quantity: one call, image or motion. The server refuses
// it for a service that is priced by time, and where the rate card says that a
// quantity is required.
func Once(service string) Usage {
	return Usage{Service: service}
}

// WithAttribute returns the usage with one more attribute.
func (u Usage) WithAttribute(key, value string) Usage {
	u.Attributes = with(u.Attributes, key, value)
	return u
}

// WithMeter returns the usage with one more meter; value is a decimal such as
// "1200" or "0.5", or the text of a [Whole] number.
func (u Usage) WithMeter(key, value string) Usage {
	u.Meters = with(u.Meters, key, value)
	return u
}

// with copies, so that usages made from a common one do not share a map.
func with(pairs map[string]string, key, value string) map[string]string {
	pairs = maps.Clone(pairs)
	if pairs == nil {
		pairs = map[string]string{}
	}
	pairs[key] = value
	return pairs
}

// Quantity is a time, a number of pieces, or nothing at all, which is its zero
// value. Nothing at all is not the same as zero pieces: the server counts the
// first as one piece, unless the rate card requires a quantity, and refuses the
// second.
type Quantity struct {
	kind     quantityKind
	duration time.Duration
	count    int64
}

type quantityKind uint8

const (
	noQuantity quantityKind = iota
	quantityOfTime
	quantityOfPieces
)

// QuantityOfTime is a quantity for services that are priced by time.
func QuantityOfTime(duration time.Duration) Quantity {
	return Quantity{kind: quantityOfTime, duration: duration}
}

// QuantityOfPieces is a quantity for services that are priced by the piece.
func QuantityOfPieces(count int64) Quantity {
	return Quantity{kind: quantityOfPieces, count: count}
}

// Duration returns the time, where the quantity is one.
func (q Quantity) Duration() (time.Duration, bool) {
	return q.duration, q.kind == quantityOfTime
}

// Count returns the number of pieces, where the quantity is one.
func (q Quantity) Count() (int64, bool) {
	return q.count, q.kind == quantityOfPieces
}

// quantityJSON has one of both, or neither.
type quantityJSON struct {
	// Duration is as time.Duration writes it, "1m31.5s".
	Duration *string `json:",omitempty"`
	Count    *int64  `json:",omitempty"`
}

// MarshalJSON writes a time as {"Duration":"1m31.5s"} and pieces as {"Count":3}.
func (q Quantity) MarshalJSON() ([]byte, error) {
	var form quantityJSON
	if duration, is := q.Duration(); is {
		text := duration.String()
		form.Duration = &text
	}
	if count, is := q.Count(); is {
		form.Count = &count
	}
	return json.Marshal(form)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (q *Quantity) UnmarshalJSON(text []byte) error {
	var form quantityJSON
	if err := json.Unmarshal(text, &form); err != nil {
		return err
	}
	switch {
	case form.Duration != nil && form.Count != nil:
		return errors.New("creditd: a quantity is a time or a number of pieces, not both")
	case form.Duration != nil:
		duration, err := time.ParseDuration(*form.Duration)
		if err != nil {
			return err
		}
		*q = QuantityOfTime(duration)
	case form.Count != nil:
		*q = QuantityOfPieces(*form.Count)
	default:
		*q = Quantity{}
	}
	return nil
}
