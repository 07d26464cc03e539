package creditd

import (
	"crypto/rand"
)

// NewRequestID makes a request_id that no other call has: 26 letters and digits
// at random. Keep it before you call, and a program that crashed in between can
// repeat the call without carrying it out twice.
func NewRequestID() string {
	return rand.Text()
}

// requestID returns the request_id of a message that has one.
func requestID(req any) string {
	if write, ok := req.(interface{ GetRequestId() string }); ok {
		return write.GetRequestId()
	}
	return ""
}
