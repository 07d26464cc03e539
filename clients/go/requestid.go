package creditd

import (
	"crypto/rand"
	"errors"
)

// NewRequestID makes a request_id that no other call has: 26 letters and digits
// at random. Keep it before you call, and a program that crashed in between can
// repeat the call without carrying it out twice.
func NewRequestID() string {
	return rand.Text()
}

// requestID returns the request_id of a call that moves credits. Such a call is
// known by its reply, which says whether it was replayed; in other requests a
// request_id is a filter.
func requestID(req, reply any) string {
	write, has := req.(interface{ GetRequestId() string })
	if _, moves := reply.(interface{ GetReplayed() bool }); !has || !moves {
		return ""
	}
	return write.GetRequestId()
}

// notSent adds the request_id to the error of a call that cannot be sent.
func notSent(err error, requestID string) error {
	var failure *Error
	if errors.As(err, &failure) {
		failure.RequestID = requestID
	}
	return err
}
