package creditd

import (
	"crypto/rand"
)

// NewRequestID makes a request_id that no other call has: 26 random letters and
// digits. Store it before you call, and a program that crashed in between can
// repeat the call without carrying it out twice.
func NewRequestID() string {
	return rand.Text()
}

// requestIDOrNew makes up the request_id that a caller left out.
func requestIDOrNew(requestID string) string {
	if requestID == "" {
		return NewRequestID()
	}
	return requestID
}

// requestID returns the request_id of a write. A write is known by its reply, which
// says whether it was replayed: in other requests a request_id is a filter.
func requestID(request, reply any) string {
	write, has := request.(interface{ GetRequestId() string })
	if _, isWrite := reply.(interface{ GetReplayed() bool }); !has || !isWrite {
		return ""
	}
	return write.GetRequestId()
}
