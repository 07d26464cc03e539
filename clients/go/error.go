package creditd

import (
	"context"
	"errors"
	"maps"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const xRequestIDKey = "x-request-id"

// Reason says why a call was refused, such as [ReasonUnknownService].
type Reason string

// Error is a failed call: a refusal of the server, or a failure on the way to it.
type Error struct {
	// Code is the gRPC status code.
	Code codes.Code
	// Reason is empty where the failure is not one of creditd, such as a lost
	// connection.
	Reason Reason
	// Metadata has every variable of the message; which keys there are is said at
	// the Reason.
	Metadata map[string]string
	// Message is for people and may change.
	Message string
	// Fields are all the fields of the request that are wrong.
	Fields []FieldViolation
	// RequestID is the request_id of a write, its idempotency key, also one that the
	// client made up: repeated with it, the call is carried out at most once. Empty for
	// a read, and for a batch as a whole, whose charges have their own.
	RequestID string
	// XRequestID is the x-request-id of the call, which finds it in the server's log
	// and is good for nothing else. Empty where the call did not reach the server, or
	// its answer could not be read.
	XRequestID string
	// Attempts is how often the call was sent: more than once where it was retried, see
	// [RetryPolicy]. 0 for a call that cannot be sent, and for an item of a
	// batch.
	Attempts int
	// Cause is the last answer to a call that was retried until its context ended;
	// this error then has the code DEADLINE_EXCEEDED or CANCELED. Else nil.
	Cause *Error `json:",omitzero"`

	status *status.Status
	// inner is what a function of the caller's failed with; else nil.
	inner error
}

// FieldViolation is one wrong field of a request.
type FieldViolation struct {
	// Field is the path in the request, such as "usage.duration"; in an item of a
	// batch it starts at the item.
	Field       string
	Reason      Reason
	Description string
}

// Error returns the reason, or the code where there is none, and the message.
func (e *Error) Error() string {
	if e.Reason == "" {
		return "creditd: " + e.Code.String() + ": " + e.Message
	}
	return "creditd: " + string(e.Reason) + ": " + e.Message
}

// Unwrap returns the Cause, or the error of the function of [WithKeyFunc], or else the
// gRPC status as an error.
func (e *Error) Unwrap() error {
	if e.Cause != nil {
		return e.Cause
	}
	if e.inner != nil {
		return e.inner
	}
	return e.status.Err()
}

// GRPCStatus lets [status.FromError] and [status.Code] read the error.
func (e *Error) GRPCStatus() *status.Status {
	return e.status
}

// Is lets [errors.Is] see an ended context in the codes DEADLINE_EXCEEDED and
// CANCELED.
func (e *Error) Is(target error) bool {
	switch target {
	case context.DeadlineExceeded:
		return e.Code == codes.DeadlineExceeded
	case context.Canceled:
		return e.Code == codes.Canceled
	}
	return false
}

// IsReason tells whether err is, or wraps, an [*Error] with that reason. It may
// also be the [Error.Cause].
func IsReason(err error, reason Reason) bool {
	_, is := withReason(err, reason)
	return is
}

// withReason finds the error that has the reason.
func withReason(err error, reason Reason) (*Error, bool) {
	failure, is := asError(err)
	if is && failure.Reason != reason && failure.Cause != nil {
		return withReason(failure.Cause, reason)
	}
	return failure, is && failure.Reason == reason
}

// asError also takes the nil *Error of a batch item that did not fail.
func asError(err error) (*Error, bool) {
	var failure *Error
	is := errors.As(err, &failure) && failure != nil
	return failure, is
}

// newError reads a status that is not OK.
func newError(failed *status.Status, requestID, xRequestID string) *Error {
	failure := &Error{
		Code:       failed.Code(),
		Message:    failed.Message(),
		RequestID:  requestID,
		XRequestID: xRequestID,
		status:     failed,
	}
	if info, has := detail[*errdetails.ErrorInfo](failed); has {
		failure.Reason = Reason(info.GetReason())
		failure.Metadata = maps.Clone(info.GetMetadata())
		if failure.XRequestID == "" {
			failure.XRequestID = failure.Metadata["x_request_id"]
		}
	}
	if bad, has := detail[*errdetails.BadRequest](failed); has {
		for _, violation := range bad.GetFieldViolations() {
			failure.Fields = append(failure.Fields, FieldViolation{
				Field:       violation.GetField(),
				Reason:      Reason(violation.GetReason()),
				Description: violation.GetDescription(),
			})
		}
	}
	return failure
}

// detail finds the detail of type T.
func detail[T any](failed *status.Status) (T, bool) {
	for _, candidate := range failed.Details() {
		if wanted, ok := candidate.(T); ok {
			return wanted, true
		}
	}
	var none T
	return none, false
}

// xRequestID looks in both: a refusal without a body has only a trailer.
func xRequestID(header, trailer metadata.MD) string {
	for _, values := range [][]string{header.Get(xRequestIDKey), trailer.Get(xRequestIDKey)} {
		if len(values) > 0 {
			return values[0]
		}
	}
	return ""
}
