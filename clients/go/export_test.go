package creditd

import (
	"time"
)

// WithLiveness makes the limits short enough for a test.
func WithLiveness(call, stream, answer time.Duration) Option {
	return optionFunc(func(c *config) {
		c.liveness = livenessLimits{call: call, stream: stream, answer: answer}
		c.keepaliveMin = stream
	})
}
